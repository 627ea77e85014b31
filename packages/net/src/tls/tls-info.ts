/**
 * What a TLS handshake has settled, and who the peer has shown to be. Everything is computed when it is asked for: most
 * connections are never asked.
 */
export interface TlsInfo {
  /** "TLSv1.3", "TLSv1.2" … */
  readonly version: string;
  /** OpenSSL's name: "TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256". */
  readonly cipher: string;
  /** Of the key exchange: "X25519", "prime256v1"; "" where it is not known (a resumed session). */
  readonly group: string;
  /** SNI: what the client has asked for, lower case; "" for none. */
  readonly serverName: string;
  /** Hexadecimal; "" for none (TLS 1.3 has none that means anything). */
  readonly sessionId: string;
  /** The handshake resumed an earlier session. */
  readonly resumed: boolean;
  /** Undefined: the peer has shown no certificate. */
  readonly peer: CertificateFacts | undefined;
  /** The peer's certificate leads to a trusted authority, and has passed every rule that there is. */
  readonly peerVerified: boolean;
  /** What the peer has shown, its own certificate first. Of a resumed session that one alone is known. */
  readonly peerChain: readonly CertificateFacts[];
  /** The certificate that was shown to the peer. */
  readonly local: CertificateFacts | undefined;
}

/** One certificate, as logs, headers and rules ask for it. */
export interface CertificateFacts {
  /** RFC 2253: the most specific part first, "CN=shop,OU=web,O=Example". */
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal, lower case. */
  readonly serialNumber: string;
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  readonly emailSans: readonly string[];
  readonly ipSans: readonly string[];
  /** Wall time. */
  readonly validFromMs: number;
  readonly validToMs: number;
  /** Hexadecimal, lower case, of the DER form. */
  readonly fingerprintSha256: string;
  readonly fingerprintSha1: string;
  readonly pem: string;
}
