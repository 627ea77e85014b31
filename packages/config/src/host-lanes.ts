import type { RouteConfiguration, VirtualHost } from "@heddle/traffic";
import { canonicalJson, contentHash } from "./content-hash.ts";
import type { ConfigLaneEntry } from "./proxy-config.ts";

/*
 * A route configuration may have ten thousand virtual hosts, of which VHDS changes one. So that this one alone crosses to the workers,
 * a long list crosses apart from the rest: each host once, under a key that holds the hash of its content, and in the route
 * configuration the list of hashes. A worker keeps what it knows by hash, and so the very object of a host that has not changed.
 *
 * A door for workers: nothing here may import more than types.
 */

/** Fewer cross with their route configuration: an entry of its own costs some hundred bytes. */
const LEAST_HOSTS = 16;

/** The first part of a host's key. Not a kind of lane: whoever is told of a step sees whole route configurations. */
const HOST_PREFIX = "virtual-host/";

/** A route configuration whose hosts cross apart. */
type Head = Omit<RouteConfiguration, "virtualHosts"> & { readonly virtualHostHashes: readonly string[] };

export interface SplitRoutes {
  readonly head: ConfigLaneEntry;
  /** Each once. */
  readonly hosts: readonly ConfigLaneEntry[];
}

export function isHostKey(key: string): boolean {
  return key.startsWith(HOST_PREFIX);
}

/** Undefined: it crosses as a whole. `key`: its lane key. */
export function splitHosts(key: string, { virtualHosts, ...rest }: RouteConfiguration): SplitRoutes | undefined {
  if (virtualHosts.length < LEAST_HOSTS) return undefined;
  const hosts = new Map<string, ConfigLaneEntry>();
  const virtualHostHashes = virtualHosts.map((host) => {
    const { hash, bytes } = encoded(host);
    hosts.set(hash, { key: hostKey(key, hash), hash, bytes });
    return hash;
  });
  const head: Head = { ...rest, virtualHostHashes };
  const bytes = new TextEncoder().encode(canonicalJson(head));
  return { head: { key, hash: contentHash(bytes), bytes }, hosts: [...hosts.values()] };
}

/** The hosts of a worker, by key, and what puts them back. */
export class HeldHosts {
  readonly #hosts = new Map<string, VirtualHost>();

  take({ key, bytes }: ConfigLaneEntry): void {
    // Buffer reads shared memory, which TextDecoder need not.
    this.#hosts.set(key, JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8")));
  }

  drop(key: string): void {
    this.#hosts.delete(key);
  }

  /** With its hosts, if they have crossed apart. Throws where one has not come. */
  whole(key: string, value: RouteConfiguration | Head): RouteConfiguration {
    if (!("virtualHostHashes" in value)) return value;
    const { virtualHostHashes, ...rest } = value;
    const virtualHosts = virtualHostHashes.map((hash) => {
      const host = this.#hosts.get(hostKey(key, hash));
      if (host === undefined) throw new Error(`${key}: the virtual host ${hash} has not come`);
      return host;
    });
    return { ...rest, virtualHosts };
  }
}

function hostKey(routes: string, hash: string): string {
  return `${HOST_PREFIX}${hash}/${routes}`;
}

/** A host that is the same object is encoded once, whatever changes beside it. */
const ENCODED = new WeakMap<VirtualHost, { readonly hash: string; readonly bytes: Uint8Array }>();

function encoded(host: VirtualHost): { readonly hash: string; readonly bytes: Uint8Array } {
  let found = ENCODED.get(host);
  if (found === undefined) {
    const bytes = new TextEncoder().encode(canonicalJson(host));
    found = { hash: contentHash(bytes), bytes };
    ENCODED.set(host, found);
  }
  return found;
}
