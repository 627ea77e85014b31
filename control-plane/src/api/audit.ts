import type { Caller } from "./access.ts";
import { formatKey, type ResourceKey } from "./resource-key.ts";

/** Keys of one write that are shown; the rest is counted. */
export const SHOWN_KEYS = 20;

/** What the log says of a write: who, what and how many; never content. */
export function auditFields(caller: Caller, verb: string, keys: readonly ResourceKey[]) {
  const shown = keys.slice(0, SHOWN_KEYS).map(formatKey);
  return { verb, by: authorName(caller.name), resources: keys.length, keys: shown };
}

/** Without tokens nobody has a name. */
export function authorName(author: string): string {
  return author === "" ? "anybody" : author;
}
