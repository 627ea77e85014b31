import type { NetworkFilterFactory } from "../network/network-filter.ts";
import { type BuildEnv, buildHttpConnectionManager } from "./build-http-connection-manager.ts";

/**
 * Makes the network filter of a filter chain. `bufferLimitOf` gives `per_connection_buffer_limit_bytes` of a listener.
 * Throws on a filter that validation refuses.
 */
export function networkFilters(env: BuildEnv, bufferLimitOf: (listener: string) => number): NetworkFilterFactory {
  return (filter, _chain, listener) => {
    if (filter.type !== "http-connection-manager") {
      throw new Error(`listener "${listener}": network filter "${filter.name}" (${filter.config.type}) is not known`);
    }
    return buildHttpConnectionManager(
      filter.config,
      { name: listener, bufferLimitBytes: bufferLimitOf(listener) },
      env,
    );
  };
}
