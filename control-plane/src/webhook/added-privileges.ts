import { isJsonObject, type Json, type JsonObject, sameJson } from "@heddle/base";

/** By the name of a container: what it may have been added with. The capture container sets the rules of its pod's network. */
export type InjectedCapabilities = Readonly<Record<string, readonly string[]>>;

/**
 * What a patched pod may do to its node that it could not do before: each a sentence. A webhook acts with more trust than whoever
 * writes a pod's annotations, so nothing that these say (`heddle.dev/template` above all) may come out as a privilege: policies
 * that look at pods before mutation, and those that exempt the sidecar's containers by name, would be passed by it.
 *
 * @param capabilities that injection itself gives; containers of other names get none.
 */
export function addedPrivileges(
  before: JsonObject,
  after: JsonObject,
  capabilities: InjectedCapabilities,
): readonly string[] {
  const given = new Map(Object.entries(capabilities).map(([name, ofName]) => [JSON.stringify(name), ofName]));
  const [was, is] = [objectAt(before, "spec"), objectAt(after, "spec")];
  const added: string[] = [];
  for (const field of FIELDS_OF_THE_POD) if (differs(was[field], is[field])) added.push(`spec.${field} is changed`);
  const [context, newContext] = [objectAt(was, "securityContext"), objectAt(is, "securityContext")];
  for (const field of ["sysctls", "windowsOptions", "seccompProfile", "appArmorProfile"] as const)
    if (differs(context[field], newContext[field])) added.push(`spec.securityContext.${field} is changed`);
  const volumes = byName(was["volumes"]);
  for (const [name, volume] of byName(is["volumes"])) {
    const old = volumes.get(name);
    if (!differs(old, volume)) continue;
    const kind = Object.keys(volume).find((key) => key !== "name" && !HARMLESS_VOLUMES.has(key));
    if (kind !== undefined) added.push(`spec.volumes: ${name} is a ${kind}`);
  }
  for (const list of ["initContainers", "containers"] as const) {
    const containers = byName(was[list]);
    for (const [name, container] of byName(is[list]))
      added.push(
        ...containerPrivileges(containers.get(name), container, given.get(name) ?? []).map(
          (what) => `spec.${list}: ${name} ${what}`,
        ),
      );
  }
  return added;
}

/** Whose host it shares, where and as whom it runs, before whom it goes. */
const FIELDS_OF_THE_POD = [
  "hostNetwork",
  "hostPID",
  "hostIPC",
  "hostUsers",
  "serviceAccountName",
  "serviceAccount",
  "automountServiceAccountToken",
  "nodeName",
  "priorityClassName",
  "priority",
  "runtimeClassName",
] as const;

/** Of a pod's own: a Secret of its namespace is its author's to mount. */
const HARMLESS_VOLUMES: ReadonlySet<string> = new Set(["emptyDir", "projected", "configMap", "downwardAPI", "secret"]);

function containerPrivileges(was: JsonObject | undefined, is: JsonObject, given: readonly string[]): readonly string[] {
  const [before, after] = [objectAt(was ?? {}, "securityContext"), objectAt(is, "securityContext")];
  const added: string[] = [];
  for (const field of ["privileged", "allowPrivilegeEscalation"] as const)
    if (after[field] === true && before[field] !== true) added.push(`has securityContext.${field}`);
  if (
    after["procMount"] !== undefined &&
    after["procMount"] !== "Default" &&
    before["procMount"] !== after["procMount"]
  )
    added.push("has securityContext.procMount");
  for (const profile of ["seccompProfile", "appArmorProfile"] as const)
    if (objectAt(after, profile)["type"] === "Unconfined" && objectAt(before, profile)["type"] !== "Unconfined")
      added.push(`has securityContext.${profile} Unconfined`);
  const known = capabilitiesOf(before);
  for (const capability of capabilitiesOf(after))
    if (!known.includes(capability) && !given.includes(capability)) added.push(`has the capability ${capability}`);
  if (
    JSON.stringify(is["ports"] ?? []).includes('"hostPort"') &&
    !JSON.stringify(was?.["ports"] ?? []).includes('"hostPort"')
  )
    added.push("has a hostPort");
  if (is["volumeDevices"] !== undefined && was?.["volumeDevices"] === undefined) added.push("has volumeDevices");
  return added;
}

function differs(before: Json | undefined, after: Json | undefined): boolean {
  return !sameJson(before ?? null, after ?? null);
}

function capabilitiesOf(securityContext: JsonObject): readonly string[] {
  const { add } = objectAt(securityContext, "capabilities");
  return Array.isArray(add) ? add.map((name: Json) => JSON.stringify(name).replace(/^"(CAP_)?(.*)"$/, "$2")) : [];
}

function byName(list: Json | undefined): ReadonlyMap<string, JsonObject> {
  const items = Array.isArray(list) ? list.filter(isJsonObject) : [];
  return new Map(items.map((item) => [JSON.stringify(item["name"] ?? ""), item]));
}

function objectAt(json: JsonObject, key: string): JsonObject {
  const value = json[key];
  return isJsonObject(value) ? value : {};
}
