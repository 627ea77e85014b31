import { type JsonObject, ok, type Result } from "@heddle/base";
import type { InjectionFault } from "./injection-fault.ts";
import type { PodSettings } from "./pod-annotations.ts";

/** The arguments of the capture init container. */
export function containerArguments(
  _annotations: JsonObject,
  settings: PodSettings,
): Result<readonly string[], readonly InjectionFault[]> {
  return ok(["capture", "--mode", settings.capture]);
}
