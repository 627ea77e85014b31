import type { SafeRegex } from "../match/safe-regex.ts";
import { compileSafeRegex } from "../match/safe-regex.ts";
import { fieldIsValid } from "./header-change.ts";

/** `envoy.config.common.mutation_rules.v3.HeaderMutationRules`, decoded. */
export interface MutationRulesConfig {
  readonly allowAllRouting: boolean;
  readonly allowEnvoy: boolean;
  readonly disallowSystem: boolean;
  readonly disallowAll: boolean;
  readonly allowExpression: string | undefined;
  readonly disallowExpression: string | undefined;
  readonly disallowIsError: boolean;
}

export interface MutationRules {
  /** "ignore": the change is passed over. "fail": all of the answer is refused. */
  check(operation: "set" | "append" | "remove", name: string, value: string): "ok" | "ignore" | "fail";
}

/** Throws on an expression that RE2 does not know; reading the configuration has checked it. */
export function compileMutationRules(config: MutationRulesConfig): MutationRules {
  const allow = compiled(config.allowExpression);
  const disallow = compiled(config.disallowExpression);
  const refusal = config.disallowIsError ? "fail" : "ignore";

  // In Envoy's order (mutation_rules.cc).
  const isAllowed = (operation: "set" | "append" | "remove", name: string): boolean => {
    const isSystem = name.startsWith(":");
    if (operation === "remove" && (isSystem || name === "host")) return false;
    if (disallow?.test(name) === true) return false;
    if (allow?.test(name) === true) return true;
    if (config.disallowAll) return false;
    if (!config.allowAllRouting && ROUTING_FIELDS.has(name)) return false;
    if (isSystem && (operation === "append" || config.disallowSystem)) return false;
    return config.allowEnvoy || !name.startsWith("x-envoy-");
  };

  return {
    check(operation, name, value) {
      if (!isAllowed(operation, name)) return refusal;
      // Whether a pseudo-header's value is one is for who sets it.
      const isValid = operation === "remove" || name.startsWith(":") || fieldIsValid(name, value);
      return isValid ? "ok" : refusal;
    },
  };
}

const ROUTING_FIELDS: ReadonlySet<string> = new Set(["host", ":authority", ":method", ":scheme"]);

function compiled(expression: string | undefined): SafeRegex | undefined {
  if (expression === undefined) return undefined;
  const regex = compileSafeRegex(expression);
  if (!regex.ok) throw new Error(regex.error);
  return regex.value;
}
