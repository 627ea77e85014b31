/* The door for authorization by rules: `@heddle/traffic/rbac`. It stands apart since most sidecars need none of it. */
export type { AccessDecision, AccessRules } from "./access-rules.ts";
export { AccessSubject, type ConnectionFacts, type DynamicMetadata, type RequestFacts } from "./access-subject.ts";
export { denialDetails, type RbacRules, readRbacRules } from "./read-rbac.ts";
export { plain, type RuleIssue, RuleReader, type RuleScope } from "./rule-reader.ts";
