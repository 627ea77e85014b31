import type { Workload } from "@heddle/mesh";
import type { XdsNode } from "@heddle/xds";
import type { NodeClaim } from "@heddle/xds/server";
import type { RawResource } from "../source/raw-resource.ts";
import type { NodeIdentity, NodeScope } from "./node-scope.ts";

/**
 * Which secrets a node gets. "all": the mesh has no authority of its own, and a secret is like any resource. "own": those
 * that are for its workload by name (X4). "none": it has not shown who it is (X3, X7).
 */
export type SecretRights = "all" | "own" | "none";

/**
 * X2: why a node that has shown who it is may have nothing, since it says that it is somebody else; undefined: it is who it
 * says. One that has shown nothing is denied nothing here, and has no rights either.
 */
export function denialOf(
  { identity }: NodeClaim,
  place: NodeIdentity,
  workload: Workload | undefined,
): string | undefined {
  if (identity === undefined) return undefined;
  const account = accountOf(identity);
  if (account === undefined) return "the certificate's identity is not that of a workload: /ns/NAMESPACE/sa/ACCOUNT";
  if (account.namespace !== place.namespace)
    return `the node is of the namespace ${place.namespace}, and its certificate of ${account.namespace}`;
  if (workload !== undefined && workload.serviceAccount !== account.name)
    return `the workload ${workload.name} runs as ${workload.serviceAccount}, and the certificate is that of ${account.name}`;
  return undefined;
}

/** Of "/ns/shop/sa/web". */
export function accountOf({ path }: NonNullable<XdsNode["identity"]>):
  | {
      readonly namespace: string;
      readonly name: string;
    }
  | undefined {
  const match = /^\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(path);
  return match === null ? undefined : { namespace: match[1] ?? "", name: match[2] ?? "" }; // both are there
}

/** Raw resources, as they concern a node. */
export interface RawForNode {
  readonly served: readonly RawResource[];
  /** For it, but for the secrets within: neither they nor what would be generated in their place is served. */
  readonly withheld: readonly RawResource[];
}

/** The raw resources for a node: of one type and name the one that is meant for the fewest nodes. */
export function rawResourcesFor(
  resources: readonly RawResource[],
  scope: Pick<NodeScope, "cluster" | "workload" | "rules" | "secrets">,
  secretTypeUrl: string,
): RawForNode {
  const ranked = resources
    .map((resource) => ({ resource, rank: rankFor(resource.nodes.cluster, scope) }))
    .filter(
      ({ rank, resource }) => rank !== NOT_MEANT && (resource.typeUrl !== secretTypeUrl || mayHave(resource, scope)),
    );
  const best = new Map<string, number>();
  for (const { resource, rank } of ranked) {
    if (rank === 0) continue;
    const key = nameInType(resource);
    best.set(key, Math.max(rank, best.get(key) ?? 0));
  }
  const chosen = ranked.filter(({ resource, rank }) => rank === (best.get(nameInType(resource)) ?? 0));
  const isServed = (resource: RawResource): boolean => resource.holdsSecrets !== true || mayHaveWithin(resource, scope);
  const [served, withheld]: [RawResource[], RawResource[]] = [[], []];
  for (const { resource } of chosen) (isServed(resource) ? served : withheld).push(resource);
  return { served, withheld };
}

const NOT_MEANT = -1;

/** How closely a selector fits: for all, for a namespace ("shop/*"), for a `node.cluster`, for a workload ("shop/web"). */
function rankFor(
  selector: string | undefined,
  { cluster, workload, rules }: Pick<NodeScope, "cluster" | "workload" | "rules">,
): number {
  if (selector === undefined) return 0;
  if (selector === `${rules.namespace}/*`) return 1;
  if (workload !== undefined && selector === `${workload.namespace}/${workload.name}`) return 3;
  return selector === cluster ? 2 : NOT_MEANT;
}

/**
 * X4, X5. What a node says of its cluster opens nothing here: a secret is for a workload whose account the certificate has,
 * or for its namespace. A selector without a namespace means one of `default`.
 */
function mayHave(
  { nodes }: RawResource,
  { secrets, workload, rules }: Pick<NodeScope, "secrets" | "workload" | "rules">,
): boolean {
  if (secrets === "all") return true;
  if (secrets === "none" || nodes.cluster === undefined) return false;
  const owner = nodes.cluster.includes("/") ? nodes.cluster : `default/${nodes.cluster}`;
  if (owner === `${rules.namespace}/*`) return true;
  return workload !== undefined && owner === `${workload.namespace}/${workload.name}`;
}

/**
 * X3, X4, X7: a key that stands in a listener is as good as one in a secret. What is for all nodes is for all that have shown
 * who they are.
 */
function mayHaveWithin(resource: RawResource, scope: Pick<NodeScope, "secrets" | "workload" | "rules">): boolean {
  return (scope.secrets === "own" && resource.nodes.cluster === undefined) || mayHave(resource, scope);
}

function nameInType({ typeUrl, name }: RawResource): string {
  return `${typeUrl} ${name}`;
}
