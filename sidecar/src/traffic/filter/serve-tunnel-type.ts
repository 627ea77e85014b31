import { ok } from "@heddle/base";
import type { ChainExchange, HttpFilterType } from "@heddle/filter";
import { HttpExchange } from "../http/http-exchange.ts";
import { InsideTunnel } from "../http/inside-tunnel.ts";

/**
 * `heddle.filters.http.serve_tunnel`: the last filter of a chain for CONNECT (`upgrade_configs[].filters`). The tunnel ends
 * here, and its inside is served as a connection of its own.
 */
export const serveTunnelType: HttpFilterType = {
  name: "heddle.filters.http.serve_tunnel",
  configType: "heddle.filters.http.v1.ServeTunnel",
  terminal: true,
  parse: (config) => ok(config),
  create: () => ({
    create: () => ({}),
    createTerminal(exchange: ChainExchange) {
      if (!(exchange instanceof HttpExchange)) throw new TypeError("a tunnel needs an exchange of the sidecar");
      return new InsideTunnel(exchange);
    },
  }),
};
