import { MAPS, NAMED_METRICS, REQUEST_COST } from "./metric-names.ts";

/** Of one report. */
const MAX_METRICS_OF_REPORT = 256;

/** Beyond it a sum of doubles forgets what is small. */
const MAX_VALUE = Number.MAX_SAFE_INTEGER;

/**
 * Notes a metric in a report. False where it may not be there: the value is no finite number, or negative where that makes no sense
 * (the rules of orca_load_report.proto), the entry of a map has no name or one that is no text (JSON can say half a surrogate pair, and a
 * load report with such a name would be refused as a whole, by every management server), or there are too many.
 */
export function putMetric(report: Map<string, number>, name: string, value: number): boolean {
  if (!(Math.abs(value) <= MAX_VALUE)) return false; // NaN is not, either
  const isFree = name.startsWith(NAMED_METRICS) || name.startsWith(REQUEST_COST);
  if ((value < 0 && !isFree) || MAPS.includes(name) || !name.isWellFormed()) return false;
  if (report.size >= MAX_METRICS_OF_REPORT && !report.has(name)) return false;
  report.set(name, value);
  return true;
}

/** A number as absl::SimpleAtod takes it; NaN where it is none. */
export function numberOfText(text: string): number {
  return NUMBER.test(text) ? Number(text) : Number.NaN;
}

/** Digits can be matched in one way alone: in two, 8000 digits and an x would take 150 ms. */
const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
