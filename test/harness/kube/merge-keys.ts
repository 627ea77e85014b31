import type { Json, JsonObject } from "./kube-object.ts";

/**
 * What tells the members of a list apart when patches and applied configurations are merged: `patchMergeKey` (the first alone) and
 * `x-kubernetes-list-map-keys` of the built-in kinds' fields. A list that is not here is replaced as a whole.
 */
const KEYS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  containers: [["name"]],
  initContainers: [["name"]],
  ephemeralContainers: [["name"]],
  env: [["name"]],
  volumes: [["name"]],
  volumeMounts: [["mountPath"]],
  volumeDevices: [["devicePath"]],
  imagePullSecrets: [["name"]],
  hostAliases: [["ip"]],
  topologySpreadConstraints: [["topologyKey", "whenUnsatisfiable"]],
  ports: [
    ["containerPort", "protocol"],
    ["port", "protocol"],
  ],
  conditions: [["type"]],
  ownerReferences: [["uid"]],
  webhooks: [["name"]],
  secrets: [["name"]],
  podIPs: [["ip"]],
  addresses: [["type"]],
  listeners: [["name"]],
};

/** What a key has where a member leaves it out. */
const DEFAULTS: Readonly<Record<string, Json>> = { protocol: "TCP" };

/** The key of a list whose members all have it; undefined: the list is one value. */
export function mergeKeyOf(
  parent: string,
  field: string,
  members: readonly JsonObject[],
): readonly string[] | undefined {
  // The `ports` of an EndpointSlice are replaced whole; those of Services and containers stand in something.
  if (field === "ports" && parent === "") return undefined;
  return KEYS[field]?.find((keys) =>
    members.every((member) => keys.every((key) => keyValue(member, key) !== undefined)),
  );
}

/** What a member has as that part of its key. */
export function keyValue(member: JsonObject, key: string): Json | undefined {
  return member[key] ?? DEFAULTS[key];
}
