import { parseDurationMs } from "@heddle/base";
import type { Field } from "./field.ts";

/** Four parts of five digits are the most that Gateway API takes (GEP-2257); what is much more stands in no message of xDS. */
const MAX_HOURS = 4 * 99_999;

/** In whole milliseconds, the least of GEP-2257: "1e-11s" is none to xDS. Undefined: left out, or faulty, which is said. */
export function readDuration(field: Field): number | undefined {
  const text = field.text();
  if (text === undefined) return undefined;
  const duration = parseDurationMs(text);
  if (!duration.ok) field.error(duration.error);
  else if (duration.value > MAX_HOURS * 3_600_000) field.error(`is too long, allowed: up to ${MAX_HOURS}h`);
  else if (duration.value > 0 && duration.value < 1) field.error(`"${text}" is less than 1ms`);
  else return Math.round(duration.value);
  return undefined;
}
