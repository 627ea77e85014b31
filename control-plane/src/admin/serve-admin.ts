import { unlinkSync } from "node:fs";
import { isLeftBehind } from "@heddle/net";
import type { Log } from "@heddle/telemetry";
import { type AdminAddress, type AdminPage, AdminServer } from "@heddle/telemetry/admin";
import { formatAddress, ListenError } from "../serve/address.ts";

/** Admin that listens: its address with the port that port 0 became. */
export interface ServedAdmin<Address extends AdminAddress> {
  readonly address: Address;
  close(): Promise<void>;
}

/**
 * Serves the pages. A Unix socket is for our own user alone (mode 0600), and takes the place of one that a dead process has left
 * behind. Rejects with a `ListenError`.
 */
export async function serveAdmin<Address extends AdminAddress>(
  pages: readonly AdminPage[],
  address: Address,
  log: Log,
): Promise<ServedAdmin<Address>> {
  const server = new AdminServer(pages, log);
  if ("path" in address && (await isLeftBehind(address.path))) unlinkSync(address.path);
  // The file is made with the socket: nobody else can be quicker than a mode that is set afterwards.
  const before = "path" in address ? process.umask(0o177) : undefined;
  const listening = server.listen(address);
  if (before !== undefined) process.umask(before);
  const outcome = await listening;
  if (!outcome.ok) throw new ListenError("admin", address, "--admin-address", outcome.error);
  return { address: outcome.value, close: () => server.close() };
}

/** "http://127.0.0.1:15014", "unix:/run/heddle/admin.sock" */
export function adminUrl(address: AdminAddress): string {
  return "path" in address ? formatAddress(address) : `http://${formatAddress(address)}`;
}
