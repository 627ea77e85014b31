import type { DownstreamInfo } from "@heddle/filter";
import { parseClientHello } from "@heddle/net";
import type { Counter, MetricScope } from "@heddle/telemetry";
import { type BytesFilter, type Inspection, MORE } from "./listener-filter.ts";

/**
 * `envoy.filters.listener.tls_inspector`: learns from the first bytes whether the client speaks TLS, and which name and
 * protocols it asks for. It takes nothing away.
 *
 * What begins as TLS and breaks its rules is refused. (Envoy takes it for plaintext; a server behind us that is less strict would
 * then be reached by a name that nobody has looked at.)
 */
export class TlsInspector implements BytesFilter {
  readonly #maxBytes: number;
  readonly #stats: TlsInspectorStats;

  constructor(maxClientHelloBytes: number, metrics: MetricScope) {
    this.#maxBytes = maxClientHelloBytes;
    this.#stats = new TlsInspectorStats(metrics);
  }

  inspect(bytes: Uint8Array, info: DownstreamInfo): Inspection {
    const parsed = parseClientHello(bytes, this.#maxBytes);
    const stats = this.#stats;
    switch (parsed.type) {
      case "more":
        return MORE;
      case "none":
        stats.tlsNotFound.add();
        return {
          type: "done",
          consumed: 0,
          // What http_inspector has found before stays.
          info: { ...info, sniffed: info.sniffed ?? { transportProtocol: "raw_buffer", applicationProtocols: [] } },
        };
      case "too-large":
        stats.clientHelloTooLarge.add();
        return { type: "refuse", reason: `its ClientHello has ${parsed.bytes} bytes, allowed are ${this.#maxBytes}` };
      case "bad":
        stats.tlsNotFound.add();
        return { type: "refuse", reason: `its ClientHello breaks the rules of TLS: ${parsed.reason}` };
      case "hello": {
        const { serverName, applicationProtocols } = parsed;
        stats.tlsFound.add();
        if (serverName === "") stats.sniNotFound.add();
        else stats.sniFound.add();
        if (applicationProtocols.length === 0) stats.alpnNotFound.add();
        else stats.alpnFound.add();
        const sniffed = { transportProtocol: "tls", applicationProtocols } as const;
        return { type: "done", consumed: 0, info: { ...info, sniffed, ...(serverName !== "" && { serverName }) } };
      }
      default:
        throw new Error(`unknown answer ${JSON.stringify(parsed satisfies never)}`);
    }
  }
}

/** Envoy's names: `tls_inspector.…` (configuration/listeners/listener_filters/tls_inspector). */
class TlsInspectorStats {
  readonly clientHelloTooLarge: Counter;
  readonly tlsFound: Counter;
  readonly tlsNotFound: Counter;
  readonly alpnFound: Counter;
  readonly alpnNotFound: Counter;
  readonly sniFound: Counter;
  readonly sniNotFound: Counter;

  constructor(metrics: MetricScope) {
    const scope = metrics.scope("tls_inspector");
    this.clientHelloTooLarge = scope.counter("client_hello_too_large");
    this.tlsFound = scope.counter("tls_found");
    this.tlsNotFound = scope.counter("tls_not_found");
    this.alpnFound = scope.counter("alpn_found");
    this.alpnNotFound = scope.counter("alpn_not_found");
    this.sniFound = scope.counter("sni_found");
    this.sniNotFound = scope.counter("sni_not_found");
  }
}
