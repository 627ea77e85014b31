import { err, isJsonObject, type Json, type JsonObject, ok, type Result } from "@heddle/base";
import { APP_PROBES_VARIABLE, type AppProbes, expanded, rewriteProbes, unexpanded } from "./app-probes.ts";
import { faultsOfPorts, faultsOfUsers } from "./conflicts.ts";
import { faultsOfForm, withStatus } from "./inject-pod.ts";
import { annotationPath, type InjectionFault } from "./injection-fault.ts";
import type { InjectionSettings } from "./injection-settings.ts";
import { type InjectionStatus, statusOf } from "./injection-status.ts";
import { objectAt, objectsAt } from "./json-fields.ts";
import { INJECTED_CONTAINER, OWN_CONTAINERS, STATUS_ANNOTATION } from "./names.ts";
import { readPodAnnotations } from "./pod-annotations.ts";
import { undoOf } from "./undo.ts";

const LISTS = ["initContainers", "containers"] as const;

/**
 * An injected pod to which others have added since, such as a webhook that was asked behind ours (`reinvocationPolicy: IfNeeded`), with
 * what injection would have done to that as well: probes and hooks go through the sidecar, and what could not work beside it is a fault.
 * What injection has added stays as it is found, since others may have changed it. Nothing is missing, or another revision has
 * injected it: the very same object.
 */
export function completePod(
  pod: JsonObject,
  settings: InjectionSettings,
): Result<JsonObject, readonly InjectionFault[]> {
  const status = statusOf(pod);
  if (!status.ok) return status;
  if (status.value === undefined || status.value.revision !== settings.revision) return ok(pod);
  const form = faultsOfForm(pod);
  if (form.length > 0) return err(form);
  const spec = objectAt(pod, "spec");
  const sidecar = LISTS.flatMap((list) => objectsAt(spec, list)).find(({ name }) => name === INJECTED_CONTAINER);
  if (sidecar === undefined)
    return err([fault(`says that there is a container ${INJECTED_CONTAINER}, and there is none`)]);
  const own = readPodAnnotations(objectAt(objectAt(pod, "metadata"), "annotations"), {
    ...settings,
    rewriteProbes: status.value.rewriteProbes ?? true,
  });
  if (!own.ok) return own;
  // What was said when it was injected, by whoever did so.
  if (variable(sidecar, "HEDDLE_CAPTURE") === "none") return ok(pod);
  const faults = [...faultsOfUsers(spec, OWN_CONTAINERS), ...faultsOfPorts(spec, OWN_CONTAINERS)];
  if (faults.length > 0) return err(faults);
  if (!own.value.rewriteProbes) return ok(pod);
  return rewriteMore(pod, spec, sidecar, status.value);
}

function rewriteMore(
  pod: JsonObject,
  spec: JsonObject,
  sidecar: JsonObject,
  status: InjectionStatus,
): Result<JsonObject, readonly InjectionFault[]> {
  const added = new Set(status.added);
  const { spec: rewritten, probes } = rewriteProbes(spec, (list, name) => !added.has(`/spec/${list}/${name}`));
  if (Object.keys(probes).length === 0) return ok(pod);
  const known = knownProbes(sidecar);
  if (known === undefined)
    return err([
      { path: `spec: ${INJECTED_CONTAINER}: ${APP_PROBES_VARIABLE}`, message: "is not what injection has put there" },
    ]);
  const completed = { ...pod, spec: withProbes(rewritten, { ...known, ...probes }) };
  const undo = undoOf(pod, completed);
  const isOwn = (pointer: string): boolean =>
    status.added.some((own) => pointer === own || pointer.startsWith(`${own}/`));
  const was = Object.entries(undo.was).filter(([pointer]) => !isOwn(pointer));
  return ok(
    withStatus(completed, {
      ...status,
      added: [...status.added, ...undo.added.filter((pointer) => !isOwn(pointer))],
      was: { ...status.was, ...Object.fromEntries(was) },
    }),
  );
}

/** Those that the sidecar has been told of. Undefined: what it was told can no longer be read. */
function knownProbes(sidecar: JsonObject): AppProbes | undefined {
  const text = variable(sidecar, APP_PROBES_VARIABLE);
  if (text === undefined) return {};
  try {
    const json: unknown = JSON.parse(expanded(text));
    return isJsonObject(json) ? (json as AppProbes) : undefined;
  } catch {
    return undefined;
  }
}

function variable(container: JsonObject, name: string): string | undefined {
  const value = objectsAt(container, "env").find((one) => one["name"] === name)?.["value"];
  return typeof value === "string" ? value : undefined;
}

/** The spec with a sidecar that knows these probes. */
function withProbes(spec: JsonObject, probes: AppProbes): JsonObject {
  const told = { name: APP_PROBES_VARIABLE, value: unexpanded(JSON.stringify(probes)) };
  const toldTo = (container: JsonObject): JsonObject => {
    const env = objectsAt(container, "env");
    const at = env.findIndex(({ name }) => name === APP_PROBES_VARIABLE);
    return { ...container, env: at === -1 ? [...env, told] : env.with(at, told) };
  };
  const lists = LISTS.flatMap((list) => {
    const containers = spec[list];
    return Array.isArray(containers)
      ? [
          [
            list,
            containers.map((one: Json) =>
              isJsonObject(one) && one["name"] === INJECTED_CONTAINER ? toldTo(one) : one,
            ),
          ] as const,
        ]
      : [];
  });
  return { ...spec, ...Object.fromEntries(lists) };
}

function fault(message: string): InjectionFault {
  return { path: annotationPath(STATUS_ANNOTATION), message: `${message}: take it out` };
}
