import { type IpWords, parseIp } from "@heddle/base";
import type { RequestHead } from "@heddle/http";
import type { CertificateFacts, TlsInfo } from "@heddle/net";
import { pathOnly } from "../route/path.ts";

/** Of a downstream connection, what rules look at. The `DownstreamInfo` of filters is one. */
export interface ConnectionFacts {
  /** Of the socket. */
  readonly directRemoteAddress: string;
  /** Of the client, as forwarding headers tell. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly connectionId: number;
  /** Of the connection itself, where `remoteAddress` is what a header says. Left out: this is it. */
  readonly connection?: ConnectionFacts;
  readonly tls?: TlsInfo;
  readonly serverName?: string;
  readonly sniffed?: { readonly applicationProtocols: readonly string[] };
}

export type DynamicMetadata = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

/** Of a request, what no head says. */
export interface RequestFacts {
  readonly requestId: string;
  /** Milliseconds since the Unix epoch. */
  readonly startWallMs: number;
}

/**
 * Who asks for what: one connection, or one request on it. One object serves all decisions of a filter, one after the
 * other: `set` it, then decide.
 */
export class AccessSubject {
  connection!: ConnectionFacts; // set before each use
  /** Undefined: it is the connection that is judged. */
  head: RequestHead | undefined = undefined;
  metadata: DynamicMetadata | undefined = undefined;
  request: RequestFacts | undefined = undefined;
  #urlPath: string | undefined = undefined;
  readonly #local = new KnownAddress();
  readonly #source = new KnownAddress();
  readonly #direct = new KnownAddress();
  readonly #remote = new KnownAddress();

  set(
    connection: ConnectionFacts,
    metadata: DynamicMetadata | undefined,
    head?: RequestHead,
    request?: RequestFacts,
  ): this {
    this.connection = connection;
    this.metadata = metadata;
    this.head = head;
    this.request = request;
    this.#urlPath = undefined;
    return this;
  }

  /** Holds nothing of the last request. */
  clear(): void {
    this.head = undefined;
    this.metadata = undefined;
    this.request = undefined;
    this.#urlPath = undefined;
  }

  /** The path without query and fragment; "" where there is none (CONNECT, a connection). */
  get urlPath(): string {
    this.#urlPath ??= this.head === undefined ? "" : pathOnly(this.head.path);
    return this.#urlPath;
  }

  /** Where the client wanted to go. Undefined: a Unix socket, which has no address. */
  get destinationIp(): IpWords | undefined {
    return this.#local.of(this.connection.localAddress);
  }

  /** The peer of the connection, as listener filters have found it (PROXY protocol). */
  get sourceIp(): IpWords | undefined {
    return this.#source.of(this.source.remoteAddress);
  }

  /** The peer of the socket. */
  get directRemoteIp(): IpWords | undefined {
    return this.#direct.of(this.connection.directRemoteAddress);
  }

  /** The client, as forwarding headers tell. */
  get remoteIp(): IpWords | undefined {
    return this.#remote.of(this.connection.remoteAddress);
  }

  /** The connection without what headers say of it. */
  get source(): ConnectionFacts {
    return this.connection.connection ?? this.connection;
  }

  get tls(): TlsInfo | undefined {
    return this.source.tls;
  }

  /** The certificate by which the peer has shown who it is. Undefined: it has not, or nobody vouches for it. */
  get verifiedPeer(): CertificateFacts | undefined {
    const { tls } = this;
    return tls?.peerVerified === true ? tls.peer : undefined;
  }
}

/** The last address and what it is in words: requests of one connection have the same. */
class KnownAddress {
  #text = "";
  #words: IpWords | undefined = undefined;

  of(text: string): IpWords | undefined {
    if (text !== this.#text) {
      this.#text = text;
      this.#words = parseIp(text);
    }
    return this.#words;
  }
}
