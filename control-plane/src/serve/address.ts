import { isIP } from "node:net";
import { err, ok, type Result } from "@heddle/base";
import type { AdminAddress } from "@heddle/telemetry/admin";

/** Where a server listens. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Reads "127.0.0.1:15010", "[::1]:15010", "localhost:15010". */
export function parseHostPort(text: string): Result<HostPort, string> {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return err(`found "${text}", allowed: HOST:PORT such as 127.0.0.1:15010`);
  return ok({ host, port });
}

export function formatHostPort({ host, port }: HostPort): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The same, or "unix:/run/heddle/admin.sock" (also "unix:///run/…"). */
export function parseAdminAddress(text: string): Result<AdminAddress, string> {
  const path = /^unix:(?:\/\/)?(\/.+)$/.exec(text)?.[1];
  if (path !== undefined) {
    if (Buffer.byteLength(path) <= MAX_PATH_BYTES && !path.includes("\0")) return ok({ path });
    return err(`found a path of ${Buffer.byteLength(path)} bytes, allowed are ${MAX_PATH_BYTES}`);
  }
  const address = parseHostPort(text);
  return address.ok ? address : err(`${address.error}, or unix:/PATH`);
}

/** `sun_path` has 108, of which the last is a NUL. */
const MAX_PATH_BYTES = 107;

/** "127.0.0.1:15014", "unix:/run/heddle/admin.sock" */
export function formatAddress(address: AdminAddress): string {
  return "path" in address ? `unix:${address.path}` : formatHostPort(address);
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** The program cannot start as it was told to: says why, and what to do. */
export class StartError extends Error {
  override name = "StartError";
}

/** A server could not take its address: says which, why, and what to do. */
export class ListenError extends StartError {
  override name = "ListenError";

  constructor(what: string, address: AdminAddress, flag: string, cause: unknown) {
    const taken = String((cause as Error | undefined)?.message ?? cause).includes("EADDRINUSE");
    const why = taken ? `is taken by another process; choose another with ${flag}` : String((cause as Error).message);
    super(`${what}: ${formatAddress(address)} ${why}`, { cause });
  }
}
