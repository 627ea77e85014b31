import type { Json } from "@heddle/base";

/**
 * An extension's configuration: the `@type` of its `Any`, and the message as proto3 JSON (lower camel case). Configuration
 * of a registered extension has already been validated by that extension when it appears in a decoded resource.
 */
export interface TypedConfig {
  readonly name: string;
  /** Full type name without "type.googleapis.com/"; of a TypedStruct the inner one. */
  readonly type: string;
  readonly config: Json;
}
