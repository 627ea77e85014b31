/* For tests of those who use connections. */
export { type CertificateWish, encryptedKey, TestAuthority, type TestCertificate } from "@heddle/identity/testing";
export { ocspResponse } from "./tls/testing-ocsp.ts";
