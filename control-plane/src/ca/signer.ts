import type { Live, Result } from "@heddle/base";
import type { SpiffeId, TrustBundles } from "@heddle/identity";

/** Further names of a certificate, beside its SPIFFE ID: for servers whose clients look at names. */
export interface ServerNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** What signs SVIDs, as those see it who ask it to. */
export interface Signer {
  readonly trustDomain: string;
  /** The own trust domain's bundle first, then those that are federated with it. */
  readonly bundles: Live<TrustBundles>;
  /** Reads a request for a certificate, and checks that whoever made it has the key. The error says what is wrong with it. */
  readRequest(csr: Uint8Array): Promise<Result<SigningRequest, string>>;
  /**
   * A certificate for the request's key, in that name and no other. `ttlMs`: how long it shall be good, and no longer than the
   * authority gives; 0: as long as it gives. Undefined: there is no authority now. `names`: left out, it has none.
   */
  issue(
    request: SigningRequest,
    spiffeId: SpiffeId,
    ttlMs: number,
    names?: ServerNames,
  ): Promise<IssuedSvid | undefined>;
}

/** A request for a certificate that has been read. */
export interface SigningRequest {
  /** The SPIFFE ID that it names, if it names one. */
  readonly spiffeId: SpiffeId | undefined;
  /** SHA-256 of the public key's DER (SubjectPublicKeyInfo), hexadecimal. */
  readonly keyHash: string;
  readonly csr: Uint8Array;
}

export interface IssuedSvid {
  /** DER, the leaf first; the authority of the bundle is not among them. */
  readonly chain: readonly Uint8Array[];
  /** Hexadecimal. */
  readonly serialNumber: string;
  /** Wall time. */
  readonly notAfterMs: number;
}
