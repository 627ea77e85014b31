export { formatSpiffeId, parseSpiffeId, type SpiffeId, trustDomainFault } from "./spiffe-id.ts";
export { Certificate, type OtherName } from "./x509/certificate.ts";
export { certificatesInPem } from "./x509/certificates-in-pem.ts";
export { type DerElement, DerError, DerTag, derElement, derElements, oidText } from "./x509/der.ts";
