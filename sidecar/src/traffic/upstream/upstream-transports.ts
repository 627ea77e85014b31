import { createHash } from "node:crypto";
import type { RequestHead } from "@heddle/http";
import { TlsClient } from "@heddle/net";
import {
  type ClusterConfig,
  clientTlsSettings,
  type Endpoint,
  type UpstreamProxyProtocol,
  type UpstreamTlsConfig,
} from "@heddle/traffic";
import type { LiveSecrets } from "../tls/live-secrets.ts";
import { LiveTls } from "../tls/live-tls.ts";
import type { SslStats } from "../tls/ssl-stats.ts";
import type { TlsIdentity } from "./pool/pool-key.ts";
import { bareHost, fitsMatch, type MatchWish, matchWish, serverNameOf, verifiedNameOf } from "./tls-names.ts";

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
  readonly #matches: readonly { readonly wish: MatchWish; readonly transport: Transport }[];

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
      wish: matchWish(one),
      transport: make(one),
    }));
    const isVariable = ({ proxyProtocol, tls }: Transport): boolean =>
      proxyProtocol !== undefined || tls?.varies === true;
    this.vary = this.#matches.length > 0 || isVariable(this.#own);
  }

  of({ config }: Endpoint): Transport {
    if (this.#matches.length === 0) return this.#own;
    const fitting = this.#matches.find(({ wish }) => fitsMatch(config, wish));
    return fitting === undefined ? this.#own : fitting.transport;
  }
}

/** The TLS of a cluster, or of one of its matches. It lives as long as the cluster's configuration stays the same. */
export class UpstreamTls {
  readonly client: LiveTls<UpstreamTlsConfig, TlsClient>;
  /** Connections to one endpoint may differ in their server name. */
  readonly varies: boolean;
  readonly #config: UpstreamTlsConfig;
  readonly #fromRequest: ClusterConfig["sniFromRequest"];
  readonly #certificate: string;
  readonly #verification: string;
  readonly #istio: boolean;
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
    this.#istio = config.common.alpnProtocols.includes("istio");
  }

  /** `request`: what a connection is made for; left out: bytes that nobody has looked into. */
  identity(endpoint: Endpoint, request: RequestHead | undefined): TlsIdentity {
    const fromRequest = this.#fromRequest;
    const host =
      fromRequest === undefined || request === undefined ? undefined : hostOf(request, fromRequest.overrideHeader);
    const serverName = serverNameOf(this.#config, fromRequest, endpoint, host);
    return {
      serverName,
      verifiedName: verifiedNameOf(this.#config, fromRequest, serverName, host),
      certificate: this.#certificate,
      verification: this.#verification,
      client: this.client,
      istio: this.#istio,
      stats: this.#stats,
    };
  }
}

/** Of the header that is named, else of the request itself. */
function hostOf({ authority, headers }: RequestHead, overrideHeader: string): string {
  const named = overrideHeader === "" ? undefined : headers.get(overrideHeader);
  return bareHost(named === undefined || named === "" ? authority : named);
}

function hash(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("base64");
}
