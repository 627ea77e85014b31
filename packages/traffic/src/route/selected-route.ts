import type { HeaderMap, RequestHead } from "@heddle/http";
import { asBytes } from "../match/bytes.ts";
import { firstHeaderValue } from "../match/header-matcher.ts";
import { RetryDecision } from "../retry/retry-decision.ts";
import { type LiveRuntime, type NumberSource, numberSource } from "../runtime/live-runtime.ts";
import type { HeaderFormatContext } from "./header-format.ts";
import { compileHeaderMutations, type HeaderMutation, type HeaderMutationLevel } from "./mutate-headers.ts";
import { pathOnly } from "./path.ts";
import { Redirect } from "./redirect.ts";
import { compilePathRewrite, type PathRewrite, replaceAuthority, rewrittenHost } from "./rewrite.ts";
import type {
  ForwardAction,
  HeaderMutations,
  PerFilterConfig,
  RetryPolicy,
  RouteConfiguration,
  RouteEntry,
  VirtualHost,
  WeightedCluster,
} from "./route-config.ts";
import { RouteMatcher } from "./route-matcher.ts";

/** What a filter's configuration is on a route; see `PerFilterConfig`. */
export type FilterOverride = PerFilterConfig[string];

/** One route of a table, with the results that it may give made beforehand. */
export class Route {
  readonly entry: RouteEntry;
  readonly matcher: RouteMatcher;
  readonly #virtualHost: VirtualHost;
  readonly #config: RouteConfiguration;
  readonly #choice: ClusterChoice;

  constructor(entry: RouteEntry, virtualHost: VirtualHost, config: RouteConfiguration, runtime: LiveRuntime) {
    this.entry = entry;
    this.matcher = new RouteMatcher(entry.match, runtime);
    this.#virtualHost = virtualHost;
    this.#config = config;
    this.#choice = this.#makeChoice(runtime);
  }

  /** The result for one request. Only a route that takes its cluster from a header makes a new object. */
  select(head: RequestHead, random: number): SelectedRoute {
    const choice = this.#choice;
    switch (choice.type) {
      case "fixed":
        return choice.selected;
      case "weighted":
        return pickWeighted(choice, random);
      case "keyed":
        return pickWeighted(weighed(choice), random);
      case "header": {
        const cluster = firstHeaderValue(head, choice.header) ?? "";
        return new SelectedRoute(this, this.#virtualHost, this.#config, cluster, undefined, choice.shared);
      }
      default:
        throw new Error(`unknown cluster choice ${JSON.stringify(choice satisfies never)}`);
    }
  }

  #makeChoice(runtime: LiveRuntime): ClusterChoice {
    const { action } = this.entry;
    if (action.type !== "forward") return { type: "fixed", selected: this.#make("") };
    const { cluster } = action.forward;
    switch (cluster.type) {
      case "cluster":
        return { type: "fixed", selected: this.#make(cluster.name) };
      case "weighted": {
        const { clusters, runtimeKeyPrefix: prefix } = cluster;
        const selected = clusters.map((weighted) => this.#make(weighted.name, weighted));
        if (prefix === undefined)
          return {
            type: "weighted",
            total: clusters.reduce((sum, { weight }) => sum + weight, 0),
            weights: clusters.map(({ weight }) => weight),
            selected,
          };
        const weights = clusters.map(({ name, weight }) => numberSource(weight, `${prefix}.${name}`, runtime));
        return { type: "keyed", weights, selected };
      }
      case "cluster-header":
        return { type: "header", header: cluster.header.toLowerCase(), shared: this.#make("").parts };
      default:
        throw new Error(`unknown cluster specifier ${JSON.stringify(cluster satisfies never)}`);
    }
  }

  #make(cluster: string, weighted?: WeightedCluster): SelectedRoute {
    const parts = compileParts(this.entry, this.#virtualHost, this.#config, weighted);
    return new SelectedRoute(this, this.#virtualHost, this.#config, cluster, weighted, parts);
  }
}

type ClusterChoice =
  | { readonly type: "fixed"; readonly selected: SelectedRoute }
  | {
      readonly type: "weighted";
      readonly total: number;
      readonly weights: readonly number[];
      readonly selected: readonly SelectedRoute[];
    }
  /** The runtime may change the weights. */
  | {
      readonly type: "keyed";
      readonly weights: readonly NumberSource[];
      readonly selected: readonly SelectedRoute[];
    }
  | { readonly type: "header"; readonly header: string; readonly shared: SelectedParts };

type Weighted = Pick<ClusterChoice & { readonly type: "weighted" }, "total" | "weights" | "selected">;

/**
 * With the weights of this moment. Where the runtime has made all of them 0 the first is taken: Envoy divides by their sum
 * there.
 */
function weighed({ weights: sources, selected }: ClusterChoice & { readonly type: "keyed" }): Weighted {
  const weights = sources.map(({ value }) => value);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return total > 0 ? { total, weights, selected } : { total: 1, weights: [1], selected };
}

/** As Envoy: the cluster in whose share of the sum `random` modulo the sum falls. */
function pickWeighted(choice: Weighted, random: number): SelectedRoute {
  let left = random % choice.total;
  for (let i = 0; i < choice.weights.length; i++) {
    left -= choice.weights[i]!;
    if (left < 0) return choice.selected[i]!; // as many as weights
  }
  throw new Error("the weights of a route's clusters sum to nothing; decoding refuses that");
}

/** What a route does to the messages, compiled. */
interface SelectedParts {
  /** A weighted cluster's own, which come before its host. */
  readonly clusterMutations: readonly HeaderMutation[];
  readonly requestMutations: readonly HeaderMutation[];
  readonly responseMutations: readonly HeaderMutation[];
  readonly filters: ReadonlyMap<string, FilterOverride>;
  readonly filterLevels: readonly PerFilterConfig[];
  readonly pathRewrite: PathRewrite | undefined;
  readonly redirect: Redirect | undefined;
  readonly retry: RetryDecision | undefined;
}

/** A route that a request has matched, with its cluster drawn. Immutable and shared by many exchanges. */
export class SelectedRoute {
  readonly entry: RouteEntry;
  /** The virtual host's name. */
  readonly virtualHost: string;
  readonly virtualHostConfig: VirtualHost;
  readonly routeConfigName: string;
  /** "" where the route does not forward, or the header that should name the cluster is missing (503). */
  readonly cluster: string;
  /** The route's, else the virtual host's. */
  readonly retryPolicy: RetryPolicy | undefined;
  /** The conditions of that policy. */
  readonly retry: RetryDecision | undefined;
  /** Set on routes that redirect. */
  readonly redirect: Redirect | undefined;
  /** @internal Shared by the results of a route whose cluster a header names. */
  readonly parts: SelectedParts;
  readonly #route: Route;
  readonly #forward: ForwardAction | undefined;
  readonly #hostRewrite: ForwardAction["hostRewrite"];
  /** The weighted cluster's own; undefined: none. */
  readonly #clusterHost: string | undefined;

  constructor(
    route: Route,
    virtualHost: VirtualHost,
    config: RouteConfiguration,
    cluster: string,
    weighted: WeightedCluster | undefined,
    parts: SelectedParts,
  ) {
    const { entry } = route;
    this.entry = entry;
    this.virtualHost = virtualHost.name;
    this.virtualHostConfig = virtualHost;
    this.routeConfigName = config.name;
    this.cluster = cluster;
    this.#forward = entry.action.type === "forward" ? entry.action.forward : undefined;
    this.retryPolicy = this.#forward?.retryPolicy ?? virtualHost.retryPolicy;
    this.retry = parts.retry;
    this.redirect = parts.redirect;
    this.parts = parts;
    this.#route = route;
    this.#hostRewrite = hostRewriteOf(this.#forward);
    this.#clusterHost = weighted?.hostRewriteLiteral ? asBytes(weighted.hostRewriteLiteral) : undefined;
  }

  /** `append_x_forwarded_host` */
  get appendsForwardedHost(): boolean {
    return this.#forward?.appendXForwardedHost === true;
  }

  /** Whether the authority shall become the hostname of the endpoint that is picked (`auto_host_rewrite`). */
  get rewritesHostToEndpoint(): boolean {
    return this.#hostRewrite.type === "auto";
  }

  /** The override of a filter, most specific first: weighted cluster, route, virtual host, route configuration. */
  filterOverride(filterName: string): FilterOverride | undefined {
    return this.parts.filters.get(filterName);
  }

  /** All that there are for a filter, the least specific first. */
  filterOverrides(filterName: string): readonly FilterOverride[] {
    return this.parts.filterLevels.flatMap((level) => (Object.hasOwn(level, filterName) ? level[filterName]! : [])); // it has it
  }

  /**
   * Makes the request what the upstream shall see: headers, host, path, in Envoy's order. With `keepOriginal` the old host
   * and target go to `x-envoy-original-host` and `x-envoy-original-path` where they are rewritten.
   */
  finalizeRequest(head: RequestHead, context: HeaderFormatContext, keepOriginal: boolean): void {
    for (const mutation of this.parts.clusterMutations) mutation.apply(head.headers, context);
    // As Envoy: it takes the request's place for all that follows, is told in no header, and is rewritten as the route says.
    if (this.#clusterHost !== undefined) head.authority = this.#clusterHost;
    for (const mutation of this.parts.requestMutations) mutation.apply(head.headers, context);
    const host = rewrittenHost(head, this.#hostRewrite);
    if (host !== undefined) replaceAuthority(head, host, this.appendsForwardedHost, keepOriginal);
    if (this.parts.pathRewrite === undefined) return;
    const target = this.rewrittenTarget(head);
    if (keepOriginal) head.headers.set("x-envoy-original-path", head.path);
    head.path = target;
  }

  /** The request target after the route's rewrite. */
  rewrittenTarget(head: RequestHead): string {
    const { pathRewrite } = this.parts;
    return pathRewrite === undefined ? head.path : pathRewrite.rewrite(head.path, this.#matchedLength(head));
  }

  finalizeResponse(headers: HeaderMap, context: HeaderFormatContext): void {
    for (const mutation of this.parts.responseMutations) mutation.apply(headers, context);
  }

  /** The `location` for a route that redirects; undefined for the others. */
  redirectLocation(head: RequestHead): string | undefined {
    return this.redirect?.location(head, this.#matchedLength(head));
  }

  #matchedLength(head: RequestHead): number {
    return this.#route.matcher.path.matchedLength(pathOnly(head.path));
  }
}

function hostRewriteOf(forward: ForwardAction | undefined): ForwardAction["hostRewrite"] {
  const rewrite = forward?.hostRewrite ?? { type: "none" };
  return rewrite.type === "header" ? { type: "header", header: rewrite.header.toLowerCase() } : rewrite;
}

function ofRequests({ requestHeadersToAdd, requestHeadersToRemove }: HeaderMutations): HeaderMutationLevel {
  return { add: requestHeadersToAdd, remove: requestHeadersToRemove };
}

function compileParts(
  entry: RouteEntry,
  host: VirtualHost,
  config: RouteConfiguration,
  weighted: WeightedCluster | undefined,
): SelectedParts {
  const levels: HeaderMutations[] = [entry, host, config];
  // From the most to the least specific, so that the least specific has the last word, unless told otherwise.
  if (config.mostSpecificHeaderMutationsWins) levels.reverse();
  const first: HeaderMutations[] = weighted === undefined ? [] : [weighted]; // in both orders, as in Envoy
  const filterLevels = [config, host, entry, ...(weighted === undefined ? [] : [weighted])].map(
    ({ typedPerFilterConfig }) => typedPerFilterConfig,
  );
  const { action } = entry;
  const retryPolicy = (action.type === "forward" ? action.forward.retryPolicy : undefined) ?? host.retryPolicy;
  return {
    clusterMutations: compileHeaderMutations(first.map(ofRequests)),
    requestMutations: compileHeaderMutations(levels.map(ofRequests)),
    responseMutations: compileHeaderMutations(
      [...first, ...levels].map((level) => ({
        add: level.responseHeadersToAdd,
        remove: level.responseHeadersToRemove,
      })),
    ),
    filters: new Map(filterLevels.flatMap((level) => Object.entries(level))),
    filterLevels,
    pathRewrite: action.type === "forward" ? compilePathRewrite(action.forward) : undefined,
    redirect: action.type === "redirect" ? new Redirect(action.redirect) : undefined,
    retry: retryPolicy === undefined ? undefined : new RetryDecision(retryPolicy),
  };
}
