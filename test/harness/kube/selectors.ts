import { type JsonObject, type KubeObject, member, objectsOf, stringsOf, text } from "./kube-object.ts";
import { badRequest } from "./status-error.ts";

export type ObjectMatch = (object: KubeObject) => boolean;

/** `labelSelector` of a query: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Throws 400 where it is something else. */
export function labelSelector(text: string): ObjectMatch {
  const requirements = splitOutsideBrackets(text).map(labelRequirement);
  return ({ metadata: { labels = {} } }) => requirements.every((holds) => holds(labels));
}

/** A LabelSelector of meta/v1; one that is absent or empty selects everything. */
export function selectsLabels(selector: JsonObject | undefined, labels: Readonly<Record<string, string>>): boolean {
  const exact = Object.entries(member(selector, "matchLabels") ?? {});
  if (!exact.every(([key, value]) => labels[key] === value)) return false;
  return objectsOf(selector?.["matchExpressions"]).every(({ key, operator, values }) => {
    const found = labels[text(key)];
    const isIn = found !== undefined && stringsOf(values).includes(found);
    if (operator === "In") return isIn;
    if (operator === "NotIn") return !isIn;
    return (operator === "Exists") === (found !== undefined);
  });
}

/** The fields by which lists and watches of any kind, and of one kind, may be narrowed. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  "": ["metadata.name", "metadata.namespace"],
  Pod: ["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase", "status.podIP"],
  Secret: ["type"],
  Service: ["spec.clusterIP", "spec.type"],
  Namespace: ["status.phase"],
  Node: ["spec.unschedulable"],
  Event: ["involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "involvedObject.uid", "reason", "type"],
}; // biome-ignore format: a table

/** `fieldSelector` of a query: `metadata.name=a,spec.nodeName!=b`. Throws 400 for a field that the kind does not have. */
export function fieldSelector(selector: string, kind: string): ObjectMatch {
  const allowed = [...FIELDS[""]!, ...(FIELDS[kind] ?? [])];
  const terms = selector
    .split(",")
    .filter((term) => term !== "")
    .map((term) => {
      const [, field = "", operator, value] = /^([^=!]+)(==|!=|=)(.*)$/.exec(term) ?? [];
      if (operator === undefined) throw badRequest(`invalid selector: '${term}'; can't understand '${term}'`);
      if (!allowed.includes(field)) throw badRequest(`field label not supported: ${field}`);
      return (object: KubeObject): boolean =>
        (text(member(object, ...field.split("."))) === value) === (operator !== "!=");
    });
  return (object) => terms.every((holds) => holds(object));
}

type Labels = Readonly<Record<string, string>>;

function labelRequirement(term: string): (labels: Labels) => boolean {
  const set = /^\s*([^\s!=,()]+)\s+(in|notin)\s+\(([^()]*)\)\s*$/.exec(term);
  if (set !== null) {
    const [, key = "", operator, list = ""] = set;
    const values = list.split(",").map((value) => value.trim());
    return (labels) => (labels[key] !== undefined && values.includes(labels[key])) === (operator === "in");
  }
  const equality = /^\s*([^\s!=,()]+)\s*(==|!=|=)\s*([^\s!=,()]*)\s*$/.exec(term);
  if (equality !== null) {
    const [, key = "", operator, value] = equality;
    return (labels) => (labels[key] === value) === (operator !== "!=");
  }
  const [, not, key] = /^\s*(!?)\s*([^\s!=,()]+)\s*$/.exec(term) ?? [];
  if (key === undefined) throw badRequest(`unable to parse requirement: ${JSON.stringify(term)}`);
  return (labels) => (labels[key] !== undefined) === (not === "");
}

function splitOutsideBrackets(text: string): string[] {
  return text.split(/,(?![^(]*\))/).filter((term) => term.trim() !== "");
}
