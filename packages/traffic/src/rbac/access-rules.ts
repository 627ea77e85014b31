import type { Json } from "@heddle/base";
import { asBytes } from "../match/bytes.ts";
import type { AccessSubject } from "./access-subject.ts";
import { type AccessTest, allOf, anyOf } from "./access-tests.ts";
import { readCondition } from "./read-condition.ts";
import { readPermission } from "./read-permission.ts";
import { readPrincipal } from "./read-principal.ts";
import { below, type RuleReader } from "./rule-reader.ts";

/** What rules have said of a subject. Made when the rules are read; deciding only chooses one. */
export interface AccessDecision {
  readonly allowed: boolean;
  /** The policy that has matched, or the name of the matched action; "" where none has. */
  readonly policy: string;
  /** What a rule of action LOG says of the access log. Undefined: nothing. */
  readonly logs?: boolean;
}

/** Rules at work, in either language. */
export interface AccessRules {
  decide(subject: AccessSubject): AccessDecision;
  /** The names that decisions may have, for series of their own. */
  readonly policies: readonly string[];
}

export type AccessAction = "ALLOW" | "DENY" | "LOG";

/** `envoy.config.rbac.v3.RBAC`: named policies. The first that matches, in the order of their names as bytes, is the one that counts. */
export function readAccessRules(json: Json | undefined, path: string, reader: RuleReader): AccessRules {
  const fields = reader.object(json, path);
  const action = readAction(fields["action"], below(path, "action"), reader);
  const grants = action !== "DENY";
  const policies = Object.entries(reader.object(fields["policies"] ?? {}, below(path, "policies")))
    .map(([name, policy]) => ({ name, bytes: asBytes(name), policy }))
    .sort((a, b) => (a.bytes < b.bytes ? -1 : 1))
    .map(({ name, policy }): Policy => {
      const at = `${below(path, "policies")}[${JSON.stringify(name)}]`;
      return {
        test: readPolicy(policy, at, grants, reader),
        decision: { allowed: grants, policy: name, ...(action === "LOG" && { logs: true }) },
      };
    });
  const otherwise = { allowed: action !== "ALLOW", policy: "", ...(action === "LOG" && { logs: false }) };
  return new PolicyRules(policies, otherwise);
}

export function readAction(json: Json | undefined, path: string, reader: RuleReader): AccessAction {
  if (json === undefined) return "ALLOW"; // the enum's first
  if (json === "ALLOW" || json === "DENY" || json === "LOG") return json;
  return reader.fail(path, `found ${JSON.stringify(json)}, allowed are ALLOW, DENY, LOG`, "ALLOW");
}

/** One of the permissions, and one of the principals, and the condition if there is one. */
function readPolicy(json: Json | undefined, path: string, grants: boolean, reader: RuleReader): AccessTest {
  const fields = reader.object(json, path);
  const [permissions, principals] = [below(path, "permissions"), below(path, "principals")];
  const tests = [
    anyOf(
      reader
        .list(fields["permissions"], permissions, 1)
        .map((permission, index) => readPermission(permission, `${permissions}[${index}]`, grants, reader)),
    ),
    anyOf(
      reader
        .list(fields["principals"], principals, 1)
        .map((principal, index) => readPrincipal(principal, `${principals}[${index}]`, grants, reader)),
    ),
  ];
  const condition = readCondition(fields, path, reader);
  return allOf(condition === undefined ? tests : [...tests, condition]);
}

interface Policy {
  readonly test: AccessTest;
  readonly decision: AccessDecision;
}

class PolicyRules implements AccessRules {
  readonly #policies: readonly Policy[];
  readonly #otherwise: AccessDecision;

  constructor(policies: readonly Policy[], otherwise: AccessDecision) {
    this.#policies = policies;
    this.#otherwise = otherwise;
  }

  get policies(): readonly string[] {
    return this.#policies.map(({ decision }) => decision.policy);
  }

  decide(subject: AccessSubject): AccessDecision {
    for (const { test, decision } of this.#policies) if (test(subject)) return decision;
    return this.#otherwise;
  }
}
