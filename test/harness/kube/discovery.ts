import { apiVersionOf, type Kind, type Kinds } from "./kinds.ts";
import type { JsonObject } from "./kube-object.ts";

const ALL_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/** The documents by which clients learn what there is: /api, /apis and one for each version of a group. Undefined: none of these. */
export function discovery(path: string, kinds: Kinds): JsonObject | undefined {
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"], serverAddressByClientCIDRs: [] };
  const named = groups(kinds).filter(({ name }) => name !== "");
  if (path === "/apis") return { kind: "APIGroupList", apiVersion: "v1", groups: named.map(groupDocument) };
  const [, root, first = "", second, more] = path.split("/");
  if (more !== undefined) return undefined;
  if (root === "api" && second === undefined) return resources(kinds, "", first);
  if (root !== "apis") return undefined;
  if (second !== undefined) return resources(kinds, first, second);
  const group = named.find(({ name }) => name === first);
  return group === undefined ? undefined : { kind: "APIGroup", apiVersion: "v1", ...groupDocument(group) };
}

interface Group {
  readonly name: string;
  readonly versions: readonly string[];
}

/** All groups, each with its versions, the preferred first. */
export function groups(kinds: Kinds): readonly Group[] {
  const versions = new Map<string, Set<string>>();
  for (const { group, version } of kinds.all()) versions.set(group, (versions.get(group) ?? new Set()).add(version));
  return [...versions].map(([name, all]) => ({ name, versions: [...all].sort(byPreference) }));
}

/** v2 before v1, v1 before v1beta1, and that before v1alpha2. */
function byPreference(a: string, b: string): number {
  const rank = (version: string): readonly number[] => {
    const [, major = "0", stage, minor = "0"] = /^v(\d+)(alpha|beta)?(\d+)?$/.exec(version) ?? [];
    return [stage === undefined ? 2 : stage === "beta" ? 1 : 0, Number(major), Number(minor)];
  };
  const [left, right] = [rank(a), rank(b)];
  return right[0]! - left[0]! || right[1]! - left[1]! || right[2]! - left[2]!;
}

function groupDocument({ name, versions }: Group): JsonObject {
  const documents = versions.map((version) => ({ groupVersion: `${name}/${version}`, version }));
  return { name, versions: documents, preferredVersion: documents[0] };
}

function resources(kinds: Kinds, group: string, version: string): JsonObject | undefined {
  const found = kinds.all().filter((kind) => kind.group === group && kind.version === version);
  if (found.length === 0) return undefined;
  return {
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: apiVersionOf({ group, version }),
    resources: found.flatMap(entries),
  };
}

function entries(kind: Kind): readonly JsonObject[] {
  const { plural, singular, namespaced, shortNames, verbs = ALL_VERBS } = kind;
  const main = {
    name: plural,
    singularName: singular,
    namespaced,
    kind: kind.kind,
    verbs,
    ...(shortNames.length === 0 ? {} : { shortNames }),
    ...(plural === "pods" || plural === "services" || plural === "deployments" ? { categories: ["all"] } : {}),
  };
  const status = {
    name: `${plural}/status`,
    singularName: "",
    namespaced,
    kind: kind.kind,
    verbs: ["get", "patch", "update"],
  };
  const token = {
    name: "serviceaccounts/token",
    singularName: "",
    namespaced,
    group: "authentication.k8s.io",
    version: "v1",
    kind: "TokenRequest",
    verbs: ["create"],
  };
  return [main, ...(kind.hasStatus ? [status] : []), ...(plural === "serviceaccounts" ? [token] : [])];
}
