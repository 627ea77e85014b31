import type { Json, JsonObject } from "@heddle/base";
import { DEFAULT_CAPTURE_PORTS, PROXY_UID } from "@heddle/capture";
import type { InjectionFault } from "./injection-fault.ts";
import { objectAt, objectsAt } from "./json-fields.ts";
import { SIDECAR_PORTS } from "./names.ts";

/** Names of the containers that injection itself adds to the pod: another one of such a name is like any other. */
export type OwnNames = ReadonlySet<Json | undefined>;

/**
 * What the sidecar's user or group sends is not captured, so nobody else in the pod may be either, nor be able to become it: who is in a
 * group may give it to a file of its own and set the file's setgid bit.
 */
export function faultsOfUsers(spec: JsonObject, own: OwnNames, pathOf: PathOf = plainPath): readonly InjectionFault[] {
  const faults: InjectionFault[] = [];
  const look = (holder: JsonObject, path: string, ...fields: readonly string[]): void => {
    const context = objectAt(holder, "securityContext");
    for (const field of fields) {
      const value = context[field];
      if (value === PROXY_UID || (Array.isArray(value) && value.includes(PROXY_UID)))
        faults.push({
          path: pathOf(`${path}.securityContext.${field}`),
          message: `found ${PROXY_UID}, which is the sidecar's: what such a container sends would go around the mesh`,
        });
    }
  };
  look(spec, "spec", "runAsUser", "runAsGroup", "fsGroup", "supplementalGroups");
  for (const [container, path] of containersOf(spec, own)) look(container, path, "runAsUser", "runAsGroup");
  return faults;
}

/** The sidecar listens in the same pod. */
export function faultsOfPorts(spec: JsonObject, own: OwnNames, pathOf: PathOf = plainPath): readonly InjectionFault[] {
  return containersOf(spec, own).flatMap(([container, path]) =>
    objectsAt(container, "ports").flatMap(({ containerPort }, at) =>
      TAKEN.has(containerPort)
        ? [
            {
              path: pathOf(`${path}.ports[${at}].containerPort`),
              message: `found ${containerPort as number}, which the sidecar listens on in the same pod`,
            },
          ]
        : [],
    ),
  );
}

/** Where a fault is told of whose place in the spec is this. */
type PathOf = (path: string) => string;

const plainPath: PathOf = (path) => path;

const TAKEN: ReadonlySet<Json | undefined> = new Set<number>([
  ...Object.values(SIDECAR_PORTS),
  ...Object.values(DEFAULT_CAPTURE_PORTS),
]);

function containersOf(spec: JsonObject, own: OwnNames): readonly (readonly [container: JsonObject, path: string])[] {
  return ["initContainers", "containers"].flatMap((field) =>
    objectsAt(spec, field).flatMap((container, index) =>
      own.has(container["name"]) ? [] : [[container, `spec.${field}[${index}]`] as const],
    ),
  );
}
