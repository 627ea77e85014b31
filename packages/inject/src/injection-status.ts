import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import { annotationPath, type InjectionFault } from "./injection-fault.ts";
import { objectAt } from "./json-fields.ts";
import { STATUS_ANNOTATION } from "./names.ts";
import type { Undo } from "./undo.ts";

/** What stands in the annotation `heddle.dev/status`. */
export interface InjectionStatus extends Undo {
  /** Of this form. */
  readonly version: 1;
  readonly revision: string;
  readonly image: string;
  /** False: the mesh's settings left probes as they are, when it was injected. */
  readonly rewriteProbes?: false;
}

/** As text in ASCII: nothing of it can be taken for the end of a line by any reader of YAML. */
export function formatStatus(status: InjectionStatus): string {
  return JSON.stringify(status).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The status of a pod; undefined: it has none. */
export function statusOf(pod: Json): Result<InjectionStatus | undefined, readonly InjectionFault[]> {
  const text = objectAt(objectAt(pod, "metadata"), "annotations")[STATUS_ANNOTATION];
  if (text === undefined) return ok(undefined);
  const status = typeof text === "string" ? parse(text) : undefined;
  return status === undefined
    ? err([{ path: annotationPath(STATUS_ANNOTATION), message: "is not what heddle inject writes there: take it out" }])
    : ok(status);
}

function parse(text: string): InjectionStatus | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isJsonObject(json) || json["version"] !== 1) return undefined;
  const { added, was } = json;
  const isUndo = Array.isArray(added) && added.every((at) => typeof at === "string") && isJsonObject(was);
  return isUndo && Object.values(was).every(isBefore) ? (json as unknown as InjectionStatus) : undefined;
}

function isBefore(value: Json): boolean {
  return Array.isArray(value) && (value.length === 1 || (value.length === 2 && typeof value[1] === "string"));
}
