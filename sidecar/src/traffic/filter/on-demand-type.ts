import { err, type Json, ok, type Timer } from "@heddle/base";
import type { ConfigIssue, Exchange, HttpFilter, HttpFilterType } from "@heddle/filter";
import type { Demand } from "@heddle/traffic";
import { HttpExchange } from "../http/http-exchange.ts";

/** What `OnDemand` and `PerRouteConfig` say. */
export interface OnDemandConfig {
  /** How long a request is held, and whether clusters are asked for. Undefined: they are not. */
  readonly clusterTimeoutMs: number | undefined;
}

/** Of `odcds.timeout` where it is not set (Envoy), and for virtual hosts, which have no field of their own. */
const TIMEOUT_MS = 5000;

/**
 * `envoy.filters.http.on_demand`: holds a request whose host no virtual host has until VHDS has answered, and with `odcds` one
 * whose cluster is not there until CDS has. Then it is routed anew, with the configuration of that moment; what has not come by
 * then is answered as ever (404, 503). What the request sends meanwhile waits within its buffers. With a virtual host that has
 * come it begins again at the first filter: those before this one have decided without knowing what its routes ask for.
 */
export const onDemandType: HttpFilterType<OnDemandConfig, OnDemandConfig> = {
  name: "envoy.filters.http.on_demand",
  configType: "envoy.extensions.filters.http.on_demand.v3.OnDemand",
  routeConfigType: "envoy.extensions.filters.http.on_demand.v3.PerRouteConfig",
  parse: parseConfig,
  parseRoute: parseConfig,
  create: (config, { name }) => ({ create: () => new OnDemandFilter(config, name) }),
};

function parseConfig(config: Json) {
  const odcds = member(config, "odcds");
  if (odcds === undefined) return ok({ clusterTimeoutMs: undefined });
  const issues: ConfigIssue[] = [];
  const source = member(odcds, "source");
  const isOwn = source !== undefined && (member(source, "ads") !== undefined || member(source, "self") !== undefined);
  if (!isOwn) issues.push({ path: "odcds.source", message: "has to be the aggregated stream: ads, or self" });
  const timeout = member(odcds, "timeout");
  const timeoutMs =
    timeout === undefined ? TIMEOUT_MS : typeof timeout === "string" ? Number.parseFloat(timeout) * 1000 : Number.NaN;
  if (!(timeoutMs > 0))
    issues.push({ path: "odcds.timeout", message: `found ${JSON.stringify(timeout)}, allowed is more than 0` });
  return issues.length > 0 ? err(issues) : ok({ clusterTimeoutMs: timeoutMs });
}

function member(config: Json, name: string): Json | undefined {
  if (typeof config !== "object" || config === null || Array.isArray(config)) return undefined;
  return (config as Record<string, Json>)[name];
}

class OnDemandFilter implements HttpFilter {
  readonly #config: OnDemandConfig;
  readonly #name: string;
  #asking: { cancel(): void } | undefined = undefined;
  #timer: Timer | undefined = undefined;
  /** What has been asked for already: a second answer would be the same. */
  #askedHost = false;
  #askedCluster = false;

  constructor(config: OnDemandConfig, name: string) {
    this.#config = config;
    this.#name = name;
  }

  requestHead(exchange: Exchange): "continue" | "pause" {
    return exchange instanceof HttpExchange && this.#hold(exchange) ? "pause" : "continue";
  }

  log(): void {
    this.#asking?.cancel();
    this.#asking = undefined;
  }

  /** Whether the request has to wait for something. */
  #hold(exchange: HttpExchange): boolean {
    const { demands } = exchange.manager.env;
    const clusterTimeoutMs = this.#clusterTimeoutMs(exchange);
    const demand = demands && this.#demandOf(exchange, clusterTimeoutMs !== undefined);
    if (demands === undefined || demand === undefined) return false;
    if (demand.kind === "cluster") this.#askedCluster = true;
    else this.#askedHost = true;
    const goOn = exchange.asFilter(() => this.#goOn(exchange));
    this.#asking = demands.ask(demand, goOn);
    if (this.#asking === undefined) return false;
    this.#timer = exchange.after(clusterTimeoutMs ?? TIMEOUT_MS, () => this.#goOn(exchange));
    return true;
  }

  #goOn(exchange: HttpExchange): void {
    this.#asking?.cancel();
    this.#asking = undefined;
    this.#timer?.cancel();
    exchange.renewRuntime();
    if (this.#askedHost && exchange.route !== undefined && exchange.beginAgain()) return;
    if (!this.#hold(exchange)) exchange.continueRequest(); // the virtual host is there, and its cluster may not be
  }

  #clusterTimeoutMs(exchange: HttpExchange): number | undefined {
    const own = exchange.routeConfig(this.#name) as OnDemandConfig | undefined;
    return (own ?? this.#config).clusterTimeoutMs;
  }

  #demandOf(exchange: HttpExchange, asksClusters: boolean): Demand | undefined {
    const route = exchange.selectedRoute;
    if (route === undefined) {
      const { manager, request, runtime } = exchange;
      const table = manager.routeTable(runtime);
      if (this.#askedHost || table?.config.vhds === undefined || table.hasHost(request.authority)) return undefined;
      const host = request.authority.toLowerCase();
      return HOST.test(host) ? { kind: "virtual-host", routes: manager.routesName, host } : undefined;
    }
    if (this.#askedCluster || !asksClusters || route.entry.action.type !== "forward") return undefined;
    const { cluster } = route;
    return cluster === "" || exchange.runtime.clusters.has(cluster) ? undefined : { kind: "cluster", name: cluster };
  }
}

/** What may be a host with a port (RFC 3986 §3.2.2): nothing else is asked for. */
const HOST = /^[a-z0-9._~%!$&'()*+,;=[\]:-]{1,255}$/;
