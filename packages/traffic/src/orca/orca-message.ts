import { isUtf8 } from "node:buffer";
import type { ProtobufReader, WireType } from "@heddle/http";
import { NAMED_METRICS, REQUEST_COST, UTILIZATION } from "./metric-names.ts";
import type { OrcaReport } from "./orca-report.ts";
import { putMetric } from "./put-metric.ts";

/**
 * How a message is read. Handed in, as this folder imports types alone: with values of what a worker has loaded already, the bundle
 * is cut into six files more, which every start would load.
 */
export type OpenMessage = (message: Uint8Array) => ProtobufReader;

const FIXED64: typeof WireType.Fixed64 = 1;
const BYTES: typeof WireType.Bytes = 2;

/** `OrcaLoadReport` by its field numbers. 3 is `rps`, deprecated. */
const PLAIN_FIELDS: ReadonlyMap<number, string> = new Map([
  [1, "cpu_utilization"],
  [2, "mem_utilization"],
  [6, "rps_fractional"],
  [7, "eps"],
  [9, "application_utilization"],
]);
const MAP_FIELDS: ReadonlyMap<number, string> = new Map([
  [4, REQUEST_COST],
  [5, UTILIZATION],
  [8, NAMED_METRICS],
]);

/** The serialised message. What comes twice counts as the last says, and unknown fields are passed over, as protobuf has it. */
export function readOrcaMessage(bytes: Uint8Array, open: OpenMessage): OrcaReport | undefined {
  const report = new Map<string, number>();
  const reader = open(bytes);
  while (reader.next()) {
    const { field, wireType } = reader;
    const name = PLAIN_FIELDS.get(field);
    const map = MAP_FIELDS.get(field);
    if (name !== undefined && wireType === FIXED64) {
      if (!putMetric(report, name, reader.double)) return undefined;
    } else if (map !== undefined && wireType === BYTES) {
      if (!putEntry(report, map, reader.bytes, open)) return undefined;
    }
  }
  return reader.broken ? undefined : report;
}

/** `map<string, double>`: each entry is a message with the key as field 1 and the value as field 2. */
function putEntry(report: Map<string, number>, map: string, entry: Uint8Array, open: OpenMessage): boolean {
  const reader = open(entry);
  let key = "";
  let value = 0;
  while (reader.next()) {
    if (reader.is(1, BYTES)) {
      if (!isUtf8(reader.bytes)) return false;
      key = reader.text;
    } else if (reader.is(2, FIXED64)) value = reader.double;
  }
  return !reader.broken && putMetric(report, map + key, value);
}
