import type { DownstreamInfo } from "@heddle/filter";
import type { Counter, MetricScope } from "@heddle/telemetry";
import { type BytesFilter, type Inspection, MORE } from "./listener-filter.ts";

/**
 * `envoy.filters.listener.http_inspector`: learns from the first bytes of plaintext whether they are HTTP, for chains that ask
 * for "http/1.0", "http/1.1" or "h2c". It takes nothing away, and TLS is none of its business.
 */
export class HttpInspector implements BytesFilter {
  readonly #stats: HttpInspectorStats;

  constructor(metrics: MetricScope) {
    this.#stats = new HttpInspectorStats(metrics);
  }

  inspect(bytes: Uint8Array, info: DownstreamInfo): Inspection {
    if (info.sniffed?.transportProtocol === "tls") return { type: "done", consumed: 0, info };
    const protocol = protocolOf(bytes);
    if (protocol === undefined) return MORE;
    this.#stats.count(protocol);
    const applicationProtocols = protocol === "" ? [] : [protocol];
    return {
      type: "done",
      consumed: 0,
      info: { ...info, sniffed: { transportProtocol: "raw_buffer", applicationProtocols } },
    };
  }
}

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** A request line that is longer is none that we would serve. */
const MAX_LINE_BYTES = 8192;
/** The longest method that is registered has 16. */
const MAX_METHOD_BYTES = 32;

/** "" for something else; undefined: it cannot be told yet. */
function protocolOf(bytes: Uint8Array): "http/1.0" | "http/1.1" | "h2c" | "" | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAX_LINE_BYTES)).toString("latin1");
  if (text.startsWith(PREFACE)) return "h2c";
  if (PREFACE.startsWith(text)) return undefined;
  const line = text.replace(/^(?:\r?\n)+/, ""); // RFC 9112 §2.2
  if (line === "\r") return undefined; // half a line break
  const method = /^[!#$%&'*+.^_`|~0-9A-Za-z-]*/.exec(line)?.[0] ?? "";
  if (
    method.length > MAX_METHOD_BYTES ||
    (method.length < line.length && (method === "" || line[method.length] !== " "))
  ) {
    return "";
  }
  const end = line.indexOf("\n");
  if (end === -1) return bytes.length < MAX_LINE_BYTES ? undefined : "";
  const version = / HTTP\/1\.([01])\r?$/.exec(line.slice(0, end))?.[1];
  if (version === undefined) return "";
  return version === "1" ? "http/1.1" : "http/1.0";
}

/** Envoy's names: `http_inspector.…` (configuration/listeners/listener_filters/http_inspector). */
class HttpInspectorStats {
  readonly #http10: Counter;
  readonly #http11: Counter;
  readonly #http2: Counter;
  readonly #none: Counter;

  constructor(metrics: MetricScope) {
    const scope = metrics.scope("http_inspector");
    this.#http10 = scope.counter("http10_found");
    this.#http11 = scope.counter("http11_found");
    this.#http2 = scope.counter("http2_found");
    this.#none = scope.counter("http_not_found");
  }

  count(protocol: "http/1.0" | "http/1.1" | "h2c" | ""): void {
    const counter = { "http/1.0": this.#http10, "http/1.1": this.#http11, h2c: this.#http2, "": this.#none }[protocol];
    counter.add();
  }
}
