import type { Json } from "@heddle/base";
import { yamlLibrary } from "./yaml-library.ts";

/** JSON as one YAML document that reads back as the same; keys in their order, or sorted. Ends with a line break. */
export function formatYaml(json: Json, { sorted = false }: { readonly sorted?: boolean } = {}): string {
  // Numbers that do not fit a float are texts in our JSON, and have to stay texts.
  return yamlLibrary().stringify(json, {
    sortMapEntries: sorted,
    lineWidth: 0,
    aliasDuplicateObjects: false,
    version: "1.2",
  });
}
