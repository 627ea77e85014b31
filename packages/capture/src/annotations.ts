import { err, ok, type Result } from "@heddle/base";
import { CAPTURE_OPTIONS } from "./options.ts";
import { type CaptureDiagnostic, type CaptureSettings, DEFAULT_CAPTURE_SETTINGS } from "./settings.ts";

/** Before the name of every annotation. */
export const ANNOTATION_PREFIX = "heddle.dev/";

/**
 * What a pod's annotations say of capture, over `base`. Other annotations are left alone, also those of Heddle: injection knows them.
 * Strict: a value that is not understood is an error with its place, and all errors are told, since a pod of which something was to be
 * excluded and is not would be cut off, and one of which something was to be captured and is not would be open.
 */
export function captureSettingsFromAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
  base: CaptureSettings = DEFAULT_CAPTURE_SETTINGS,
): Result<CaptureSettings, readonly CaptureDiagnostic[]> {
  const wrong: CaptureDiagnostic[] = [];
  let settings = base;
  for (const { annotation, allowed, read } of CAPTURE_OPTIONS) {
    if (annotation === undefined) continue;
    const key = `${ANNOTATION_PREFIX}${annotation}`;
    const text: unknown = annotations?.[key];
    if (text === undefined) continue;
    const path = `metadata.annotations["${key}"]`;
    const result = typeof text === "string" ? read(text, settings) : err(JSON.stringify(text));
    if (result.ok) settings = result.value;
    else wrong.push({ path, found: result.error, allowed });
  }
  return wrong.length === 0 ? ok(settings) : err(wrong);
}
