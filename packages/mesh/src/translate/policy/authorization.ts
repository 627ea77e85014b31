import type { JsonObject } from "@heddle/base";
import type { HttpFilterConfig, NetworkFilterConfig } from "@heddle/traffic";
import {
  type AuthorizationPolicy,
  type AuthorizationRule,
  type Criterion,
  isOfHttp,
} from "../../model/authorization-policy.ts";
import type { WorkloadPolicies } from "../../model/policy-index.ts";
import type { MeshTrust } from "../mtls.ts";
import { criterionMatcher, isPermission, PERMISSION, PRINCIPAL, type Words } from "./criteria.ts";
import { customAuthorization, type MadeFilter } from "./custom-authorization.ts";

/** What is known at a port: a TCP port sees no requests. */
export type PortKind = "http" | "tcp";

/** In this order: what is denied is denied whoever allows it. */
const ACTIONS = ["DENY", "ALLOW", "AUDIT"] as const;

type Policies = Pick<WorkloadPolicies, "authorization" | "providers">;

/** The filters of an HTTP port: what is asked of others, then RBAC. None where no policy is for its workload. */
export function httpAuthorization(policies: Policies, trust: MeshTrust | undefined): readonly HttpFilterConfig[] {
  return filtersOf(policies, "http", trust).map(({ name, type, config }) => ({
    name,
    config: { name, type, config },
    disabled: false,
  }));
}

/** The same of a TCP port. */
export function tcpAuthorization(policies: Policies, trust: MeshTrust | undefined): readonly NetworkFilterConfig[] {
  return filtersOf(policies, "tcp", trust).map(({ name, type, config }) => ({
    type: "extension",
    name,
    config: { name, type, config },
  }));
}

/** Whether a path decides, so that no path may have two readings. */
export function asksForPaths(policies: readonly AuthorizationPolicy[]): boolean {
  return policies.some(({ rules }) =>
    rules.some(({ to }) => to.some((criteria) => criteria.some(({ attribute }) => attribute.type === "request.path"))),
  );
}

/** Whether the name decides that a client asks for by TLS, also where the TLS is the application's own. */
export function asksForServerNames(policies: readonly AuthorizationPolicy[]): boolean {
  return policies.some(({ rules }) =>
    rules.some(({ when }) => when.some(({ attribute }) => attribute.type === "connection.sni")),
  );
}

function filtersOf(
  { authorization: policies, providers = [] }: Policies,
  kind: PortKind,
  trust: MeshTrust | undefined,
): readonly MadeFilter[] {
  const rulesOf = (policy: AuthorizationPolicy): ReturnType<typeof rbacPolicies> => rbacPolicies(policy, kind, trust);
  const custom = policies.filter(({ action }) => action === "CUSTOM");
  const rbac = ACTIONS.flatMap((action) => {
    const meant = policies.filter((policy) => policy.action === action);
    if (meant.length === 0) return [];
    const config = filterConfig(action, Object.fromEntries(meant.flatMap(rulesOf)));
    return [
      kind === "http"
        ? { name: `rbac_${action.toLowerCase()}`, type: "envoy.extensions.filters.http.rbac.v3.RBAC", config }
        : {
            name: `rbac_${action.toLowerCase()}`,
            type: "envoy.extensions.filters.network.rbac.v3.RBAC",
            config: { statPrefix: "authorization", ...config },
          },
    ];
  });
  return [...customAuthorization(custom, providers, kind, rulesOf), ...rbac];
}

function filterConfig(action: (typeof ACTIONS)[number], policies: JsonObject): JsonObject {
  if (action !== "AUDIT") return { rules: { action, policies } };
  return {
    // Sets `access_log_hint` for what matches, and lets everything pass.
    rules: { action: "LOG", policies },
    // Names the rule: `audit_shadow_effective_policy_id`.
    shadowRules: { action: "ALLOW", policies },
    shadowRulesStatPrefix: "audit_",
  };
}

/** `envoy.config.rbac.v3.Policy` by name. */
function rbacPolicies(
  policy: AuthorizationPolicy,
  kind: PortKind,
  trust: MeshTrust | undefined,
): readonly (readonly [string, JsonObject])[] {
  const made = policy.rules.flatMap((rule, index) => {
    const known = knownAt(kind, rule, policy.action);
    return known === undefined ? [] : [[ruleName(policy, index), rbacPolicy(known, trust)] as const];
  });
  // An ALLOW of which nothing is left still denies what no other one allows.
  return made.length === 0 && policy.action === "ALLOW" ? [[ruleName(policy, 0), NEVER]] : made;
}

/** As Istio's, so that people find it: logs and answers say it. */
export function ruleName({ namespace, name }: AuthorizationPolicy, index: number): string {
  return `ns[${namespace}]-policy[${name}]-rule[${index}]`;
}

const NEVER: JsonObject = { permissions: [{ notRule: { any: true } }], principals: [{ notId: { any: true } }] };

/**
 * The rule as it can be decided there. At a TCP port nobody knows what it asks of a request: an ALLOW then matches nothing
 * (undefined), and others match whatever a request might be, which is the safe side of each.
 */
function knownAt(
  kind: PortKind,
  rule: AuthorizationRule,
  action: AuthorizationPolicy["action"],
): AuthorizationRule | undefined {
  if (kind === "http" || !asksForHttp(rule)) return rule;
  if (action === "ALLOW") return undefined;
  const known = (criteria: readonly Criterion[]): readonly Criterion[] =>
    criteria.filter(({ attribute }) => !isOfHttp(attribute));
  return { from: rule.from.map(known), to: rule.to.map(known), when: known(rule.when) };
}

export function asksForHttp({ from, to, when }: AuthorizationRule): boolean {
  return [...from.flat(), ...to.flat(), ...when].some(({ attribute }) => isOfHttp(attribute));
}

function rbacPolicy({ from, to, when }: AuthorizationRule, trust: MeshTrust | undefined): JsonObject {
  const matchers = (criteria: readonly Criterion[]): readonly JsonObject[] =>
    criteria.map((criterion) => criterionMatcher(criterion, trust));
  const asked = Map.groupBy(when, ({ attribute }) => isPermission(attribute));
  const anyOf = (words: Words, some: readonly (readonly Criterion[])[], always: readonly Criterion[]): JsonObject[] => {
    const [first = [], ...more] = some.map(matchers); // none at all asks for nothing
    if (always.length === 0) return [first, ...more].map(words.and);
    // Not in each of the alternatives: two long lists would become their product.
    if (more.length === 0) return [words.and([...first, ...matchers(always)])];
    return [words.and([words.or([first, ...more].map(words.and)), ...matchers(always)])];
  };
  return {
    permissions: anyOf(PERMISSION, to, asked.get(true) ?? []),
    principals: anyOf(PRINCIPAL, from, asked.get(false) ?? []),
  };
}
