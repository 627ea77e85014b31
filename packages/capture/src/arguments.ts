import { err, ok, type Result } from "@heddle/base";
import { CAPTURE_OPTIONS } from "./options.ts";
import { type CaptureDiagnostic, type CaptureSettings, DEFAULT_CAPTURE_SETTINGS } from "./settings.ts";

/**
 * The words behind `heddle capture` that state these settings: the mode, and whatever is not the default. `settingsFromFlags` is the inverse.
 */
export function captureArguments(settings: CaptureSettings): string[] {
  return CAPTURE_OPTIONS.filter(
    ({ flag, write }) => flag === "mode" || write(settings) !== write(DEFAULT_CAPTURE_SETTINGS),
  ).map(({ flag, write }) => `--${flag}=${write(settings)}`);
}

/** Values of flags by name, without dashes, over the defaults. All errors are told. */
export function settingsFromFlags(
  flags: Readonly<Record<string, string | undefined>>,
): Result<CaptureSettings, readonly CaptureDiagnostic[]> {
  const wrong: CaptureDiagnostic[] = [];
  let settings = DEFAULT_CAPTURE_SETTINGS;
  for (const { flag, allowed, read } of CAPTURE_OPTIONS) {
    const text = flags[flag];
    if (text === undefined) continue;
    const result = read(text, settings);
    if (result.ok) settings = result.value;
    else wrong.push({ path: `--${flag}`, found: result.error, allowed });
  }
  return wrong.length === 0 ? ok(settings) : err(wrong);
}
