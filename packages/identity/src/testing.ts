export { type CertificateWish, encryptedKey, TestAuthority, type TestCertificate } from "./testing-certificates.ts";
