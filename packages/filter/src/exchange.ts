import type { Failure, Result, Timer } from "@heddle/base";
import type { HeaderMap, RequestHead, ResponseHead } from "@heddle/http";
import type { TlsInfo } from "@heddle/net";
import type { TraceContext } from "@heddle/telemetry";
import type { Address, Endpoint, RouteEntry } from "@heddle/traffic";

/** One request and its response, as filters see it. It lives from the request's head to the `log` phase. */
export interface Exchange {
  /** Filters change it freely until the router has sent it; `clearRoute` makes a change count for routing. */
  readonly request: RequestHead;
  /** Set once a response head (of the upstream or local) has come. */
  readonly response: ResponseHead | undefined;
  readonly requestTrailers: HeaderMap | undefined;
  readonly responseTrailers: HeaderMap | undefined;

  readonly downstream: DownstreamInfo;
  /** Filled by the router; its fields tell of the last attempt. */
  readonly upstream: UpstreamInfo;
  readonly trace: TraceContext;
  /** `x-request-id`, made where the request had none. */
  readonly requestId: string;
  /** Bits of `ResponseFlag`. */
  responseFlags: number;
  /** Envoy's `%RESPONSE_CODE_DETAILS%`: "via_upstream", "route_not_found" … */
  responseCodeDetails: string;
  /**
   * The request is a gRPC call, so answers of ours are gRPC statuses. Decided by the head as it is when this is first asked:
   * a filter that changes its `content-type` asks before.
   */
  readonly isGrpc: boolean;
  /** What `reply` was given; "" where the answer is the upstream's. */
  readonly localReplyBody: string;

  /** For what filters tell each other and the access log: `%DYNAMIC_METADATA(namespace:key)%`. Made on first use. */
  readonly metadata: Map<string, Map<string, unknown>>;
  /** Whether anybody has left something in it, which a mere look must not make it for. */
  readonly hasMetadata: boolean;

  /** The matched route; looked up on first use. Undefined: no route. */
  readonly route: MatchedRoute | undefined;
  /** Forgets the matched route, so that the next look sees the request as it is now. */
  clearRoute(): void;
  /** The parsed per-route configuration of that filter: the most specific of cluster weight, route, host, configuration. */
  routeConfig(filterName: string): unknown;
  /** Those of every level that has one, the least specific first: for what is joined over levels. */
  routeConfigs(filterName: string): readonly unknown[];

  /** Goes on after a filter paused the request. Does nothing if it is not paused. */
  continueRequest(): void;
  continueResponse(): void;
  /**
   * Answers in place of the upstream. The answer passes the response phases of the filters that have seen the request.
   * A gRPC call gets it as a gRPC status, without a body.
   * After the response has begun it aborts the exchange instead.
   */
  reply(reply: LocalReply): void;
  /** Ends the exchange with the answer that belongs to the failure. */
  fail(failure: Failure): void;
  /** Each filter may hold back that much of the request from now on, where the listener's limit is less. */
  raiseRequestBufferLimit(bytes: number): void;
  /**
   * Has the client send the request's body where it waits for a word (`Expect: 100-continue`, which is then answered here and not by
   * the upstream). For filters that pause at the head until they have seen the body.
   */
  askForBody(): void;
  /** What a filter has held back with "buffer" so far; a view, valid until the next call into the exchange. */
  readonly bufferedRequest: Uint8Array;
  readonly bufferedResponse: Uint8Array;

  /**
   * Sends a request of the filter's own to a cluster, through its balancer, pool and circuit breakers, and calls back
   * once with the whole answer. Cancelled with the exchange. `maxResponseBytes` bounds the answer (64 KiB).
   */
  send(
    cluster: string,
    request: SideRequest,
    callback: (result: Result<SideResponse, Failure>) => void,
  ): { cancel(): void };
  /** A timer that ends with the exchange. */
  after(delayMs: number, callback: () => void): Timer;

  // Figures for the log. Bytes are of bodies, as `%BYTES_RECEIVED%` and `%BYTES_SENT%` count.
  readonly startWallMs: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly requestBodyBytes: number;
  readonly responseBodyBytes: number;
}

export interface DownstreamInfo {
  /** Of the socket; differs from `remoteAddress` behind PROXY protocol. */
  readonly directRemoteAddress: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly connectionId: number;
  readonly listener: string;
  readonly filterChain: string;
  /** Of the socket, where a listener filter has learned of other addresses. Left out: they are the same. */
  readonly direct?: { readonly remotePort: number; readonly localAddress: string; readonly localPort: number };
  /**
   * `localAddress` and `localPort` are where the client has connected to before it was redirected: a listener filter has put
   * them back. `listenPort` is that of the socket that has taken it. Left out: nobody has.
   */
  readonly restored?: { readonly listenPort: number };
  /** Where upstream connections made for it come from (original_src). Left out: from where the cluster says. */
  readonly originalSource?: { readonly address: string; readonly mark: number };
  /** Of the connection itself, where `remoteAddress` is what a header says. Left out: this is it. */
  readonly connection?: DownstreamInfo;
  /** What PROXY protocol has told beside the addresses, and may be told to an upstream. Left out: nothing. */
  readonly proxyTlvs?: readonly { readonly type: number; readonly value: Uint8Array }[];
  /** What listener filters have left, by namespace and key. Left out: nothing. */
  readonly metadata?: ReadonlyMap<string, ReadonlyMap<string, unknown>>;
  /** The connection lies in a tunnel that this listener has ended. */
  readonly inTunnel?: true;
  /** What the client's TLS handshake has settled. Left out: the connection came in plaintext. */
  readonly tls?: TlsInfo;
  /** Why the handshake came to nothing, for logs. Left out: it did not. */
  readonly tlsFailure?: string;
  /** SNI that the client has asked for, whoever ends its TLS. Left out: none is known. */
  readonly serverName?: string;
  /** What the client's first bytes have been found to be, where a listener filter has looked. */
  readonly sniffed?: SniffedProtocol;
}

/** What listener filters have learned of a connection's first bytes, for the choice of the filter chain. */
export interface SniffedProtocol {
  readonly transportProtocol: "tls" | "raw_buffer";
  /** ALPN of the ClientHello in the client's order, or what plaintext looks like: "http/1.1", "h2c". */
  readonly applicationProtocols: readonly string[];
}

export interface UpstreamInfo {
  readonly cluster: string;
  readonly address: string; // "ip:port", or the path of a Unix socket; "" before one was chosen
  readonly endpoint: Endpoint | undefined;
  readonly localAddress: string;
  readonly connectionReused: boolean;
  /** Unique in its worker; 0: none yet. */
  readonly connectionId: number;
  /** Undefined: plaintext, or no connection. */
  readonly tls: TlsInfo | undefined;
  /** Attempts begun, the first one counted. */
  readonly attempts: number;
  readonly failure: Failure | undefined;
  /** From the exchange's start, in ms; -1 where it did not happen. */
  readonly connectedMs: number;
  /** The request's last byte has been sent. */
  readonly sentMs: number;
  readonly firstByteMs: number;
  readonly lastByteMs: number;
  /** Of the last attempt, with head and framing; -1 where there was no connection. */
  readonly wireBytesSent: number;
  readonly wireBytesReceived: number;
}

export interface MatchedRoute {
  readonly entry: RouteEntry;
  readonly virtualHost: string;
  readonly routeConfigName: string;
  /** The chosen cluster: of a weighted list one has been drawn. "" for routes that do not forward. */
  readonly cluster: string;
}

export interface LocalReply {
  readonly status: number;
  readonly body?: string;
  /** The same as it goes over the wire, where it may be no text. */
  readonly bytes?: Uint8Array;
  readonly contentType?: string;
  readonly headers?: HeaderMap;
  readonly details: string;
  readonly flags?: number;
  /** What a gRPC client is told. Left out: what the HTTP status stands for. */
  readonly grpcStatus?: number;
  /** To a gRPC call: this one message, and OK, in place of all of that. `local_reply_config` does not see it. */
  readonly grpcMessage?: Uint8Array;
}

export interface SideRequest {
  readonly head: RequestHead;
  readonly body?: Uint8Array;
  readonly timeoutMs: number;
  readonly maxResponseBytes?: number;
}

export interface SideResponse {
  readonly head: ResponseHead;
  readonly body: Uint8Array;
  readonly trailers: HeaderMap | undefined;
}

/** What `selectUpstream` may decide. */
export interface UpstreamChoice {
  readonly cluster?: string;
  /** Goes to this endpoint whatever the balancer would say. */
  readonly endpoint?: Address;
}
