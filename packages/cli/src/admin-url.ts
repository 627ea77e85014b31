import { UsageError } from "./command.ts";

/** For `parseArgs`: what every command takes that asks the control plane's admin. */
export const ADMIN_OPTIONS = { admin: { type: "string" }, "admin-port": { type: "string" } } as const;

/** For what is said where it is not found there. */
export const HOW_TO_NAME_ADMIN = "name it with --admin-port or HEDDLE_CONTROL_PLANE_ADMIN";

/** Where the control plane's admin is, by flags and environment. */
export function adminUrl(
  { admin, "admin-port": port }: { readonly admin?: string | undefined; readonly "admin-port"?: string | undefined },
  environment: Readonly<Record<string, string | undefined>>,
): string {
  if (admin === undefined && port !== undefined) {
    if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65_535)
      throw new UsageError(`--admin-port: found "${port}", allowed: 1 to 65535`);
    return `http://127.0.0.1:${port}`;
  }
  const text = admin ?? environment["HEDDLE_CONTROL_PLANE_ADMIN"] ?? "http://127.0.0.1:15014";
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol)) return text.replace(/\/$/, "");
  const from = admin === undefined ? "HEDDLE_CONTROL_PLANE_ADMIN" : "--admin";
  throw new UsageError(`${from}: found "${text}", allowed: http://HOST:PORT`);
}
