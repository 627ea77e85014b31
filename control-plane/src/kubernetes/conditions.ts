import { isDeepStrictEqual } from "node:util";
import type { Json, JsonObject } from "@heddle/base";
import { type Diagnostic, formatDiagnostic } from "@heddle/config";
import { attachmentFault, backendRefsOf, isRefused, isRoute, type Mesh, type Route, refusalOf } from "@heddle/mesh";
import type { KubeStatus, ReadObject } from "./object-reader.ts";

/** Who says it: `controllerName` in the status of routes, which others write too. */
export const CONTROLLER_NAME = "heddle.dev/controller";

const MAX_MESSAGE = 1000;

/** What a condition (meta/v1) says. Generation and time are added. */
interface Finding {
  readonly type: "Accepted" | "ResolvedRefs";
  readonly isTrue: boolean;
  readonly reason: string;
  readonly message: string;
}

/**
 * The status that an object should have; undefined: it has it. Of a route one entry for each Service among its parents, beside
 * those of other controllers; of a kind of ours the condition `Accepted`.
 *
 * @param nowText as `metav1.Time`: of conditions that change.
 */
export function statusFor(read: ReadObject, mesh: Mesh, nowText: string): JsonObject | undefined {
  const { status: seen, place } = read;
  if (seen === undefined) return undefined;
  return ROUTE.test(place) ? routeStatus(read, seen, mesh, nowText) : ownStatus(read, seen, nowText);
}

const ROUTE = /^kubernetes (HTTP|GRPC|TLS|TCP)Route /;

function ownStatus({ diagnostics }: ReadObject, seen: KubeStatus, nowText: string): JsonObject | undefined {
  const conditions = listOf(seen.status["conditions"]);
  const merged = mergeConditions(conditions, [accepted(diagnostics, "Invalid")], seen.generation, nowText);
  return same(merged, conditions) ? undefined : { conditions: merged };
}

function routeStatus(
  { object, diagnostics }: ReadObject,
  { status, generation, parentRefs }: KubeStatus,
  mesh: Mesh,
  nowText: string,
): JsonObject | undefined {
  const entries = listOf(status["parents"]);
  const isOurs = (entry: JsonObject): boolean => entry["controllerName"] === CONTROLLER_NAME;
  const route = object !== undefined && isRoute(object) ? mesh.granted(object) : undefined;
  const ours = parentRefs.map((parentRef) => {
    const before = entries.find((entry) => isOurs(entry) && same(entry["parentRef"], parentRef));
    const findings = [acceptedBy(parentRef, route, diagnostics, mesh), resolvedFor(parentRef, route, mesh)];
    const conditions = mergeConditions(listOf(before?.["conditions"]), findings, generation, nowText);
    return { parentRef, controllerName: CONTROLLER_NAME, conditions };
  });
  const parents = [...entries.filter((entry) => !isOurs(entry)), ...ours];
  // Others may have put theirs in between: what counts is what is there.
  const isSame = parents.length === entries.length && parents.every((one) => entries.some((entry) => same(one, entry)));
  return isSame ? undefined : { parents };
}

function accepted(diagnostics: readonly Diagnostic[], reasonOfFault: string): Finding {
  const faults = diagnostics.filter(({ severity }) => severity === "error");
  if (faults.length === 0)
    return { type: "Accepted", isTrue: true, reason: "Accepted", message: warnings(diagnostics) };
  return { type: "Accepted", isTrue: false, reason: reasonOfFault, message: textOf(faults) };
}

/** Reasons are Gateway API's. */
function acceptedBy(
  parentRef: JsonObject,
  route: Route | undefined,
  diagnostics: readonly Diagnostic[],
  mesh: Mesh,
): Finding {
  const fault = accepted(diagnostics, "UnsupportedValue");
  const parent = route?.parents.find(
    ({ name, namespace, port, portName }) =>
      name === parentRef["name"] &&
      namespace === (parentRef["namespace"] ?? route.namespace) &&
      port === (parentRef["port"] ?? undefined) &&
      (portName ?? "") === (parentRef["sectionName"] ?? ""),
  );
  if (!fault.isTrue || route === undefined || parent === undefined) return fault;
  const service = mesh.service(parent.namespace, parent.name);
  if (service === undefined) {
    const message = `there is no Service ${parent.namespace}/${parent.name}`;
    return { type: "Accepted", isTrue: false, reason: "NoMatchingParent", message };
  }
  const found = attachmentFault(route, parent, service, mesh.routesOf(service));
  if (found === undefined) return fault;
  if (found.reason === undefined)
    return { ...fault, message: [fault.message, found.message].filter(Boolean).join("; ") };
  return { type: "Accepted", isTrue: false, reason: found.reason, message: found.message };
}

function resolvedFor(parentRef: JsonObject, route: Route | undefined, mesh: Mesh): Finding {
  const backends = route === undefined ? [] : backendRefsOf(route);
  const { otherKind } = backends.find((backend) => backend.otherKind !== undefined) ?? {};
  if (otherKind !== undefined)
    return unresolved("InvalidKind", `nothing is sent to a backend: ${otherKind} is not known here`);
  const said = parentRef["namespace"];
  const parent = { namespace: typeof said === "string" ? said : (route?.namespace ?? "") };
  // First, so that nobody learns from it what there is in another namespace.
  const refused = backends.find((backend) => route !== undefined && isRefused(route, backend, parent));
  if (route !== undefined && refused !== undefined) return unresolved("RefNotPermitted", refusalOf(route, refused));
  for (const { namespace, name, port } of backends) {
    const service = mesh.service(namespace, name);
    if (service === undefined) return unresolved("BackendNotFound", `there is no Service ${namespace}/${name}`);
    if (!service.ports.some((one) => one.port === port))
      return unresolved("BackendNotFound", `the Service ${namespace}/${name} has no port ${port}`);
  }
  return { type: "ResolvedRefs", isTrue: true, reason: "ResolvedRefs", message: "" };
}

function unresolved(reason: string, message: string): Finding {
  return { type: "ResolvedRefs", isTrue: false, reason, message };
}

/** The conditions with these in the place of those of their types; one that says the same as before keeps its time. */
function mergeConditions(
  before: readonly JsonObject[],
  findings: readonly Finding[],
  generation: number,
  nowText: string,
): readonly JsonObject[] {
  const made = findings.map(({ type, isTrue, reason, message }): JsonObject => {
    const known = before.find((one) => one["type"] === type);
    const status = isTrue ? "True" : "False";
    const time = known?.["status"] === status ? known["lastTransitionTime"] : undefined;
    return { type, status, reason, message, observedGeneration: generation, lastTransitionTime: time ?? nowText };
  });
  const types = new Set<unknown>(findings.map(({ type }) => type));
  return [...before.filter(({ type }) => !types.has(type)), ...made];
}

function warnings(diagnostics: readonly Diagnostic[]): string {
  return diagnostics.length === 0 ? "" : textOf(diagnostics);
}

/** Fields and faults, without the object's own name: that is where the reader stands. */
function textOf(diagnostics: readonly Diagnostic[]): string {
  const text = diagnostics.map((one) => formatDiagnostic({ ...one, file: "" }).replace(/^: /, "")).join("; ");
  return text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}…` : text;
}

function listOf(json: Json | undefined): readonly JsonObject[] {
  return Array.isArray(json) ? (json as readonly JsonObject[]) : [];
}

/** Whatever the order of their fields. */
function same(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(a, b);
}
