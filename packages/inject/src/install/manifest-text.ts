import type { JsonObject } from "@heddle/base";
import { blockLines } from "../text/print-yaml.ts";

/** Objects as a stream of YAML that every tool of Kubernetes reads the same. */
export function manifestText(objects: readonly JsonObject[]): string {
  return objects.map((object) => `---\n${blockLines(object).join("\n")}\n`).join("");
}
