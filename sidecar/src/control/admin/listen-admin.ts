import { chmodSync, unlinkSync } from "node:fs";
import { err, isLoopback, ok, parseIp, type Result } from "@heddle/base";
import { isLeftBehind } from "@heddle/net";
import type { AdminServer } from "@heddle/telemetry/admin";
import type { Address } from "@heddle/traffic";
import { addressText } from "./address-form.ts";

/**
 * Lets admin listen where the bootstrap says. Gives the address with the port that port 0 became, or why it could not. A Unix
 * socket that a dead process has left behind is replaced; "@name" is one without a file.
 */
export async function listenAdmin(server: AdminServer, address: Address): Promise<Result<Address, string>> {
  if (address.type === "pipe") return listenOnPipe(server, address);
  const listening = await server.listen({ host: address.address, port: address.port });
  return listening.ok ? ok({ ...address, port: listening.value.port }) : refused(address, listening.error);
}

/** Whether others than this machine may reach it: admin knows no passwords. */
export function isOpenToOthers(address: Address): boolean {
  if (address.type === "pipe") return false;
  const ip = parseIp(address.address);
  return ip === undefined || !isLoopback(ip);
}

async function listenOnPipe(
  server: AdminServer,
  address: Address & { readonly type: "pipe" },
): Promise<Result<Address, string>> {
  const { path, mode } = address;
  if (path.startsWith("@")) {
    const listening = await server.listen({ path: `\0${path.slice(1)}` });
    return listening.ok ? ok(address) : refused(address, listening.error);
  }
  let listening = await server.listen({ path });
  if (!listening.ok && listening.error.code === "EADDRINUSE" && (await isLeftBehind(path))) {
    unlinkSync(path);
    listening = await server.listen({ path });
  }
  if (!listening.ok) return refused(address, listening.error);
  if (mode !== undefined) chmodSync(path, mode);
  return ok(address);
}

function refused(address: Address, { code, message }: NodeJS.ErrnoException): Result<Address, string> {
  const why = code === "EADDRINUSE" ? "the address is taken" : message;
  return err(`admin cannot listen on ${addressText(address)}: ${why}; --admin-address names another`);
}
