import type { Json } from "@heddle/base";
import { structToJson } from "@heddle/proto";
import type { LooseJsonObject } from "./encode.ts";
import type { Fields } from "./fields.ts";

/** `envoy.config.core.v3.Metadata`, what filters and balancing read: namespace, key, value. */
export interface MetadataConfig {
  readonly [namespace: string]: { readonly [key: string]: unknown };
}

export function decodeMetadata(fields: Fields | undefined): MetadataConfig {
  const entries = fields?.rawMap("filter_metadata") ?? [];
  return Object.fromEntries(entries.map(([namespace, struct]) => [namespace, structToJson(struct)]));
}

export function encodeMetadata(metadata: MetadataConfig): LooseJsonObject | undefined {
  const namespaces = Object.keys(metadata);
  return namespaces.length === 0
    ? undefined
    : { filter_metadata: metadata as { readonly [key: string]: Json } as LooseJsonObject };
}
