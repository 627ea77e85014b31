import type { Log } from "@heddle/telemetry";
import { type AdminPage, AdminServer } from "@heddle/telemetry/admin";
import { formatHostPort, type HostPort, ListenError } from "../serve/address.ts";

/** Admin that listens: its address with the port that port 0 became. */
export interface ServedAdmin {
  readonly address: HostPort;
  close(): Promise<void>;
}

/** Serves the pages. Rejects with a `ListenError`. */
export async function serveAdmin(pages: readonly AdminPage[], address: HostPort, log: Log): Promise<ServedAdmin> {
  const server = new AdminServer(pages, log);
  const listening = await server.listen(address);
  if (!listening.ok) throw new ListenError("admin", address, "--admin-address", listening.error);
  return { address: listening.value, close: () => server.close() };
}

/** "http://127.0.0.1:15014" */
export function adminUrl(address: HostPort): string {
  return `http://${formatHostPort(address)}`;
}
