import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DEFAULT_INJECTION_SETTINGS, injectStream, readInjectionSettings } from "@heddle/inject";

/** Manifests of many shapes: NAME, what it becomes in NAME with ".injected" before its ending, and where it is not the default how. */
export const GOLDENS_FOLDER = join(import.meta.dirname, "../conformance/injection/goldens");

export interface Golden {
  readonly name: string;
  readonly input: string;
  readonly injectedPath: string;
  /** What injection makes of it now. */
  inject(text: string): string;
}

export function goldens(): readonly Golden[] {
  return readdirSync(GOLDENS_FOLDER)
    .filter((name) => !/\.(injected|settings)\.\w+$/.test(name))
    .toSorted()
    .map((name) => {
      const settingsPath = join(GOLDENS_FOLDER, name.replace(/\.(\w+)$/, ".settings.$1"));
      const settings = existsSync(settingsPath)
        ? readInjectionSettings(settingsPath, readFileSync(settingsPath, "utf8"))
        : { ok: true as const, value: DEFAULT_INJECTION_SETTINGS };
      if (!settings.ok) throw new Error(JSON.stringify(settings.error));
      return {
        name,
        input: readFileSync(join(GOLDENS_FOLDER, name), "utf8"),
        injectedPath: join(GOLDENS_FOLDER, name.replace(/\.(\w+)$/, ".injected.$1")),
        inject(text) {
          const injected = injectStream(name, text, settings.value);
          if (!injected.ok) throw new Error(JSON.stringify(injected.error, null, 2));
          return injected.value.text;
        },
      };
    });
}
