/* `envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig` and the table that it holds, decoded. Plain JSON data. */

export interface DnsFilterConfig {
  readonly statPrefix: string;
  /** Names that are answered here. */
  readonly domains: readonly DnsDomain[];
  /** Undefined: what is not answered here does not exist. */
  readonly client: DnsClientConfig | undefined;
}

export interface DnsDomain {
  /** As it was configured; "*.example.com" is every name below. */
  readonly name: string;
  /** How long an answer may be kept: 300 s, at least 30 s. */
  readonly answerTtlS: number;
  readonly addresses?: readonly string[];
  /** The addresses of its endpoints. */
  readonly cluster?: string;
  readonly services?: readonly DnsService[];
}

/** `DnsTable.DnsService`: answers `_name._protocol.domain`. */
export interface DnsService {
  readonly name: string;
  /** "tcp", "udp", without underscore. */
  readonly protocol: string;
  readonly ttlS: number;
  readonly targets: readonly DnsServiceTarget[];
}

export interface DnsServiceTarget {
  readonly hostName?: string;
  /** The target is a name under which each endpoint is known; its port is `port`, or 0 for the endpoint's own. */
  readonly cluster?: string;
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
}

export interface DnsClientConfig {
  /** How long one server is given: 5 s, at least 1 s. */
  readonly resolverTimeoutMs: number;
  /** How often the question is sent again beyond the first time (`external_retry_count`, at most 3). */
  readonly retries: number;
  /** Questions that wait for an answer; a further one is answered SERVFAIL. */
  readonly maxPendingLookups: number;
  /** "10.0.0.10:53". Empty: those of resolv.conf. */
  readonly servers: readonly DnsServer[];
  /** `servers` count only where resolv.conf names none. */
  readonly serversAsFallback: boolean;
  /** Servers are always asked by TCP. */
  readonly useTcp: boolean;
}

export interface DnsServer {
  readonly address: string;
  readonly port: number;
}

/** `heddle.filters.network.v1.Dns`: DNS by TCP, with the table and the servers of a UDP listener. */
export interface DnsTcpConfig {
  /** Its name. */
  readonly udpListener: string;
  /** A connection without a question ends: 10 s (RFC 7766 §6.2.3 says a few seconds). */
  readonly idleTimeoutMs: number;
}
