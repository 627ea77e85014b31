import type { ResourceKey } from "./resource-key.ts";

/** Who calls the API, and what that one may do. */
export interface Caller {
  /** Of its token; "" where the API is open. */
  readonly name: string;
  /** `write` may also read, `admin` may also see secrets. */
  readonly role: Role;
  /** Values of `node.cluster` whose resources it may write. */
  readonly groups: readonly string[] | undefined;
  /** Namespaces whose Services, routes and Workloads it may write. */
  readonly namespaces: readonly string[] | undefined;
}

export const ROLES = ["read", "write", "admin"] as const;

export type Role = (typeof ROLES)[number];

/** Whoever reaches an API without tokens, which is on loopback: everything but secrets. */
export const ANYBODY: Caller = { name: "", role: "write", groups: undefined, namespaces: undefined };

export function mayWrite(caller: Caller, key: ResourceKey): boolean {
  return caller.role !== "read" && isWithin(caller, key);
}

/** What is for all nodes is read by everybody who has a token: the nodes of every group get it. */
export function mayRead({ groups }: Caller, { nodeCluster }: ResourceKey): boolean {
  return groups === undefined || nodeCluster === "" || groups.includes(nodeCluster);
}

export function maySeeSecrets({ role }: Caller): boolean {
  return role === "admin";
}

/** Somebody who is held to groups, or to namespaces, may change nothing that others share with them. */
function isWithin({ groups, namespaces }: Caller, { namespace, nodeCluster }: ResourceKey): boolean {
  if (groups === undefined && namespaces === undefined) return true;
  if (namespace !== "") return namespaces?.includes(namespace) ?? false;
  return nodeCluster !== "" && (groups?.includes(nodeCluster) ?? false);
}
