import type { HeaderMap } from "@heddle/http";
import { FRAMING_FIELDS, fieldIsValid, type HeaderChange } from "./header-change.ts";
import { applyField } from "./request-changes.ts";

/** Changes the headers of an answer. What no field may be, and what belongs to framing, is passed over. */
export function applyResponseChanges(headers: HeaderMap, changes: readonly HeaderChange[]): void {
  for (const change of changes) {
    if (fieldIsValid(change.name, change.value) && !FRAMING_FIELDS.has(change.name)) applyField(headers, change);
  }
}
