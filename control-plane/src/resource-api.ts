/* What a client of the resource API needs of it: the door `@heddle/control-plane/resource-api`. It loads neither gRPC nor protobuf. */

export { ROLES, type Role } from "./api/access.ts";
export type { JoinTokenAnswer, JoinTokenRequest } from "./api/ca-routes.ts";
export { findStoredType, formatKey, knownTypes, type ResourceKey, type StoredType } from "./api/resource-key.ts";
export {
  type ApiDiagnostic,
  type ApiError,
  type ApplyRequest,
  type BatchResponse,
  type Conflict,
  type DeleteRequest,
  formatApiDiagnostic,
  type ListResponse,
  type Manifest,
  type ResourceOutcome,
  type Selector,
  type StoredResource,
  type WatchEvent,
} from "./api/wire.ts";
export { hashJoinToken, makeJoinToken } from "./ca/join-token.ts";
