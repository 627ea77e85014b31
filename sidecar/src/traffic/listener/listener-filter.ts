import type { DownstreamInfo } from "@heddle/filter";
import type { MetricScope } from "@heddle/telemetry";
import type { ListenerFilterConfig } from "@heddle/traffic";
import { ProxyProtocolFilter } from "./proxy-protocol-filter.ts";

/**
 * Looks at a connection's first bytes before a filter chain is chosen. There is one for each listener, for all its
 * connections; filters are asked in their order, each when the one before it has decided.
 */
export interface ListenerFilter {
  /** `bytes` are all that have come and that no filter before it has consumed. Asked again with more when it wants more. */
  inspect(bytes: Uint8Array, info: DownstreamInfo): Inspection;
}

export type Inspection =
  | { readonly type: "more" }
  /** So many bytes are taken away; the rest is for who comes next. `info`: what is known of the client from now on. */
  | { readonly type: "done"; readonly consumed: number; readonly info: DownstreamInfo }
  | { readonly type: "refuse"; readonly reason: string };

/** Those of a listener that look at bytes. None: its connections are served at once, and a server may speak first. */
export function listenerFilters(
  configs: readonly ListenerFilterConfig[],
  metrics: MetricScope,
): readonly ListenerFilter[] {
  return configs.flatMap((config) => {
    switch (config.type) {
      case "proxy-protocol":
        return [new ProxyProtocolFilter(config.config, metrics)];
      case "extension":
        return []; // those that are accepted are told to have no effect
      default:
        throw new Error(`unknown listener filter ${JSON.stringify(config satisfies never)}`);
    }
  });
}
