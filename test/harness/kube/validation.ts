import { apiVersionOf, type Kind } from "./kinds.ts";
import { type KubeObject, member, objectsOf, text } from "./kube-object.ts";
import { badRequest, invalid } from "./status-error.ts";

/** Throws where the body is not of the kind that the path names, or not where the path says. */
export function checkPlace(
  kind: Kind,
  namespace: string | undefined,
  name: string | undefined,
  body: KubeObject,
): void {
  const apiVersion = apiVersionOf(kind);
  if (body.apiVersion !== apiVersion || body.kind !== kind.kind)
    throw badRequest(
      `${body.kind} in version ${JSON.stringify(body.apiVersion)} cannot be handled as a ${kind.kind} in version ${JSON.stringify(apiVersion)}`,
    );
  if (namespace !== undefined && body.metadata.namespace !== undefined && body.metadata.namespace !== namespace)
    throw badRequest("the namespace of the provided object does not match the namespace sent on the request");
  if (name !== undefined && body.metadata.name !== name)
    throw badRequest(`the name of the object (${body.metadata.name}) does not match the name on the URL (${name})`);
}

/** Throws 422 with all that is wrong: names, labels, and the few fields of built-in kinds that tests get wrong. */
export function validate(kind: Kind, object: KubeObject): void {
  const causes: { field: string; message: string }[] = [];
  const bad = (field: string, value: unknown, why: string): void => {
    causes.push({ field, message: `Invalid value: ${JSON.stringify(value)}: ${why}` });
  };
  const { name, labels = {}, annotations = {} } = object.metadata;
  const isName = nameRule(kind);
  if (!isName.test(name) || name.length > (isName === SUBDOMAIN ? 253 : isName === FREE ? 1024 : 63))
    bad(
      "metadata.name",
      name,
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
    );
  for (const [key, value] of Object.entries(labels)) {
    if (!QUALIFIED.test(key)) bad("metadata.labels", key, "name part must consist of alphanumeric characters");
    if (typeof value !== "string" || !LABEL_VALUE.test(value))
      bad(
        "metadata.labels",
        value,
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.'",
      );
  }
  for (const [key, value] of Object.entries(annotations)) {
    if (!QUALIFIED.test(key)) bad("metadata.annotations", key, "name part must consist of alphanumeric characters");
    if (typeof value !== "string") bad("metadata.annotations", value, "must be a string");
  }
  if (kind.group === "" && kind.kind === "Pod") {
    const containers = objectsOf(member(object["spec"], "containers"));
    if (containers.length === 0) causes.push({ field: "spec.containers", message: "Required value" });
    const names = [...containers, ...objectsOf(member(object["spec"], "initContainers"))].map((one) => one["name"]);
    for (const [i, one] of names.entries())
      if (names.indexOf(one) !== i)
        causes.push({ field: `spec.containers[${i}].name`, message: `Duplicate value: ${JSON.stringify(one)}` });
  }
  if (kind.group === "" && kind.kind === "Service") {
    const { type, ports } = (object["spec"] ?? {}) as { type?: string; ports?: unknown };
    if (type !== "ExternalName" && ports === undefined && member(object["spec"], "clusterIP") !== "None")
      causes.push({ field: "spec.ports", message: "Required value" });
  }
  if (kind.kind === "CustomResourceDefinition") {
    const isProtected = /\.(k8s|kubernetes)\.io$/.test(text(member(object["spec"], "group")));
    const field = "api-approved.kubernetes.io";
    if (isProtected && annotations[field] === undefined)
      causes.push({
        field: `metadata.annotations[${field}]`,
        message: "Required value: protected groups must have it",
      });
  }
  if (causes.length > 0) throw invalid(kind.kind, kind.group, name, causes);
}

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
/** Names of RBAC: what a path can hold. */
const FREE = /^(?!\.\.?$)[^/%]+$/;
const QUALIFIED = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;

function nameRule({ group, kind }: Kind): RegExp {
  if (group === "rbac.authorization.k8s.io") return FREE;
  return group === "" && (kind === "Namespace" || kind === "Service") ? LABEL : SUBDOMAIN;
}
