import { err, type Json, ok, type Result } from "@heddle/base";
import type { ConfigIssue, DownstreamInfo } from "@heddle/filter";
import {
  type AccessDecision,
  AccessSubject,
  denialDetails,
  plain,
  type RbacRules,
  RuleReader,
  readRbacRules,
} from "@heddle/traffic/rbac";
import type { GateDenial, GateVisit, NetworkGate } from "../network/network-gate.ts";
import type { GateContext } from "../network/network-gate-type.ts";
import { RbacStats } from "./rbac-stats.ts";

/** `envoy.extensions.filters.network.rbac.v3.RBAC`, its rules compiled. */
export interface NetworkRbacConfig extends RbacRules {
  readonly statPrefix: string;
  readonly shadowPrefix: string;
  /** `enforcement_type: CONTINUOUS`: asked with every read too. */
  readonly continuous: boolean;
  /** 0: a denied connection is closed at once. */
  readonly delayDenyMs: number;
}

export function parseNetworkRbac(json: Json): Result<NetworkRbacConfig, readonly ConfigIssue[]> {
  const reader = new RuleReader("network");
  const fields = reader.object(json, "");
  const rules = readRbacRules(fields, reader);
  const { shadowRulesStatPrefix = "", enforcementType, delayDeny } = fields;
  const statPrefix = reader.text(fields["statPrefix"], "statPrefix");
  const seconds = delayDeny === undefined ? 0 : Number(/^(\d+(?:\.\d+)?)s$/.exec(plain(delayDeny))?.[1] ?? Number.NaN);
  if (Number.isNaN(seconds)) reader.fail("delayDeny", `found ${plain(delayDeny)}, needed is a duration`, undefined);
  if (reader.issues.length > 0) return err(reader.issues);
  return ok({
    ...rules,
    statPrefix,
    shadowPrefix: plain(shadowRulesStatPrefix),
    continuous: enforcementType === "CONTINUOUS",
    delayDenyMs: seconds * 1000,
  });
}

/** `envoy.filters.network.rbac`: asks of each connection whether it may pass. */
export function createNetworkRbac(config: NetworkRbacConfig, context: GateContext): NetworkGate {
  const gate = new RbacGate(config, context);
  return {
    admit: (visit) => gate.ask(visit) ?? "allow",
    foresees: (info) => gate.foresees(info),
    ...(config.continuous && { onData: (visit: GateVisit) => gate.ask(visit) }),
  };
}

const NAMESPACE = "envoy.filters.network.rbac";

class RbacGate {
  readonly #config: NetworkRbacConfig;
  readonly #stats: RbacStats;
  readonly #subject = new AccessSubject();

  constructor(config: NetworkRbacConfig, { env }: GateContext) {
    this.#config = config;
    const { shadowPrefix, statPrefix } = config;
    const names = { shadowPrefix, perPolicy: false, labels: { envoy_rbac_prefix: statPrefix } };
    this.#stats = new RbacStats(env.metrics, names);
  }

  /** Undefined: it may pass. */
  ask(visit: GateVisit): GateDenial | undefined {
    const { enforced, shadow, delayDenyMs } = this.#config;
    const subject = this.#subject.set(visit.info, visit.info.metadata);
    const wouldBe = shadow?.decide(subject);
    const decision = enforced?.decide(subject);
    subject.clear();
    if (wouldBe !== undefined) this.#tellShadow(visit, wouldBe);
    if (decision === undefined) return undefined;
    this.#stats.enforced(decision);
    if (decision.logs !== undefined) visit.setMetadata("envoy.common", { access_log_hint: decision.logs });
    if (decision.allowed) return undefined;
    const policy = decision.policy === "" ? "none" : decision.policy;
    visit.setMetadata(NAMESPACE, { enforced_effective_policy_id: policy, enforced_engine_result: "denied" });
    return { type: "deny", details: denialDetails(decision.policy), delayMs: delayDenyMs };
  }

  foresees(info: DownstreamInfo): boolean {
    const decision = this.#config.enforced?.decide(this.#subject.set(info, info.metadata));
    this.#subject.clear();
    return decision?.allowed !== false;
  }

  #tellShadow(visit: GateVisit, decision: AccessDecision): void {
    const { shadowPrefix } = this.#config;
    this.#stats.shadow(decision);
    visit.setMetadata(NAMESPACE, {
      ...(decision.policy !== "" && { [`${shadowPrefix}shadow_effective_policy_id`]: decision.policy }),
      [`${shadowPrefix}shadow_engine_result`]: decision.allowed ? "allowed" : "denied",
    });
  }
}
