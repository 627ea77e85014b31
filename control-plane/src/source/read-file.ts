import { type Diagnostic, parseYamlDocuments } from "@heddle/config";
import { readObjects } from "@heddle/mesh";
import { holdsRawResources, type ResourceParser, readRawResources } from "./raw-resource.ts";
import type { SourceItem } from "./source.ts";

/** What a text holds. Where it has errors, `items` are those of its documents that have none. */
export interface ReadFile {
  readonly items: readonly SourceItem[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Reads all documents of a YAML or JSON text; every fault of every document is reported. */
export function readFileText(file: string, text: string, parse: ResourceParser): ReadFile {
  const documents = parseYamlDocuments(file, text);
  if (!documents.ok) return { items: [], diagnostics: documents.error };
  const items: SourceItem[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const document of documents.value) {
    if (holdsRawResources(document)) {
      const read = readRawResources(document, parse);
      items.push(...read.items);
      diagnostics.push(...read.diagnostics);
    } else {
      const read = readObjects(document);
      items.push(...read.objects);
      diagnostics.push(...read.diagnostics);
    }
  }
  return { items, diagnostics };
}

export function hasErrors({ diagnostics }: { readonly diagnostics: readonly Diagnostic[] }): boolean {
  return diagnostics.some(({ severity }) => severity === "error");
}
