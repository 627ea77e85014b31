import type { Json } from "@heddle/base";
import type { AccessDecision, AccessRules } from "./access-rules.ts";
import { readAction } from "./access-rules.ts";
import type { AccessSubject } from "./access-subject.ts";
import { type MatchNode, readMatcher } from "./match-tree.ts";
import { openExtension } from "./read-permission.ts";
import { below, type RuleReader } from "./rule-reader.ts";

/** `xds.type.matcher.v3.Matcher` with actions `envoy.config.rbac.v3.Action`. Who comes to no action is denied. */
export function readMatcherRules(json: Json | undefined, path: string, reader: RuleReader): AccessRules {
  const policies: string[] = [];
  const tree = readMatcher(json, path, reader, (action, at) => {
    const decision = readDecision(action, at, reader);
    policies.push(decision.policy);
    return decision;
  });
  return new MatcherRules(tree, policies);
}

const ACTION = "envoy.config.rbac.v3.Action";

function readDecision(json: Json | undefined, path: string, reader: RuleReader): AccessDecision {
  const { type, fields } = openExtension(json, path, reader);
  const at = below(path, "typedConfig");
  if (type !== ACTION) return reader.fail(at, `there is no action ${type}, but ${ACTION}`, DENIED);
  const action = readAction(fields["action"], below(at, "action"), reader);
  const policy = reader.text(fields["name"], below(at, "name"));
  return { allowed: action !== "DENY", policy, ...(action === "LOG" && { logs: true }) };
}

const DENIED: AccessDecision = { allowed: false, policy: "" };

class MatcherRules implements AccessRules {
  readonly policies: readonly string[];
  readonly #tree: MatchNode<AccessDecision>;

  constructor(tree: MatchNode<AccessDecision>, policies: readonly string[]) {
    this.#tree = tree;
    this.policies = [...new Set(policies)];
  }

  decide(subject: AccessSubject): AccessDecision {
    return this.#tree(subject) ?? DENIED;
  }
}
