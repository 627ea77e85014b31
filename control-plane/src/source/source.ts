import type { Diagnostic } from "@heddle/config";
import { keyOf, type MeshObject } from "@heddle/mesh";
import type { RawResource } from "./raw-resource.ts";

/** One thing that somebody configured: an object of the mesh, or an xDS resource as it is. */
export type SourceItem = MeshObject | RawResource;

/** Where configuration comes from. Publishes whole sets, never steps, so that none can be missed. */
export interface Source {
  /** For status: "files examples/shop". */
  readonly name: string;
  /**
   * Everything that the source holds. Undefined until it has synchronised: until then nobody may conclude that something
   * does not exist. An item that did not change is the same object as before: what is derived from it is then reused.
   */
  readonly items: readonly SourceItem[] | undefined;
  /** What is wrong in the source now. Bad content does not appear in `items`; the last good of it does. */
  readonly diagnostics: readonly Diagnostic[];
  /** Begins to watch. `onChange` is called whenever `items` or `diagnostics` have been replaced. Once only. */
  start(onChange: () => void): void;
  /** Lets go of everything; after that `onChange` is not called. */
  close(): Promise<void>;
}

/**
 * What may exist once over all sources: "service default/orders", "resource envoy.config.cluster.v3.Cluster/backend". A
 * resource for some nodes is another one than that of the same name for all: those nodes get the former.
 */
export function itemKey(item: SourceItem): string {
  if (item.kind !== "raw") return keyOf(item);
  const { typeName, name, nodes } = item;
  const key = `resource ${typeName}/${name}`;
  return nodes.cluster === undefined ? key : `${key} for node.cluster=${nodes.cluster}`;
}
