import { isJsonObject, type Json, type JsonObject, sameJson } from "@heddle/base";
import { type Diagnostic, formatDiagnostic } from "@heddle/config";
import { type MeshObject, readObjects } from "@heddle/mesh";
import type { ChangeFaults } from "../source/judge-change.ts";
import { kubePlace, PlacelessDocument } from "../source/placeless-document.ts";
import type { AdmissionAnswer, AdmissionRequest } from "./admission-review.ts";

/** The API groups whose objects configure the mesh. */
const GROUPS: ReadonlySet<string> = new Set(["heddle.dev", "gateway.networking.k8s.io"]);

/** Says what an object of a namespace would put wrong beside others. Undefined: not known now. */
export type JudgeObject = (
  namespace: string,
  place: string,
  objects: readonly MeshObject[],
) => ChangeFaults | undefined;

/**
 * Says whether an object may configure the mesh: what `heddle check` has as errors refuses it, its warnings are warnings. Of what
 * stands between objects errors alone refuse that this change brings: a route without its Service is a warning, since a cluster takes
 * objects in any order. Where the others are not known, the object alone is judged, and that is said.
 *
 * Never in the way of what mends or ends an object: a deletion, what is being deleted, a status, and a change that leaves its
 * specification as it is pass whatever it is.
 */
export function reviewConfiguration(request: AdmissionRequest, judge?: JudgeObject): AdmissionAnswer {
  const { group, operation, subResource, object, oldObject } = request;
  if (!GROUPS.has(group) || subResource !== "" || object === undefined || operation === "DELETE")
    return { allowed: true };
  const metadata = isJsonObject(object["metadata"]) ? object["metadata"] : {};
  if (metadata["deletionTimestamp"] !== undefined) return { allowed: true };
  const document = documentOf(request, object, metadata);
  const { objects, diagnostics } = readObjects(document);
  // Routes of a gateway are that gateway's to judge: it may take what we do not.
  if (group !== "heddle.dev" && !hasServiceParent(object)) return { allowed: true };
  const own: Said = {
    errors: diagnostics.filter(({ severity }) => severity === "error").map(formatted),
    warnings: diagnostics.filter(({ severity }) => severity === "warning").map(formatted),
  };
  if (oldObject !== undefined && sameJson(withoutChangeable(oldObject), withoutChangeable(object)))
    return { allowed: true, warnings: [...own.errors, ...own.warnings] };
  const between =
    own.errors.length > 0 || judge === undefined ? NOTHING : saidBetween(request, document, objects, judge);
  const errors = [...own.errors, ...between.errors];
  const warnings = [...own.warnings, ...between.warnings];
  return errors.length === 0
    ? { allowed: true, warnings }
    : { allowed: false, code: 422, message: errors.join("; "), warnings };
}

/** As whoever wants the object reads it. */
interface Said {
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

const NOTHING: Said = { errors: [], warnings: [] };

function saidBetween(
  { namespace }: AdmissionRequest,
  { file }: PlacelessDocument,
  objects: readonly MeshObject[],
  judge: JudgeObject,
): Said {
  const faults = judge(namespace, file, objects);
  if (faults === undefined)
    return {
      errors: [],
      warnings: ["not all of the mesh's configuration has been read yet: this object was judged alone"],
    };
  const told = (one: Diagnostic): string => (one.file === file ? formatted(one) : formatDiagnostic(one));
  return { errors: faults.errors.map(told), warnings: faults.warnings.map(told) };
}

/** The object as a document of one file. Its lines are the API server's, so no place has any. */
function documentOf(
  { kind, namespace, name }: AdmissionRequest,
  object: JsonObject,
  metadata: JsonObject,
): PlacelessDocument {
  // Its status is for whoever serves it to write. Names may stand in the request's path alone.
  const { status: _status, ...rest } = object;
  const names = {
    ...(namespace !== "" && { namespace }),
    ...(name !== "" && { name }),
    ...generatedName(metadata, name),
  };
  return new PlacelessDocument(kubePlace(kind, namespace === "" ? name : `${namespace}/${name}`), {
    ...rest,
    metadata: { ...names, ...metadata },
  });
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
