import type { SocketSource, TlsClient } from "@heddle/net";
import { type Address, addressKey } from "@heddle/traffic";
import type { SslStats } from "../../tls/ssl-stats.ts";

/**
 * Everything that must be equal for two requests to share a connection. A connection that differs in any of it could
 * carry a request to the wrong peer, or as the wrong one.
 */
export interface ConnectionIdentity {
  readonly address: Address;
  /** What is spoken on it; "auto" is what TLS agrees on (ALPN), "bytes" what nobody here looks into. */
  readonly protocol: "http1" | "http2" | "auto" | "bytes";
  /** Undefined: plaintext. */
  readonly tls: TlsIdentity | undefined;
  /** Where it comes from; undefined: the system chooses. */
  readonly source: SocketSource | undefined;
  /** Source address and other socket options, in a canonical form; "" for none. */
  readonly socketOptions: string;
  /** What a connection begins with, before anything else, as latin1 text: a PROXY protocol header; "" for nothing. */
  readonly preface: string;
}

export interface TlsIdentity {
  /** SNI; "" for none. */
  readonly serverName: string;
  /** The one name that the peer's certificate has to stand for; undefined: the rules of the verification hold. */
  readonly verifiedName: string | undefined;
  /** Hash of the client certificate that is shown, or of its secret's name; "" for none. */
  readonly certificate: string;
  /** Hash of what the peer is verified by: trust bundle or its secret's name, names, ALPN, versions. */
  readonly verification: string;
  /** What makes such connections, as it is now; undefined: a secret is missing. The strings above tell it from others. */
  readonly client: { readonly current: TlsClient | undefined };
  /** The peer is a proxy of Istio's, which tells protocols by names of its own in ALPN. */
  readonly istio: boolean;
  /** Of the cluster. */
  readonly stats: SslStats;
}

/** One string for one identity. */
export function poolKey({ address, protocol, tls, socketOptions, preface }: ConnectionIdentity): string {
  const security = tls === undefined ? "plaintext" : tlsKey(tls);
  return `${address.type} ${addressKey(address)}|${protocol}|${security}|${socketOptions}|${preface}`;
}

function tlsKey({ serverName, verifiedName, certificate, verification }: TlsIdentity): string {
  return `tls ${serverName} ${verifiedName === undefined ? "" : `=${verifiedName}`} ${certificate} ${verification}`;
}
