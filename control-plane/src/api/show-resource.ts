import type { Json } from "@heddle/base";
import { toProtoJson, typeNameOf, typeUrlOf } from "@heddle/proto";
import { redactSecrets } from "@heddle/xds";
import type { StoredEntry } from "../store/store.ts";
import type { ResourceKey } from "./resource-key.ts";
import { decodeStoredValue, type StoredContent } from "./stored-value.ts";
import type { StoredResource } from "./wire.ts";

/** A stored resource as callers see it. One that this version cannot read is `null`. */
export function showResource(key: ResourceKey, entry: StoredEntry, secrets: "shown" | "redacted"): StoredResource {
  const { revision: version, createdRevision: createdVersion } = entry;
  const decoded = decodeStoredValue(entry.value);
  if (!decoded.ok) {
    const unknown = { override: false, author: "", manager: "", updated: new Date(0).toISOString() };
    return { key, version, createdVersion, resource: null, ...unknown };
  }
  const { content, override, author, manager, updatedAtMs } = decoded.value;
  const resource = showContent(content, secrets);
  const isWhole = secrets === "shown" || JSON.stringify(resource) === JSON.stringify(showContent(content, "shown"));
  return {
    key,
    version,
    createdVersion,
    resource,
    ...(content.type === "binary" &&
      isWhole && { binary: { typeUrl: content.typeUrl, value: Buffer.from(content.bytes).toString("base64") } }),
    override,
    author,
    manager,
    updated: new Date(updatedAtMs).toISOString(),
  };
}

/** The document; proto JSON of what was applied in binary, null where no JSON can say it. */
export function showContent(content: StoredContent, secrets: "shown" | "redacted"): Json {
  const json = content.type === "json" ? content.json : jsonOf(content.typeUrl, content.bytes);
  return secrets === "shown" ? json : redactSecrets(json);
}

function jsonOf(typeUrl: string, bytes: Uint8Array): Json {
  const typeName = typeNameOf(typeUrl);
  const json = toProtoJson(typeName, bytes);
  return json.ok ? { "@type": typeUrlOf(typeName), ...(json.value as object) } : null;
}
