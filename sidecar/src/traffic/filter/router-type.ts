import { type Json, ok } from "@heddle/base";
import type { ChainExchange, HttpFilterType } from "@heddle/filter";
import { HttpExchange } from "../http/http-exchange.ts";
import { ConnectTunnel, terminatesConnect } from "../route/connect-tunnel.ts";
import { Router } from "../route/router.ts";
import type { RouterConfig } from "../route/router-config.ts";

/** `envoy.filters.http.router`: sends the request to the cluster of its route. The last filter of every chain. */
export const routerType: HttpFilterType<RouterConfig> = {
  name: "envoy.filters.http.router",
  configType: "envoy.extensions.filters.http.router.v3.Router",
  terminal: true,
  parse: (config) =>
    ok({
      suppressEnvoyHeaders: flag(config, "suppressEnvoyHeaders"),
      respectExpectedRqTimeout: flag(config, "respectExpectedRqTimeout"),
      startChildSpan: flag(config, "startChildSpan"),
      strictCheckHeaders: texts(config, "strictCheckHeaders"),
    }),
  create: (config) => ({
    create: () => ({}),
    createTerminal(exchange: ChainExchange) {
      if (!(exchange instanceof HttpExchange)) throw new TypeError("the router needs an exchange of the sidecar");
      const route = exchange.request.method === "CONNECT" ? exchange.selectedRoute : undefined;
      if (route !== undefined && terminatesConnect(route)) return new ConnectTunnel(exchange, route);
      return new Router(exchange, config);
    },
  }),
};

function flag(config: Json, name: string): boolean {
  return member(config, name) === true;
}

function texts(config: Json, name: string): readonly string[] {
  const value = member(config, name);
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}

function member(config: Json, name: string): Json | undefined {
  if (typeof config !== "object" || config === null || Array.isArray(config)) return undefined;
  return (config as Record<string, Json>)[name];
}
