import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import type { Diagnostic, YamlDocument } from "@heddle/config";
import { readObjects } from "@heddle/mesh";
import type { AdmissionAnswer, AdmissionRequest } from "./admission-review.ts";
import { isEqual } from "./json-patch.ts";

/** The API groups whose objects configure the mesh. */
const GROUPS: ReadonlySet<string> = new Set(["heddle.dev", "gateway.networking.k8s.io"]);

/**
 * Says whether an object may configure the mesh: what `heddle check` has as errors of one object refuses it, its warnings are
 * warnings. What stands between objects (a route without its Service) is none of it: a cluster takes objects in any order.
 *
 * Never in the way of what mends or ends an object: a deletion, what is being deleted, a status, and a change that leaves its
 * specification as it is pass whatever it is.
 */
export function reviewConfiguration(request: AdmissionRequest): AdmissionAnswer {
  const { group, operation, subResource, object, oldObject } = request;
  if (!GROUPS.has(group) || subResource !== "" || object === undefined || operation === "DELETE")
    return { allowed: true };
  const metadata = isJsonObject(object["metadata"]) ? object["metadata"] : {};
  if (metadata["deletionTimestamp"] !== undefined) return { allowed: true };
  const { diagnostics } = readObjects(documentOf(request, object, metadata));
  const textsOf = (severity: Diagnostic["severity"]): readonly string[] =>
    diagnostics.filter((one) => one.severity === severity).map(formatted);
  const [errors, warnings] = [textsOf("error"), textsOf("warning")];
  const isOfOthers = group !== "heddle.dev" && !hasServiceParent(object);
  if (errors.length === 0) return { allowed: true, warnings: isOfOthers ? [] : warnings };
  // Routes of a gateway are that gateway's to judge: it may take what we do not.
  if (isOfOthers) return { allowed: true };
  if (oldObject !== undefined && isEqual(withoutChangeable(oldObject), withoutChangeable(object)))
    return { allowed: true, warnings: [...errors, ...warnings] };
  return { allowed: false, code: 422, message: errors.join("; "), warnings };
}

/** The object as a document of one file. Its lines are the API server's, so no place has any. */
function documentOf(
  { kind, namespace, name }: AdmissionRequest,
  object: JsonObject,
  metadata: JsonObject,
): YamlDocument {
  // Its status is for whoever serves it to write. Names may stand in the request's path alone.
  const { status: _status, ...rest } = object;
  const names = {
    ...(namespace !== "" && { namespace }),
    ...(name !== "" && { name }),
    ...generatedName(metadata, name),
  };
  const json: Json = { ...rest, metadata: { ...names, ...metadata } };
  const file = `${kind} ${namespace === "" ? "" : `${namespace}/`}${name}`;
  const place = { line: 0, column: 0 };
  return {
    file,
    json,
    positionOf: () => place,
    diagnostic: (path, message, severity = "error") => ({ severity, file, ...place, path, message }),
  };
}

/** `generateName`: the name is not there yet, and will be a good one. */
function generatedName({ generateName }: JsonObject, name: string): { readonly name?: string } {
  return name === "" && typeof generateName === "string" && generateName !== "" ? { name: `${generateName}x` } : {};
}

/** GAMMA: what hangs on a Service is the mesh's. */
function hasServiceParent({ spec }: JsonObject): boolean {
  const parents = isJsonObject(spec) ? spec["parentRefs"] : undefined;
  if (!Array.isArray(parents)) return false;
  return parents.some(
    (parent) =>
      isJsonObject(parent) && parent["kind"] === "Service" && (parent["group"] === "" || parent["group"] === "core"),
  );
}

function withoutChangeable({ metadata: _metadata, status: _status, ...rest }: JsonObject): Json {
  return rest;
}

function formatted({ path, message }: Diagnostic): string {
  return path === "" ? message : `${path}: ${message}`;
}
