import type { Json } from "@heddle/base";

/** A `google.protobuf.FieldMask` as a tree: a node without children takes everything below it. */
export type FieldMask = ReadonlyMap<string, FieldMask>;

/** Paths with commas between them, parts with dots: "bootstrap.node,last_updated". */
export function parseMask(text: string): FieldMask {
  const root = new Map<string, FieldMask>();
  for (const path of text.split(",").map((part) => part.trim())) if (path !== "") addPath(root, path.split("."));
  return root;
}

function addPath(root: Map<string, FieldMask>, parts: readonly string[]): void {
  let node = root;
  for (const [index, part] of parts.entries()) {
    const known = node.get(part) as Map<string, FieldMask> | undefined;
    if (known?.size === 0) return; // a shorter path takes all of it
    const isLast = index === parts.length - 1;
    const next = isLast || known === undefined ? new Map<string, FieldMask>() : known;
    node.set(part, next);
    node = next;
  }
}

/**
 * What the mask leaves of a message in JSON with proto names; undefined where it names nothing in it. Lists are masked
 * element by element, and types ("@type") stay.
 */
export function applyMask<T extends Json>(json: T, mask: FieldMask): T | undefined {
  if (mask.size === 0) return json;
  if (Array.isArray(json)) {
    const items = json.flatMap((item: Json) => applyMask(item, mask) ?? []);
    return items.length === 0 && json.length > 0 ? undefined : (items as unknown as T);
  }
  if (typeof json !== "object" || json === null) return undefined;
  const object = json as { readonly [key: string]: Json };
  const out: Record<string, Json> = {};
  for (const [name, below] of mask) {
    const value = Object.hasOwn(object, name) ? object[name] : undefined;
    const kept = value === undefined ? undefined : applyMask(value, below);
    if (kept !== undefined) out[name] = kept;
  }
  if (Object.keys(out).length === 0) return undefined;
  return (object["@type"] === undefined ? out : { "@type": object["@type"], ...out }) as unknown as T;
}
