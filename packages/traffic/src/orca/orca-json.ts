import { isJsonObject } from "@heddle/base";
import type { OrcaReport } from "./orca-report.ts";
import { numberOfText, putMetric } from "./put-metric.ts";

/**
 * Proto3 JSON of the message, as strict as protobuf's own reader, which Envoy has: a field that nobody knows, one that comes twice
 * (in either spelling of its name, or as the same entry of a map) and a value of another type break it.
 */
export function readOrcaJson(text: string): OrcaReport | undefined {
  const message = parse(text);
  if (!isJsonObject(message) || keysIn(text) !== keysOf(message)) return undefined;
  const report = new Map<string, number>();
  const seen = new Set<string>();
  for (const [key, value] of Object.entries(message)) {
    const field = FIELDS.get(key);
    if (field === undefined || seen.has(field)) return undefined;
    seen.add(field);
    if (value !== null && !readField(report, field, value)) return undefined;
  }
  return report;
}

/** Names in Envoy by both spellings in JSON; of maps with the point. */
const FIELDS: ReadonlyMap<string, string> = new Map(
  [
    "cpu_utilization",
    "mem_utilization",
    "application_utilization",
    "rps",
    "rps_fractional",
    "eps",
    "request_cost.",
    "utilization.",
    "named_metrics.",
  ].flatMap((field) => {
    const name = field.replace(".", "");
    return [name, name.replace(/_./g, (match) => match.charAt(1).toUpperCase())].map((key) => [key, field] as const);
  }),
);

function readField(report: Map<string, number>, field: string, value: unknown): boolean {
  if (field === "rps") return isUint64(value); // deprecated, and used by nobody
  if (!field.endsWith(".")) return putMetric(report, field, numberOf(value));
  return (
    isJsonObject(value) && Object.entries(value).every(([name, one]) => putMetric(report, field + name, numberOf(one)))
  );
}

/** A double may stand as a string. */
function numberOf(value: unknown): number {
  if (typeof value === "string") return numberOfText(value);
  return typeof value === "number" ? value : Number.NaN;
}

function isUint64(value: unknown): boolean {
  return typeof value === "string" ? /^\d{1,20}$/.test(value) : Number.isInteger(value) && (value as number) >= 0;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** In valid JSON a colon outside a string stands behind a key. */
function keysIn(text: string): number {
  return text.replace(/"(?:[^"\\]|\\.)*"/g, "").split(":").length - 1;
}

/** Of `JSON.parse`, which keeps the last of several. */
function keysOf(value: unknown): number {
  if (!isJsonObject(value)) return 0;
  const keys = Object.keys(value);
  return keys.reduce((sum, key) => sum + keysOf(value[key]), keys.length);
}
