import type { JsonObject } from "@heddle/base";
import { type AccessRules, readAccessRules } from "./access-rules.ts";
import { readMatcherRules } from "./matcher-rules.ts";
import type { RuleReader } from "./rule-reader.ts";

/** The rules of an RBAC filter, HTTP or network: what is enforced, and what is only tried. */
export interface RbacRules {
  /** Undefined: everybody may pass. */
  readonly enforced: AccessRules | undefined;
  readonly shadow: AccessRules | undefined;
}

/** In both languages; where both are there, the matcher counts (Envoy). `path` is that of the filter's message. */
export function readRbacRules(fields: JsonObject, reader: RuleReader, path = ""): RbacRules {
  const read = (rules: string, matcher: string): AccessRules | undefined => {
    const at = (name: string): string => (path === "" ? name : `${path}.${name}`);
    if (fields[matcher] !== undefined) return readMatcherRules(fields[matcher], at(matcher), reader);
    return fields[rules] === undefined ? undefined : readAccessRules(fields[rules], at(rules), reader);
  };
  return { enforced: read("rules", "matcher"), shadow: read("shadowRules", "shadowMatcher") };
}

/** `%RESPONSE_CODE_DETAILS%` of a denial, as in Envoy: no white space, which would end a field of the log. */
export function denialDetails(policy: string): string {
  return `rbac_access_denied_matched_policy[${(policy === "" ? "none" : policy).replace(/\s/g, "_")}]`;
}
