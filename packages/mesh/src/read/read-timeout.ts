import type { Field } from "./field.ts";
import { readDuration } from "./read-duration.ts";

/** A duration above 0, in milliseconds. Left out, or faulty: `defaultMs`. */
export function readTimeout(field: Field, defaultMs: number): number {
  const timeoutMs = readDuration(field);
  if (timeoutMs !== undefined && timeoutMs <= 0) field.error(`found "${field.text()}", allowed: more than 0`);
  return timeoutMs ?? defaultMs;
}
