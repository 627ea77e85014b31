import { type Clock, err, Live, ok, type Result } from "@heddle/base";
import { formatDiagnostic } from "@heddle/config";
import { DEFAULT_INJECTION_SETTINGS, type InjectionSettings, readInjectionSettings } from "@heddle/inject";
import type { Log } from "@heddle/telemetry";
import { type FollowedFile, followFile } from "./followed-file.ts";

/**
 * How pods are injected: what the file says, and `given` where it is silent; `revision`, where it is said on the command line,
 * wins. A file that changes is followed, but for what this process is (its revision, its namespace). Throws a `StartError`.
 */
export function openSettings(
  file: string | undefined,
  given: Partial<InjectionSettings>,
  revision: string | undefined,
  clock: Clock,
  log: Log,
): FollowedFile<InjectionSettings> {
  const base = { ...DEFAULT_INJECTION_SETTINGS, ...given };
  const own = revision === undefined ? {} : { revision };
  if (file === undefined) return { current: new Live({ ...base, ...own }), close: () => undefined };
  let first: InjectionSettings | undefined;
  const read = (text: string): Result<InjectionSettings, string> => {
    const settings = readInjectionSettings(file, text, base);
    if (!settings.ok) return err(settings.error.map(formatDiagnostic).join("; "));
    first ??= { ...settings.value, ...own };
    return ok({ ...settings.value, revision: first.revision, namespace: first.namespace });
  };
  return followFile(file, "injection settings", read, clock, log);
}
