import { parseDurationMs } from "@heddle/base";
import type { Field } from "./field.ts";

/** A duration above 0, in milliseconds. Left out, or faulty: `defaultMs`. */
export function readTimeout(field: Field, defaultMs: number): number {
  const text = field.text();
  if (text === undefined) return defaultMs;
  const duration = parseDurationMs(text);
  if (!duration.ok) field.error(duration.error);
  else if (duration.value <= 0) field.error(`found "${text}", allowed: more than 0`);
  return duration.ok ? duration.value : defaultMs;
}
