import type { RequestHead } from "@heddle/http";
import type { TlsInfo } from "@heddle/net";
import { type LiveRuntime, NO_RUNTIME } from "../runtime/live-runtime.ts";
import { pathOnly } from "./path.ts";
import type { HeaderMutations, RouteConfiguration, RouteEntry, VirtualHost } from "./route-config.ts";
import { RouteIndex } from "./route-index.ts";
import { RequestToMatch } from "./route-matcher.ts";
import { Route, type SelectedRoute } from "./selected-route.ts";
import { VirtualHostIndex } from "./virtual-host-index.ts";

/**
 * A route configuration, compiled: everything that does not depend on the request has been done. Immutable, so that an
 * exchange may keep what it got from an older table.
 */
export class RouteTable {
  readonly name: string;
  readonly config: RouteConfiguration;
  readonly #hosts: VirtualHostIndex<CompiledHost>;
  /** The configuration without its virtual hosts, which is all that routes know of it: they outlive the list that they were in. */
  readonly #frame: RouteConfiguration;
  readonly #frameText: string;
  readonly #compiled = new Map<VirtualHost, CompiledHost>();

  constructor(config: RouteConfiguration, runtime: LiveRuntime, previous?: RouteTable) {
    this.name = config.name;
    this.config = config;
    const frame = { ...config, virtualHosts: [] };
    this.#frameText = JSON.stringify(frame);
    const isSame = previous !== undefined && previous.#frameText === this.#frameText;
    this.#frame = isSame ? previous.#frame : frame;
    const known: ReadonlyMap<VirtualHost, CompiledHost> = isSame ? previous.#compiled : new Map();
    for (const host of config.virtualHosts)
      this.#compiled.set(host, known.get(host) ?? compileVirtualHost(host, this.#frame, runtime));
    this.#hosts = new VirtualHostIndex(
      config.virtualHosts.map((host) => [host.domains, this.#compiled.get(host)!] as const), // compiled above
      config.ignorePortInHostMatching,
    );
  }

  /** Whether any virtual host has requests of that authority. */
  hasHost(authority: string): boolean {
    return this.#hosts.find(authority) !== undefined;
  }

  /**
   * The route of a request: its virtual host by authority, then the first route all of whose conditions hold. Undefined:
   * there is none (404).
   *
   * `random` is a whole number from 0, drawn once per exchange (`systemRandom` gives one): it decides `runtime_fraction` and the
   * weighted cluster as Envoy does, so that a second look at the same exchange gives the same answer. `tls` is of the client's
   * connection; left out, it came in plaintext.
   */
  match(head: RequestHead, random: number, tls?: TlsInfo): SelectedRoute | undefined {
    const host = this.#hosts.find(head.authority);
    if (host === undefined) return undefined;
    if (host.towardsTls !== undefined && lacksTls(head, host.requireTls)) return host.towardsTls.select(head, random);
    return host.routes.find(new RequestToMatch(head, pathOnly(head.path), tls), random)?.select(head, random);
  }
}

/**
 * Compiles a decoded route configuration. Throws only on what `checkRouteConfiguration` reports, which decoding has
 * asked first. What its runtime keys say is read from `runtime` with each request. `previous`: a table of the same runtime; virtual
 * hosts that are the same objects there are not compiled again.
 */
export function compileRouteConfiguration(
  config: RouteConfiguration,
  runtime = NO_RUNTIME,
  previous?: RouteTable,
): RouteTable {
  return new RouteTable(config, runtime, previous);
}

interface CompiledHost {
  readonly routes: RouteIndex<Route>;
  readonly requireTls: VirtualHost["requireTls"];
  /** The answer to requests that have to come by TLS and do not. */
  readonly towardsTls: Route | undefined;
}

function compileVirtualHost(host: VirtualHost, config: RouteConfiguration, runtime: LiveRuntime): CompiledHost {
  const { requireTls } = host;
  return {
    routes: new RouteIndex(
      host.routes.map((entry) => new Route(entry, host, config, runtime)),
      host.routes.map((entry) => entry.match),
    ),
    requireTls,
    // As in Envoy it changes no headers: it leads elsewhere, whatever the host says of its answers.
    towardsTls:
      requireTls && new Route(TOWARDS_TLS, { ...host, ...NO_MUTATIONS }, { ...config, ...NO_MUTATIONS }, runtime),
  };
}

/** By what is said of the way that the request has come, as in Envoy: a hop before us may have ended its TLS. */
function lacksTls({ headers }: RequestHead, requireTls: VirtualHost["requireTls"]): boolean {
  if (headers.get("x-forwarded-proto") === "https") return false;
  return requireTls === "ALL" || headers.get("x-envoy-internal") !== "true";
}

const NO_MUTATIONS: HeaderMutations = {
  requestHeadersToAdd: [],
  requestHeadersToRemove: [],
  responseHeadersToAdd: [],
  responseHeadersToRemove: [],
};

/** Envoy's `SslRedirectRoute`. */
const TOWARDS_TLS: RouteEntry = {
  name: "",
  match: {
    path: { type: "prefix", value: "" },
    caseSensitive: true,
    headers: [],
    queryParameters: [],
    grpc: false,
    runtimeFraction: undefined,
  },
  action: {
    type: "redirect",
    redirect: {
      scheme: "https",
      host: undefined,
      port: undefined,
      path: { type: "keep" },
      responseCode: 301,
      stripQuery: false,
    },
  },
  typedPerFilterConfig: {},
  statPrefix: "",
  ...NO_MUTATIONS,
};
