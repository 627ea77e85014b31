import { type Address, addressKey } from "@heddle/traffic";

/**
 * Everything that must be equal for two requests to share a connection. A connection that differs in any of it could
 * carry a request to the wrong peer, or as the wrong one.
 */
export interface ConnectionIdentity {
  readonly address: Address;
  /** What is spoken on it; "auto" is what TLS agrees on (ALPN). */
  readonly protocol: "http1" | "http2" | "auto";
  /** Undefined: plaintext. */
  readonly tls: TlsIdentity | undefined;
  /** Source address, keep-alive and other socket options, in a canonical form; "" for none. */
  readonly socketOptions: string;
  /** What a connection begins with, before anything else, as latin1 text: a PROXY protocol header; "" for nothing. */
  readonly preface: string;
}

export interface TlsIdentity {
  readonly serverName: string;
  /** Hash of the client certificate that is shown; "" for none. */
  readonly certificate: string;
  /** Hash of what the peer is verified by: trust bundle, names, ALPN, versions. */
  readonly verification: string;
}

/** One string for one identity. */
export function poolKey({ address, protocol, tls, socketOptions, preface }: ConnectionIdentity): string {
  const security = tls === undefined ? "plaintext" : `tls ${tls.serverName} ${tls.certificate} ${tls.verification}`;
  return `${address.type} ${addressKey(address)}|${protocol}|${security}|${socketOptions}|${preface}`;
}
