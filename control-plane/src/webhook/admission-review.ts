import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import type { PatchOperation } from "./json-patch.ts";
import { parseStrictJson } from "./strict-json.ts";

/* AdmissionReview of admission.k8s.io/v1: what an API server asks a webhook, and what it is answered. */

export const OPERATIONS = ["CREATE", "UPDATE", "DELETE", "CONNECT"] as const;
export type Operation = (typeof OPERATIONS)[number];

/** What an API server asks. */
export interface AdmissionRequest {
  readonly uid: string;
  /** "" is the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Plural, in lower case: "pods". */
  readonly resource: string;
  /** "" where the object itself is meant. */
  readonly subResource: string;
  readonly operation: Operation;
  /** Empty of an object that has none (yet: `generateName`). */
  readonly name: string;
  /** Empty of what belongs to no namespace. */
  readonly namespace: string;
  /** As it shall be; undefined of a DELETE. */
  readonly object: JsonObject | undefined;
  /** As it is; undefined of a CREATE. */
  readonly oldObject: JsonObject | undefined;
  /** Nothing may come of it. */
  readonly dryRun: boolean;
}

/** What an API server is answered. */
export type AdmissionAnswer = Admission | AdmissionRefusal;

export interface Admission {
  readonly allowed: true;
  /** Empty or left out: the object stays as it is. */
  readonly patch?: readonly PatchOperation[];
  readonly warnings?: readonly string[];
  /** For the API server's audit log; names are put behind the webhook's. */
  readonly audit?: Readonly<Record<string, string>>;
}

export interface AdmissionRefusal {
  readonly allowed: false;
  /** HTTP's, that the API server passes on. */
  readonly code: 400 | 403 | 422 | 500;
  /** For whoever wanted the object. */
  readonly message: string;
  readonly warnings?: readonly string[];
}

/** A review that cannot be answered as one, since nobody knows its uid: or one that can. */
export interface ReviewFault {
  /** Undefined: there is none that could be echoed. */
  readonly uid: string | undefined;
  readonly message: string;
}

const API_VERSION = "admission.k8s.io/v1";
const MAX_UID_LENGTH = 256;

/** Reads a review. The error says what is wrong with it, and holds no value of the object. */
export function readAdmissionReview(text: string): Result<AdmissionRequest, ReviewFault> {
  const json = parseStrictJson(text);
  if (!json.ok) return fault(undefined, `the body ${json.error}`);
  if (!isJsonObject(json.value)) return fault(undefined, "the body is no object");
  const { apiVersion, kind, request } = json.value;
  if (kind !== "AdmissionReview") return fault(undefined, `kind: found ${shown(kind)}, allowed: "AdmissionReview"`);
  if (apiVersion !== API_VERSION)
    return fault(undefined, `apiVersion: found ${shown(apiVersion)}, allowed: "${API_VERSION}"`);
  if (!isJsonObject(request)) return fault(undefined, "request: is missing");
  const { uid } = request;
  if (typeof uid !== "string" || uid === "" || uid.length > MAX_UID_LENGTH)
    return fault(undefined, `request.uid: allowed is a text of 1 to ${MAX_UID_LENGTH} characters`);
  const read = readRequest(uid, request);
  return read.ok ? read : fault(uid, `request.${read.error}`);
}

function readRequest(uid: string, request: JsonObject): Result<AdmissionRequest, string> {
  const { kind, resource, operation, object, oldObject, dryRun } = request;
  if (!isJsonObject(kind)) return err("kind: is missing");
  if (!isJsonObject(resource)) return err("resource: is missing");
  if (!OPERATIONS.includes(operation as Operation))
    return err(`operation: found ${shown(operation)}, allowed: ${OPERATIONS.join(", ")}`);
  for (const [name, value] of [
    ["object", object],
    ["oldObject", oldObject],
  ] as const)
    if (value !== undefined && value !== null && !isJsonObject(value)) return err(`${name}: is no object`);
  if (dryRun !== undefined && dryRun !== null && typeof dryRun !== "boolean")
    return err("dryRun: allowed: true, false");
  const texts: Record<string, string> = {};
  for (const [path, value] of [
    ["kind.group", kind["group"]],
    ["kind.version", kind["version"]],
    ["kind.kind", kind["kind"]],
    ["resource.resource", resource["resource"]],
    ["subResource", request["subResource"]],
    ["name", request["name"]],
    ["namespace", request["namespace"]],
  ] as const) {
    if (value !== undefined && value !== null && typeof value !== "string") return err(`${path}: is no text`);
    texts[path] = value ?? "";
  }
  for (const path of ["kind.kind", "resource.resource"]) if (texts[path] === "") return err(`${path}: is missing`);
  if ((operation === "CREATE" || operation === "UPDATE") && !isJsonObject(object))
    return err(`object: is missing, and a ${operation} has one`);
  return ok({
    uid,
    group: texts["kind.group"]!,
    version: texts["kind.version"]!,
    kind: texts["kind.kind"]!,
    resource: texts["resource.resource"]!,
    subResource: texts["subResource"]!,
    operation: operation as Operation,
    name: texts["name"]!,
    namespace: texts["namespace"]!,
    object: isJsonObject(object) ? object : undefined,
    oldObject: isJsonObject(oldObject) ? oldObject : undefined,
    dryRun: dryRun === true,
  });
}

/** The answer's JSON. */
export function formatAdmissionReview(uid: string, answer: AdmissionAnswer): string {
  const { warnings = [] } = answer;
  const response = {
    uid,
    allowed: answer.allowed,
    ...(answer.allowed && patchFields(answer.patch ?? [])),
    ...(answer.allowed && answer.audit && { auditAnnotations: answer.audit }),
    ...(!answer.allowed && { status: statusOf(answer.code, answer.message) }),
    ...(warnings.length > 0 && { warnings: limitedWarnings(warnings) }),
  };
  return JSON.stringify({ apiVersion: API_VERSION, kind: "AdmissionReview", response });
}

function patchFields(patch: readonly PatchOperation[]): object {
  if (patch.length === 0) return {};
  return { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch)).toString("base64") };
}

const REASONS = {
  400: "BadRequest",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  408: "Timeout",
  413: "RequestEntityTooLarge",
  415: "UnsupportedMediaType",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
} as const;

export type StatusCode = keyof typeof REASONS;

/** A `Status` of Kubernetes: what its clients show when a call fails. */
export function statusOf(code: StatusCode, message: string): JsonObject {
  return { apiVersion: "v1", kind: "Status", metadata: {}, status: "Failure", message, reason: REASONS[code], code };
}

const MAX_WARNINGS = 20;
const MAX_WARNING_LENGTH = 256;

/** An API server shows 4 KiB of warnings in all, and what is longer than 256 characters may be cut. */
function limitedWarnings(warnings: readonly string[]): readonly string[] {
  const shownOnes = warnings.slice(0, MAX_WARNINGS).map((warning) => shortened(warning, MAX_WARNING_LENGTH));
  const left = warnings.length - shownOnes.length;
  return left > 0 ? [...shownOnes, `… and ${left} more`] : shownOnes;
}

function fault(uid: string | undefined, message: string): Result<never, ReviewFault> {
  return err({ uid, message });
}

function shown(json: Json | undefined): string {
  if (json === undefined || json === null) return "nothing";
  return typeof json === "string" ? JSON.stringify(shortened(json, 60)) : `a ${typeof json}`;
}

function shortened(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
