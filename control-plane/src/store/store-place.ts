import { createHash } from "node:crypto";
import { basename, join, resolve } from "node:path";
import { err, ok, type Result } from "@heddle/base";
import { type HostPort, parseHostPort } from "../serve/address.ts";

/** Where a control plane stores what people put into it. */
export type StorePlace =
  | { readonly type: "none" }
  /** A folder of this machine. */
  | { readonly type: "log"; readonly directory: string }
  /** Keys below `prefix` of an etcd. */
  | { readonly type: "etcd"; readonly endpoints: readonly HostPort[]; readonly prefix: string; readonly tls: boolean }
  /** A folder below that of the system for such things. */
  | { readonly type: "default" };

const ETCD = /^(etcds?):\/\/([^/]+)(\/.*)?$/;
const DEFAULT_PREFIX = "/heddle/";

/** Reads what stands behind --store: "none", "etcd://10.0.0.1:2379,10.0.0.2:2379/prefix", or a folder. */
export function parseStorePlace(text: string): Result<StorePlace, string> {
  if (text === "") return err('found "", allowed: a folder, etcd://HOST:PORT[,HOST:PORT][/PREFIX], none');
  if (text === "none") return ok({ type: "none" });
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return ok({ type: "log", directory: resolve(text) });
  const match = ETCD.exec(text);
  if (match === null) return err(`found "${text}", allowed: a folder, etcd://HOST:PORT[,HOST:PORT][/PREFIX], none`);
  const endpoints: HostPort[] = [];
  for (const word of match[2]!.split(",")) {
    const endpoint = parseHostPort(word);
    if (!endpoint.ok) return endpoint;
    endpoints.push(endpoint.value);
  }
  const path = match[3] ?? "";
  const prefix = path === "" || path === "/" ? DEFAULT_PREFIX : path.endsWith("/") ? path : `${path}/`;
  return ok({ type: "etcd", endpoints, prefix, tls: match[1] === "etcds" });
}

/**
 * The folder for the store of a mesh where none was named: below systemd's STATE_DIRECTORY, XDG_STATE_HOME, or
 * ~/.local/state. Each folder of configuration has its own, so that one mesh does not meet what was put into another.
 * Undefined where the environment names no such place.
 *
 * @param folder of configuration, the first if there are several.
 */
export function defaultStoreDirectory(
  environment: Readonly<Record<string, string | undefined>>,
  folder: string | undefined,
): string | undefined {
  const { STATE_DIRECTORY: service, XDG_STATE_HOME: state, HOME: home } = environment;
  const root = service?.split(":")[0] || (state ? join(state, "heddle") : home && join(home, ".local/state/heddle"));
  if (!root) return undefined;
  if (folder === undefined) return join(root, "store");
  const path = resolve(folder);
  const hash = createHash("sha256").update(path).digest("hex").slice(0, 8);
  return join(root, `store-${basename(path).replaceAll(/[^\w.-]/g, "_")}-${hash}`);
}
