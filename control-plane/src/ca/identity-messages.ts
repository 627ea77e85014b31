import type { TrustBundles } from "@heddle/identity";
import { bytesOf, type Message, numberOf } from "@heddle/proto";
import type { CertificateAnswer } from "./certificate-service.ts";

/* The messages of heddle.identity.v1, as this side reads and writes them. */

export const SERVICE = "heddle.identity.v1.CertificateAuthority";

export const MESSAGES = {
  issueRequest: "heddle.identity.v1.IssueCertificateRequest",
  issueResponse: "heddle.identity.v1.IssueCertificateResponse",
  watchRequest: "heddle.identity.v1.WatchTrustBundlesRequest",
  bundles: "heddle.identity.v1.TrustBundles",
} as const;

export function issueRequestFrom(message: Message): { readonly csr: Uint8Array; readonly ttlS: number } {
  return { csr: bytesOf(message, "csr"), ttlS: numberOf(message, "ttl_seconds") };
}

export function issueResponse({ svid }: CertificateAnswer, bundles: TrustBundles): Message {
  return { certificates: svid.chain, bundles: bundlesMessage(bundles) };
}

export function bundlesMessage({ all }: TrustBundles): Message {
  return {
    bundles: all.map(({ trustDomain, x509Authorities, sequenceNumber, refreshHintSeconds }) => ({
      trust_domain: trustDomain,
      x509_authorities: x509Authorities,
      sequence_number: sequenceNumber,
      refresh_hint_seconds: refreshHintSeconds,
    })),
  };
}
