import type { Counter, Labels, MetricScope } from "@heddle/telemetry";
import type { AccessDecision, RbacRules } from "@heddle/traffic/rbac";

/** How a filter's counters are named. */
export interface RbacStatNames {
  /** Of every series of the filter. */
  readonly labels: Labels;
  /** A part of the names of what is only tried, behind the other. */
  readonly shadowPrefix: string;
  /** Each policy has counters of its own. */
  readonly perPolicy: boolean;
}

/** Counters of one RBAC filter, under Envoy's names (config/http/http_filters/rbac_filter, listeners/network_filters/rbac_filter). */
export class RbacStats {
  readonly #allowed: Counter;
  readonly #denied: Counter;
  readonly #shadowAllowed: Counter;
  readonly #shadowDenied: Counter;
  readonly #logged: Counter;
  readonly #notLogged: Counter;
  readonly #enforced: PolicyCounters | undefined;
  readonly #shadow: PolicyCounters | undefined;

  /** `metrics`: where ".rbac.allowed" stands. */
  constructor(metrics: MetricScope, names: RbacStatNames) {
    const { labels, perPolicy } = names;
    const own = metrics.scope("rbac", labels);
    const shadowPrefix = names.shadowPrefix.replace(/\.$/, "");
    const shadow = shadowPrefix === "" ? own : own.scope(shadowPrefix);
    this.#allowed = own.counter("allowed");
    this.#denied = own.counter("denied");
    this.#logged = own.counter("logged");
    this.#notLogged = own.counter("not_logged");
    this.#shadowAllowed = shadow.counter("shadow_allowed");
    this.#shadowDenied = shadow.counter("shadow_denied");
    this.#enforced = perPolicy ? new PolicyCounters(own, "allowed", "denied") : undefined;
    this.#shadow = perPolicy ? new PolicyCounters(shadow, "shadow_allowed", "shadow_denied") : undefined;
  }

  /** Makes the counters of all policies that rules may name. */
  expect({ enforced, shadow }: RbacRules): void {
    this.#enforced?.expect(enforced?.policies ?? []);
    this.#shadow?.expect(shadow?.policies ?? []);
  }

  enforced(decision: AccessDecision): void {
    (decision.allowed ? this.#allowed : this.#denied).add();
    if (decision.logs !== undefined) (decision.logs ? this.#logged : this.#notLogged).add();
    this.#enforced?.add(decision);
  }

  shadow(decision: AccessDecision): void {
    (decision.allowed ? this.#shadowAllowed : this.#shadowDenied).add();
    this.#shadow?.add(decision);
  }
}

/** `rbac.policy.<name>.allowed` and the like. */
class PolicyCounters {
  readonly #scope: MetricScope;
  readonly #names: readonly [allowed: string, denied: string];
  readonly #counters = new Map<string, readonly [allowed: Counter, denied: Counter]>();

  constructor(scope: MetricScope, allowed: string, denied: string) {
    this.#scope = scope;
    this.#names = [allowed, denied];
  }

  expect(policies: readonly string[]): void {
    for (const policy of policies) {
      if (policy === "" || this.#counters.has(policy)) continue;
      const scope = this.#scope.scope("policy", { envoy_rbac_policy_name: policy });
      const [allowed, denied] = this.#names;
      this.#counters.set(policy, [scope.counter(allowed), scope.counter(denied)]);
    }
  }

  add({ policy, allowed }: AccessDecision): void {
    this.#counters.get(policy)?.[allowed ? 0 : 1].add();
  }
}
