import type { Json } from "@heddle/base";
import type { ConfigSource } from "../source/config-source.ts";
import type { RuntimeValues } from "./runtime-values.ts";

/** One layer of `layered_runtime`: what it holds, or where that comes from. Later layers win. */
export type RuntimeLayer = { readonly name: string } & (
  | { readonly type: "static"; readonly values: RuntimeValues }
  /** A resource of RTDS. */
  | { readonly type: "rtds"; readonly resource: string; readonly source: ConfigSource }
  /** Files below that folder, in `subfolder`; `byCluster`: within that in one of the name of `node.cluster`. */
  | { readonly type: "disk"; readonly root: string; readonly subfolder: string; readonly byCluster: boolean }
  /** What `/runtime_modify` has said. */
  | { readonly type: "admin" }
);

/** What a layer holds at the moment. */
export interface RuntimeLayerContent {
  readonly name: string;
  readonly values: RuntimeValues;
}

/** The values of all layers; of two that have a key the later one counts. */
export function mergedRuntime(layers: readonly RuntimeLayerContent[]): RuntimeValues {
  const merged = new Map<string, Json>();
  for (const { values } of layers) for (const [key, value] of Object.entries(values)) merged.set(key, value);
  return Object.fromEntries(merged);
}
