import type { ListenerConfig } from "@heddle/traffic";
import { DirectResponse } from "../network/direct-response.ts";
import { Echo } from "../network/echo.ts";
import type { NetworkFilterFactory } from "../network/network-filter.ts";
import { TcpProxy } from "../network/tcp-proxy.ts";
import { type BuildEnv, buildHttpConnectionManager } from "./build-http-connection-manager.ts";

/**
 * Makes the network filter of a filter chain. `listenerOf` gives a listener's configuration by its name. Throws on a filter
 * that validation refuses.
 */
export function networkFilters(
  env: BuildEnv,
  listenerOf: (name: string) => ListenerConfig | undefined,
): NetworkFilterFactory {
  return (filter, chain, listener) => {
    switch (filter.type) {
      case "tcp-proxy":
        return new TcpProxy(filter.config, env);
      case "echo":
        return new Echo();
      case "direct-response":
        return new DirectResponse(Buffer.from(filter.responseBase64, "base64"), env);
      case "extension":
        throw new Error(`listener "${listener}": network filter "${filter.name}" (${filter.config.type}) is not known`);
      case "http-connection-manager":
        break;
      default:
        throw new Error(`unknown network filter ${JSON.stringify(filter satisfies never)}`);
    }
    const { perConnectionBufferLimitBytes, drainType, trafficDirection } = listenerOf(listener) ?? DEFAULTS;
    return buildHttpConnectionManager(
      filter.config,
      {
        name: listener,
        bufferLimitBytes: perConnectionBufferLimitBytes,
        drainType,
        trafficDirection,
        scheme: chain.tls === undefined ? "http" : "https",
      },
      env,
    );
  };
}

/** Envoy's, for a filter whose listener nobody knows. */
const DEFAULTS = {
  perConnectionBufferLimitBytes: 1024 * 1024,
  drainType: "DEFAULT",
  trafficDirection: "UNSPECIFIED",
} as const;
