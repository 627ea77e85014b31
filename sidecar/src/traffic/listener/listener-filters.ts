import type { MetricScope } from "@heddle/telemetry";
import type { ListenerFilterConfig } from "@heddle/traffic";
import { HttpInspector } from "./http-inspector.ts";
import type { ListenerFilter } from "./listener-filter.ts";
import { ProxyProtocolFilter } from "./proxy-protocol-filter.ts";
import { TlsInspector } from "./tls-inspector.ts";

/** Those of a listener that look at bytes. None: its connections are served at once, and a server may speak first. */
export function listenerFilters(
  configs: readonly ListenerFilterConfig[],
  metrics: MetricScope,
): readonly ListenerFilter[] {
  return configs.flatMap((config): ListenerFilter[] => {
    switch (config.type) {
      case "proxy-protocol":
        return [new ProxyProtocolFilter(config.config, metrics)];
      case "tls-inspector":
        return [new TlsInspector(config.maxClientHelloBytes, metrics)];
      case "http-inspector":
        return [new HttpInspector(metrics)];
      case "original-dst":
      case "original-src":
      case "extension":
        return []; // those that are accepted are told to have no effect
      default:
        throw new Error(`unknown listener filter ${JSON.stringify(config satisfies never)}`);
    }
  });
}
