import type {
  Address,
  DownstreamTlsConfig,
  FilterChainConfig,
  FilterChainMatch,
  HttpConnectionManagerConfig,
  ListenerConfig,
  NetworkFilterConfig,
} from "@heddle/traffic";
import { NO_POLICIES, type WorkloadPolicies } from "../model/policy-index.ts";
import type { Workload, WorkloadPort } from "../model/workload.ts";
import { connectionManager, listener } from "./listeners.ts";
import { type MeshTrust, mtlsTermination } from "./mtls.ts";
import { mtlsMode } from "./mtls-mode.ts";
import { inboundName, MESH_SERVER_NAMES } from "./names.ts";
import { asksForPaths, asksForServerNames, httpAuthorization, tcpAuthorization } from "./policy/authorization.ts";
import { requestAuthentication } from "./policy/request-authentication.ts";
import { inboundRouteConfiguration } from "./routes.ts";

/** What decides who gets through to a workload. */
export interface InboundSecurity {
  readonly policies: WorkloadPolicies;
  /** Undefined: the mesh has no authority of its own, and nobody an identity. */
  readonly trust: MeshTrust | undefined;
  /** Its sidecar has proved who it is, so that it can speak mutual TLS. */
  readonly hasIdentity: boolean;
}

const UNSECURED: InboundSecurity = { policies: NO_POLICIES, trust: undefined, hasIdentity: false };

/**
 * Takes what others send to one public port of the workload, for the application behind it. Undefined: a policy asks for
 * mutual TLS alone, and this sidecar has no identity to speak it with, so nobody gets in.
 */
export function inboundListener(
  workload: Workload,
  port: WorkloadPort,
  security: InboundSecurity = UNSECURED,
): ListenerConfig | undefined {
  const chains = port.protocol === "tcp" ? tcpChains(port, security) : httpChains(workload, port, security);
  if (chains.length === 0) return undefined;
  const name = inboundName(port.port);
  const config = listener(name, bindAddresses(workload.addresses, port.port), chains);
  const { mode, policies } = { mode: chainsOf(port, security), policies: security.policies.authorization };
  // Where nobody looks a connection has no name, and a DENY of one would deny nobody.
  const asksForName = port.protocol === "tcp" && mode === "plaintext" && asksForServerNames(policies);
  const sniffs = asksForName || chains.some(({ match }) => match !== undefined);
  if (!sniffs) return config;
  return {
    ...config,
    listenerFilters: [
      { type: "tls-inspector", name: "envoy.filters.listener.tls_inspector", maxClientHelloBytes: 16 * 1024 },
    ],
    // Where the server speaks first its client waits: that cannot be the beginning of TLS, so it is plaintext.
    ...(port.protocol === "tcp" && {
      listenerFiltersTimeoutMs: FIRST_BYTES_WAIT_MS,
      continueOnListenerFiltersTimeout: true,
    }),
  };
}

/** How long the first bytes of a client are waited for that may be about to speak TLS, over whatever distance. */
export const FIRST_BYTES_WAIT_MS = 1000;

/** An application behind HTTP ports speaks no TLS by itself, so that all TLS there is the mesh's. */
function httpChains(workload: Workload, port: WorkloadPort, security: InboundSecurity): readonly FilterChainConfig[] {
  const plaintext = [httpManager(workload, port, security, undefined)];
  const secured = [httpManager(workload, port, security, XFCC)];
  const tls = mtlsTermination(["h2", "http/1.1"]);
  switch (chainsOf(port, security)) {
    case "plaintext":
      return [chain("", undefined, plaintext)];
    case "mtls":
      return [chain("mtls", undefined, secured, tls)];
    case "both":
      return [
        chain("mtls", { ...ANY, transportProtocol: "tls" }, secured, tls),
        chain("plaintext", { ...ANY, transportProtocol: "raw_buffer" }, plaintext),
      ];
    case "none":
      return [];
  }
}

/** TLS that does not ask for a name of the mesh is the application's own, and passes as any bytes do. */
function tcpChains(port: WorkloadPort, security: InboundSecurity): readonly FilterChainConfig[] {
  const filters = [...tcpAuthorization(security.policies, security.trust), tcpProxyTo(inboundName(port.port))];
  const tls = mtlsTermination([]);
  switch (chainsOf(port, security)) {
    case "plaintext":
      return [chain("", undefined, filters)];
    case "mtls":
      return [chain("mtls", undefined, filters, tls)];
    case "both":
      return [
        chain("mtls", { ...ANY, transportProtocol: "tls", serverNames: [MESH_SERVER_NAMES] }, filters, tls),
        chain("plaintext", ANY, filters),
      ];
    case "none":
      return [];
  }
}

/** What a port takes. */
export function chainsOf(
  { port }: Pick<WorkloadPort, "port">,
  { policies, hasIdentity }: InboundSecurity,
): "plaintext" | "mtls" | "both" | "none" {
  switch (mtlsMode(policies, port)) {
    case "DISABLE":
      return "plaintext";
    case "STRICT":
      return hasIdentity ? "mtls" : "none";
    case "PERMISSIVE":
      return hasIdentity ? "both" : "plaintext";
  }
}

export const ANY: FilterChainMatch = {
  destinationPort: undefined,
  prefixRanges: [],
  directSourcePrefixRanges: [],
  sourceType: "ANY",
  sourcePrefixRanges: [],
  sourcePorts: [],
  serverNames: [],
  transportProtocol: "",
  applicationProtocols: [],
};

export function chain(
  name: string,
  match: FilterChainMatch | undefined,
  filters: readonly NetworkFilterConfig[],
  tls?: DownstreamTlsConfig,
): FilterChainConfig {
  return { name, match, filters, ...(tls !== undefined && { tls }), transportSocketConnectTimeoutMs: 0 };
}

type Manners = Partial<HttpConnectionManagerConfig["manners"]>;

/** The application learns who calls, and from nobody but us. */
export const XFCC: Manners = {
  forwardClientCertDetails: "SANITIZE_SET",
  currentClientCert: { subject: false, cert: false, chain: false, dns: false, uri: true },
};

export function httpManager(
  workload: Workload,
  port: WorkloadPort,
  { policies, trust }: InboundSecurity,
  manners: Manners | undefined,
): NetworkFilterConfig {
  const config = connectionManager(inboundName(port.port), workload.accessLog);
  return {
    type: "http-connection-manager",
    name: "envoy.filters.network.http_connection_manager",
    config: {
      ...config,
      ...(asksForPaths(policies.authorization) && ONE_READING),
      manners: { ...config.manners, ...manners },
      httpFilters: [
        ...requestAuthentication(policies.request), // first, since policies ask for what tokens say
        ...httpAuthorization(policies, trust),
        ...config.httpFilters,
      ],
      routes: { type: "inline", routeConfig: inboundRouteConfiguration(port.port) },
    },
  };
}

/**
 * Where paths decide who may do what, the application must not take one for another: "//a" would be no "/a" for a policy
 * and may be one for the application, and so may "/a%2Fb".
 */
const ONE_READING: Pick<HttpConnectionManagerConfig, "mergeSlashes" | "pathWithEscapedSlashesAction"> = {
  mergeSlashes: true,
  pathWithEscapedSlashesAction: "REJECT_REQUEST",
};

/** Gives connections to a cluster. */
export function tcpProxyTo(cluster: string, statPrefix = cluster): NetworkFilterConfig {
  return {
    type: "tcp-proxy",
    name: "envoy.filters.network.tcp_proxy",
    config: {
      statPrefix,
      clusters: [{ name: cluster, weight: 1 }],
      idleTimeoutMs: 3_600_000,
      maxConnectAttempts: 1,
      maxDownstreamConnectionDurationMs: 0,
      accessLog: [],
      accessLogFlushIntervalMs: 0,
      flushAccessLogOnConnected: false,
    },
  };
}

/**
 * Loopback addresses are bound as they are: on a laptop nobody else should get in. Any other address may be one that the
 * machine does not have itself (NAT), so there the wildcard is bound.
 */
function bindAddresses(addresses: readonly string[], port: number): readonly Address[] {
  const wildcard = (address: string): string => (address.includes(":") ? "::" : "0.0.0.0");
  const bound = addresses.map((address) => (isLoopback(address) ? address : wildcard(address)));
  const distinct = [...new Set(bound)].filter(
    (address) => !(isLoopback(address) && bound.includes(wildcard(address))), // the wildcard has it
  );
  return distinct.map((address) => ({ type: "socket", address, port }));
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}
