import type { Diagnostic } from "@heddle/config";
import { checkGeneratedNames } from "./source/check-generated-names.ts";
import { mergeItems } from "./source/merge.ts";
import { parseResource } from "./source/parse-resource.ts";
import type { RawResource } from "./source/raw-resource.ts";
import { readFileText } from "./source/read-file.ts";

/* What the control plane says of configuration, without running one: the door `@heddle/control-plane/check`. */

export type { RawResource };

export interface ConfigurationCheck {
  /** Of single files, and of what stands between them (one name twice, a route without its service). */
  readonly diagnostics: readonly Diagnostic[];
  /** xDS resources as somebody wrote them; what a sidecar says of them is not asked here. */
  readonly rawResources: readonly RawResource[];
}

/** Reads the texts of files as one configuration, as if they lay in one folder. */
export function checkConfiguration(
  files: readonly { readonly file: string; readonly text: string }[],
): ConfigurationCheck {
  const read = files.map(({ file, text }) => readFileText(file, text, parseResource));
  const merged = mergeItems(
    read.flatMap(({ items }) => items),
    new Map(),
  );
  return {
    diagnostics: [
      ...read.flatMap(({ diagnostics }) => diagnostics),
      ...merged.diagnostics,
      ...checkGeneratedNames(merged.world),
    ],
    rawResources: merged.world.rawResources,
  };
}
