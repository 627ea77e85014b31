import { findStoredType, knownTypes, type ResourceKey } from "@heddle/control-plane/resource-api";
import { UsageError } from "../command.ts";

/** What "cluster", "cluster/a/b", "service/shop/orders" and "gateway.networking.k8s.io/HTTPRoute/r" mean. */
export interface NamedResource {
  readonly type: string;
  readonly namespaced: boolean;
  /** "" where the whole type is meant. */
  readonly name: string;
  readonly namespace: string;
}

/** @param namespace that -n names; "" where it is left out. */
export function parseResourceName(text: string, namespace = ""): NamedResource {
  const slashes = [...text.matchAll(/\//g)].map(({ index }) => index);
  // A type may have a slash of its own, so the longest that is one is taken.
  for (const end of [text.length, ...slashes.reverse()]) {
    const stored = findStoredType(text.slice(0, end));
    if (stored === undefined) continue;
    const { type, namespaced } = stored;
    const rest = text.slice(end + 1);
    if (!namespaced) {
      if (namespace !== "") throw new UsageError(`--namespace: ${stored.shortNames[0]} is a type without namespaces`);
      return { type, namespaced, name: rest, namespace: "" };
    }
    const [first = "", second, ...more] = rest.split("/");
    if (more.length > 0) throw new UsageError(`found "${text}", allowed: TYPE/NAME, TYPE/NAMESPACE/NAME`);
    if (second === undefined) return { type, namespaced, name: first, namespace };
    if (namespace !== "" && namespace !== first)
      throw new UsageError(`--namespace ${namespace}: "${text}" names another one`);
    return { type, namespaced, name: second, namespace: first };
  }
  throw new UsageError(`"${text.split("/")[0]}" is no type; there are ${knownTypes()}`);
}

/** The one resource that is named. */
export function parseResourceKey(text: string, namespace: string, nodeCluster: string): ResourceKey {
  const named = parseResourceName(text, namespace);
  if (named.name === "") throw new UsageError(`found "${text}", allowed: TYPE/NAME`);
  return {
    type: named.type,
    namespace: named.namespaced ? named.namespace || "default" : "",
    name: named.name,
    nodeCluster,
  };
}

/** What --for says: "node.cluster=web"; "" where it is left out. */
export function parseFor(text: string | undefined): string {
  if (text === undefined) return "";
  const cluster = /^node\.cluster=(.+)$/.exec(text)?.[1];
  if (cluster === undefined) throw new UsageError(`--for: found "${text}", allowed: node.cluster=NAME`);
  return cluster;
}

/** What --expect-version says. */
export function parseVersion(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw new UsageError(`${flag}: found "${text}", allowed: a version, 0 for what does not exist`);
  return Number(text);
}
