/* The messages and rules of external authorization: the door `@heddle/traffic/ext-authz`, for what is loaded when it is configured. */
export {
  type CheckAttributes,
  type CheckedPeer,
  type CheckedRequest,
  checkRequestBytes,
  chosenMetadata,
  type MetadataContext,
} from "./check-request.ts";
export { type CheckResponse, type HeaderOption, readCheckResponse } from "./check-response.ts";
export { FRAMING_FIELDS, fieldIsValid, type HeaderChange, isToken } from "./header-change.ts";
export { compileMutationRules, type MutationRules, type MutationRulesConfig } from "./mutation-rules.ts";
export { applyRequestChanges, type RequestChanges, type RequestLimits } from "./request-changes.ts";
export { applyResponseChanges } from "./response-changes.ts";
