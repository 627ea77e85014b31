/* For tests of those who use connections. */
export { type CertificateWish, encryptedKey, TestAuthority, type TestCertificate } from "./testing-certificates.ts";
