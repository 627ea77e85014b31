import { Buffer, isUtf8 } from "node:buffer";
import type { HeaderMap } from "@heddle/http";
import { readOrcaJson } from "./orca-json.ts";
import { type OpenMessage, readOrcaMessage } from "./orca-message.ts";
import { readOrcaText } from "./orca-text.ts";

/**
 * What an endpoint says of its load in an answer (`xds.data.orca.v3.OrcaLoadReport`): values by the names that metrics have in
 * Envoy: `cpu_utilization`, `rps_fractional`, `utilization.disk`, `named_metrics.queue`. What is not said is not there. Every
 * value is finite.
 */
export type OrcaReport = ReadonlyMap<string, number>;

/** Of one field. Envoy has no limit but that of the head. */
const MAX_REPORT_LENGTH = 8192;

/**
 * Reads the report out of the head or the trailers of an answer. Undefined: there is none, or it is broken, as a whole if in any part.
 *
 * As Envoy (`parseOrcaLoadReportHeaders`): `endpoint-load-metrics-bin`, where it is there, else `endpoint-load-metrics`, whose value
 * begins with its form: "TEXT ", "JSON " or "BIN ". The first field of a name counts.
 */
export function readOrcaReport(fields: HeaderMap, open: OpenMessage): OrcaReport | undefined {
  const binary = fields.get("endpoint-load-metrics-bin");
  if (binary !== undefined) return readBinary(binary, open);
  const value = fields.get("endpoint-load-metrics");
  if (value === undefined || value.length > MAX_REPORT_LENGTH) return undefined;
  if (value.startsWith("BIN ")) return readBinary(value.slice(4), open);
  const isText = value.startsWith("TEXT ");
  if (!isText && !value.startsWith("JSON ")) return undefined;
  const text = utf8Of(value.slice(5));
  if (text === undefined) return undefined;
  return isText ? readOrcaText(text) : readOrcaJson(text);
}

/** Strict base64 (RFC 4648 §4, §3.5); gRPC leaves the padding out and asks that both are taken (PROTOCOL-HTTP2.md, `-bin`). */
function readBinary(value: string, open: OpenMessage): OrcaReport | undefined {
  if (value.length === 0 || value.length > MAX_REPORT_LENGTH) return undefined;
  const bytes = Buffer.from(value, "base64"); // takes nearly anything: what it took has to come out again
  const again = bytes.toString("base64");
  return again === value || again.replace(/=+$/, "") === value ? readOrcaMessage(bytes, open) : undefined;
}

/** Values are bytes, one latin1 character for each. Undefined: they are no UTF-8, as which names are told on. */
function utf8Of(value: string): string | undefined {
  const bytes = Buffer.from(value, "latin1");
  return isUtf8(bytes) ? bytes.toString() : undefined;
}
