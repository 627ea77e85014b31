export { certificateRequest, newWorkloadKey, privateKeyPem, type WorkloadKey } from "./csr.ts";
export { formatSpiffeId, parseSpiffeId, type SpiffeId, trustDomainFault } from "./spiffe-id.ts";
export {
  formatTrustBundle,
  MAX_BUNDLE_BYTES,
  parseTrustBundle,
  type TrustBundle,
  TrustBundles,
  trustBundleFromDer,
  trustBundleFromPem,
  trustBundlePem,
} from "./trust-bundle.ts";
export { type VerifiedSvid, verifySvid } from "./verify-svid.ts";
export { Certificate, type CertificateExtension, type OtherName } from "./x509/certificate.ts";
export { type CertificateUses, certificateUses, type KeyUsage } from "./x509/certificate-uses.ts";
export { certificatesInPem } from "./x509/certificates-in-pem.ts";
export { type DerElement, DerError, DerTag, derElement, derElements, oidText } from "./x509/der.ts";
export { weakKeyFault, weakSignatureFault } from "./x509/strength.ts";
export { readSvid, signingCertificateFault } from "./x509-svid.ts";
