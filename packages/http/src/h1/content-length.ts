import type { HeaderMap } from "../header-map.ts";
import { parseContentLength } from "./fields.ts";

/** No such field. */
const NO_LENGTH = -1;
/** Several, or not a number: what filters made of it cannot be sent. */
export const INVALID_LENGTH = -2;

/** What the content-length of a head to be sent promises, in bytes; below zero without a promise. */
export function promisedLength(headers: HeaderMap): number {
  const { fields } = headers;
  let length = NO_LENGTH;
  for (let i = 0; i < fields.length; i += 2) {
    if (fields[i] !== "content-length") continue;
    if (length !== NO_LENGTH) return INVALID_LENGTH;
    const value = parseContentLength(fields[i + 1]!); // values stand at odd places
    length = value === -1 ? INVALID_LENGTH : value;
  }
  return length;
}
