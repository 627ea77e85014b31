import { err, ok, type Result } from "@heddle/base";
import { type TrustBundle, trustBundleFromDer, trustDomainFault } from "@heddle/identity";
import {
  decodeMessage,
  encodeMessage,
  fieldOf,
  type Message,
  messageOf,
  messagesOf,
  numberOf,
  textOf,
} from "@heddle/proto";

/* What is said with the mesh's authority (proto/heddle/identity/v1/identity.proto), as plain objects, and as bytes. */

export const ISSUE_PATH = "/heddle.identity.v1.CertificateAuthority/IssueCertificate";
export const WATCH_BUNDLES_PATH = "/heddle.identity.v1.CertificateAuthority/WatchTrustBundles";

/** Of a message: bundles of a few hundred domains. */
export const MAX_AUTHORITY_MESSAGE_BYTES = 4 * 1024 * 1024;

/** What has been issued for a key. */
export interface Issued {
  /** DER, the leaf first. */
  readonly chain: readonly Uint8Array[];
  readonly bundles: readonly TrustBundle[];
}

export function encodeIssueRequest(csr: Uint8Array): Buffer {
  return Buffer.from(encodeMessage("heddle.identity.v1.IssueCertificateRequest", { csr }));
}

export function decodeIssueResponse(bytes: Uint8Array): Result<Issued, string> {
  const message = decodeMessage("heddle.identity.v1.IssueCertificateResponse", bytes);
  if (!message.ok) return message;
  const bundles = bundlesOf(messageOf(message.value, "bundles") ?? {});
  return bundles.ok ? ok({ chain: bytesList(message.value, "certificates"), bundles: bundles.value }) : bundles;
}

export function encodeWatchRequest(): Buffer {
  return Buffer.from(encodeMessage("heddle.identity.v1.WatchTrustBundlesRequest", {}));
}

export function decodeTrustBundles(bytes: Uint8Array): Result<readonly TrustBundle[], string> {
  const message = decodeMessage("heddle.identity.v1.TrustBundles", bytes);
  return message.ok ? bundlesOf(message.value) : message;
}

/** One's own first. A list without it, or without any authority in it, is none: with it nobody would be believed any more. */
function bundlesOf(message: Message): Result<readonly TrustBundle[], string> {
  const bundles: TrustBundle[] = [];
  for (const one of messagesOf(message, "bundles")) {
    const trustDomain = textOf(one, "trust_domain");
    const fault = trustDomainFault(trustDomain);
    if (fault !== undefined) return err(`a trust bundle ${fault}`);
    if (bundles.some((other) => other.trustDomain === trustDomain)) return err(`${trustDomain}: has two trust bundles`);
    const x509Authorities = bytesList(one, "x509_authorities");
    // None at all: a domain without X.509-SVIDs.
    const read = x509Authorities.length === 0 ? undefined : trustBundleFromDer(trustDomain, x509Authorities);
    if (read?.ok === false) return err(`${trustDomain}: its trust bundle ${read.error}`);
    bundles.push({
      trustDomain,
      x509Authorities: read?.value.x509Authorities ?? [],
      jwtAuthorities: [],
      sequenceNumber: numberOf(one, "sequence_number"),
      refreshHintSeconds: numberOf(one, "refresh_hint_seconds"),
    });
  }
  const [own] = bundles;
  if (own === undefined || own.x509Authorities.length === 0) return err("there is no trust bundle of our own");
  return ok(bundles);
}

/** Copies: what is decoded lies in the bytes of the whole message. */
function bytesList(message: Message, name: string): readonly Uint8Array[] {
  return ((fieldOf(message, name) ?? []) as readonly Uint8Array[]).map((bytes) => Uint8Array.from(bytes));
}
