import { createHash } from "node:crypto";
import { isIP } from "node:net";
import type { RequestHead } from "@heddle/http";
import { TlsClient } from "@heddle/net";
import {
  type ClusterConfig,
  clientTlsSettings,
  type Endpoint,
  portStart,
  type UpstreamProxyProtocol,
  type UpstreamTlsConfig,
} from "@heddle/traffic";
import type { LiveSecrets } from "../tls/live-secrets.ts";
import { LiveTls } from "../tls/live-tls.ts";
import type { SslStats } from "../tls/ssl-stats.ts";
import type { TlsIdentity } from "./pool/pool-key.ts";

/** What a connection to an endpoint goes through. */
export interface Transport {
  readonly proxyProtocol: UpstreamProxyProtocol | undefined;
  readonly tls: UpstreamTls | undefined;
}

export interface TransportEvents {
  /** Called once, where there is TLS. */
  readonly makeStats: () => SslStats;
  /** Secrets have come that cannot be used; the ones before go on. */
  readonly onProblem: (problem: string) => void;
}

/**
 * The transports of a cluster (`transport_socket`, `transport_socket_matches`): the first whose match an endpoint's metadata
 * fits, else the cluster's own.
 */
export class UpstreamTransports {
  /** Connections to one endpoint may differ from each other, by the request or since its metadata has changed. */
  readonly vary: boolean;
  readonly #own: Transport;
  readonly #matches: readonly {
    readonly wanted: readonly (readonly [string, string])[];
    readonly transport: Transport;
  }[];

  /** Throws where OpenSSL does not take the configuration, which validation has found before. */
  constructor(config: ClusterConfig, secrets: LiveSecrets, { makeStats, onProblem }: TransportEvents) {
    let stats: SslStats | undefined;
    const statsOnce = (): SslStats => {
      stats ??= makeStats();
      return stats;
    };
    const make = ({ proxyProtocol, tls }: Pick<ClusterConfig, "proxyProtocol" | "tls">): Transport => ({
      proxyProtocol,
      tls: tls && new UpstreamTls(tls, config.sniFromRequest, secrets, statsOnce(), onProblem),
    });
    this.#own = make(config);
    this.#matches = (config.transportSocketMatches ?? []).map((one) => ({
      wanted: Object.entries(one.match).map(([key, value]) => [key, JSON.stringify(value)] as const),
      transport: make(one),
    }));
    const isVariable = ({ proxyProtocol, tls }: Transport): boolean =>
      proxyProtocol !== undefined || tls?.varies === true;
    this.vary = this.#matches.length > 0 || isVariable(this.#own);
  }

  of({ config }: Endpoint): Transport {
    if (this.#matches.length === 0) return this.#own;
    const told = config.metadata[MATCH_NAMESPACE] ?? {};
    const fitting = this.#matches.find(({ wanted }) =>
      wanted.every(([key, value]) => Object.hasOwn(told, key) && JSON.stringify(told[key]) === value),
    );
    return fitting === undefined ? this.#own : fitting.transport;
  }
}

/** Where an endpoint's metadata says which transport it wants. */
const MATCH_NAMESPACE = "envoy.transport_socket_match";

/** The TLS of a cluster, or of one of its matches. It lives as long as the cluster's configuration stays the same. */
export class UpstreamTls {
  readonly client: LiveTls<UpstreamTlsConfig, TlsClient>;
  /** Connections to one endpoint may differ in their server name. */
  readonly varies: boolean;
  readonly #config: UpstreamTlsConfig;
  readonly #fromRequest: ClusterConfig["sniFromRequest"];
  readonly #certificate: string;
  readonly #verification: string;
  readonly #stats: SslStats;

  constructor(
    config: UpstreamTlsConfig,
    fromRequest: ClusterConfig["sniFromRequest"],
    secrets: LiveSecrets,
    stats: SslStats,
    onProblem: (problem: string) => void,
  ) {
    this.#stats = stats;
    const make = (complete: UpstreamTlsConfig): TlsClient => new TlsClient(clientTlsSettings(complete));
    this.client = new LiveTls(config, secrets, make, onProblem);
    this.#config = config;
    this.#fromRequest = fromRequest;
    this.varies = config.autoHostSni || fromRequest !== undefined;
    // Secrets count by their names: connections that were made before a rotation stay, and are shared by who comes after it.
    const { certificates, certificateSecrets = [], ...verification } = config.common;
    const shown = [...certificates, ...certificateSecrets];
    this.#certificate = shown.length === 0 ? "" : hash(shown);
    this.#verification = hash([verification, config.autoSniSanValidation]);
  }

  /** `request`: what a connection is made for; left out: bytes that nobody has looked into. */
  identity(endpoint: Endpoint, request: RequestHead | undefined): TlsIdentity {
    const serverName = this.#serverName(endpoint, request);
    return {
      serverName,
      verifiedName: this.#verifiedName(serverName, request),
      certificate: this.#certificate,
      verification: this.#verification,
      client: this.client,
      stats: this.#stats,
    };
  }

  /** In Envoy's order: the request's host, the endpoint's name, the configured one. */
  #serverName({ hostname }: Endpoint, request: RequestHead | undefined): string {
    if (this.#fromRequest?.autoSni === true && request !== undefined) {
      const host = hostOf(request, this.#fromRequest.overrideHeader);
      if (isIP(host) === 0 && host !== "") return host;
    }
    return this.#config.autoHostSni && hostname !== "" ? hostname : this.#config.sni;
  }

  /** The one name that the certificate has to stand for; undefined: the configured rules hold. */
  #verifiedName(serverName: string, request: RequestHead | undefined): string | undefined {
    if (this.#fromRequest?.autoSanValidation === true && request !== undefined) {
      return hostOf(request, this.#fromRequest.overrideHeader);
    }
    return this.#config.autoSniSanValidation ? serverName : undefined;
  }
}

/** Of the header that is named, else of the request itself; without a port. */
function hostOf({ authority, headers }: RequestHead, overrideHeader: string): string {
  const named = overrideHeader === "" ? undefined : headers.get(overrideHeader);
  const host = named === undefined || named === "" ? authority : named;
  const port = portStart(host);
  const bare = port === -1 ? host : host.slice(0, port);
  return bare.startsWith("[") ? bare.slice(1, -1) : bare.toLowerCase();
}

function hash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("base64");
}
