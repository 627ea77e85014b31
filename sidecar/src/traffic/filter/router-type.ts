import { type Json, ok } from "@heddle/base";
import type { ChainExchange, HttpFilterType } from "@heddle/filter";
import { HttpExchange } from "../http/http-exchange.ts";
import { Router } from "../route/router.ts";
import type { RouterConfig } from "../route/router-config.ts";

/** `envoy.filters.http.router`: sends the request to the cluster of its route. The last filter of every chain. */
export const routerType: HttpFilterType<RouterConfig> = {
  name: "envoy.filters.http.router",
  configType: "envoy.extensions.filters.http.router.v3.Router",
  terminal: true,
  parse: (config) => ok({ suppressEnvoyHeaders: flag(config, "suppressEnvoyHeaders") }),
  create: (config) => ({
    create: () => ({}),
    createTerminal(exchange: ChainExchange) {
      if (!(exchange instanceof HttpExchange)) throw new TypeError("the router needs an exchange of the sidecar");
      return new Router(exchange, config);
    },
  }),
};

function flag(config: Json, name: string): boolean {
  return (
    typeof config === "object" &&
    config !== null &&
    !Array.isArray(config) &&
    (config as Record<string, Json>)[name] === true
  );
}
