import { isJsonObject } from "@heddle/base";
import { readObjects } from "@heddle/mesh";
import { formatKey, type ResourceKey } from "../api/resource-key.ts";
import type { StoredContent } from "../api/stored-value.ts";
import { parseBinaryResource, parseResource } from "./parse-resource.ts";
import { PlacelessDocument } from "./placeless-document.ts";
import { rawResource } from "./raw-resource.ts";
import type { ReadFile } from "./read-file.ts";

/** What stands in the place of a file's name in whatever is said of a stored resource. */
export function storedPlace(key: ResourceKey): string {
  return `stored ${formatKey(key)}`;
}

/** Reads a stored resource as one document of a configuration folder would be. Places are the resource's name alone. */
export function readStored(
  key: ResourceKey,
  { content, override }: { readonly content: StoredContent; readonly override: boolean },
): ReadFile {
  const document = new PlacelessDocument(storedPlace(key), content.type === "json" ? content.json : {});
  if (content.type === "json" && isJsonObject(content.json) && "kind" in content.json) {
    const { objects, diagnostics } = readObjects(document);
    return { items: objects, diagnostics };
  }
  const parsed =
    content.type === "json" ? parseResource(content.json) : parseBinaryResource(content.typeUrl, content.bytes);
  if (!parsed.ok)
    return { items: [], diagnostics: parsed.error.map(({ path, message }) => document.diagnostic(path, message)) };
  const item = rawResource(parsed.value, {
    override,
    nodes: { cluster: key.nodeCluster === "" ? undefined : key.nodeCluster },
    origin: { file: document.file, line: 0, column: 0, path: "" },
  });
  return { items: [item], diagnostics: [] };
}
