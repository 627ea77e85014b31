export {
  Authority,
  type AuthorityFiles,
  type CrlOptions,
  DAY_MS,
  DEFAULT_ROOT_VALIDITY_MS,
  DEFAULT_SVID_VALIDITY_MS,
  type IssuedSvid,
  type IssueOptions,
  type Revocation,
  type RootOptions,
} from "./authority.ts";
export { type CertificateRequest, MAX_REQUEST_BYTES, readCertificateRequest } from "./certificate-request.ts";
export {
  advanceRotation,
  beginRotation,
  nextRotationStepMs,
  publishedRoots,
  type RootRotation,
  type RotationTimes,
  readRotation,
  rotationJson,
  signingRoot,
  steady,
} from "./root-rotation.ts";
export { readSealSecret, type SealSecret, seal, unseal } from "./seal.ts";
