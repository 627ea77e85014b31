import { err, isJsonObject, type Json, ok, type Result } from "@heddle/base";
import {
  type ConfigIssue,
  denial,
  type Exchange,
  type FilterContext,
  type HttpFilter,
  type HttpFilterFactory,
} from "@heddle/filter";
import {
  type AccessDecision,
  AccessSubject,
  denialDetails,
  plain,
  type RbacRules,
  RuleReader,
  readRbacRules,
} from "@heddle/traffic/rbac";
import { type RbacStatNames, RbacStats } from "./rbac-stats.ts";

/** `envoy.extensions.filters.http.rbac.v3.RBAC`, its rules compiled. */
export interface RbacConfig extends RbacRules, RbacStatNames {}

/** Reads `RBAC`. */
export function parseRbac(json: Json): Result<RbacConfig, readonly ConfigIssue[]> {
  return readRbac(json, "");
}

/** Reads `RBACPerRoute`, which takes the whole configuration's place. Without `rbac` nothing is asked on the route. */
export function parseRbacPerRoute(json: Json): Result<RbacConfig, readonly ConfigIssue[]> {
  const rbac = isJsonObject(json) ? json["rbac"] : undefined;
  return rbac === undefined ? ok(NO_RULES) : readRbac(rbac, "rbac");
}

const NO_RULES: RbacConfig = {
  enforced: undefined,
  shadow: undefined,
  labels: {},
  shadowPrefix: "",
  perPolicy: false,
};

function readRbac(json: Json, path: string): Result<RbacConfig, readonly ConfigIssue[]> {
  const reader = new RuleReader("http");
  const fields = reader.object(json, path);
  const rules = readRbacRules(fields, reader, path);
  if (reader.issues.length > 0) return err(reader.issues);
  const { rulesStatPrefix = "", shadowRulesStatPrefix = "", trackPerRuleStats = false } = fields;
  return ok({
    ...rules,
    labels: rulesStatPrefix === "" ? {} : { envoy_rbac_http_prefix: plain(rulesStatPrefix) },
    shadowPrefix: plain(shadowRulesStatPrefix),
    perPolicy: trackPerRuleStats === true,
  });
}

/** `envoy.filters.http.rbac`: asks of each request's head, upgrades and CONNECT as well, whether it may pass. */
export function createRbac(config: RbacConfig, context: FilterContext): HttpFilterFactory {
  const filter = new RbacFilter(config, context);
  return { create: () => filter };
}

const NAMESPACE = "envoy.filters.http.rbac";

/** Keeps nothing between phases: one serves all exchanges. */
class RbacFilter implements HttpFilter {
  readonly #config: RbacConfig;
  readonly #name: string;
  readonly #stats: RbacStats;
  readonly #subject = new AccessSubject();
  /** What routes have, whose counters have been made. */
  readonly #seen = new WeakSet<RbacConfig>();

  constructor(config: RbacConfig, { name, metrics }: FilterContext) {
    this.#config = config;
    this.#name = name;
    this.#stats = new RbacStats(metrics, config);
    this.#stats.expect(config);
  }

  requestHead(exchange: Exchange): "continue" | "pause" {
    const config = this.#configOf(exchange);
    const { enforced, shadow } = config;
    const { request, downstream } = exchange;
    const metadata = exchange.hasMetadata ? exchange.metadata : undefined;
    const subject = this.#subject.set(downstream, metadata, request, exchange);
    const wouldBe = shadow?.decide(subject);
    const decision = enforced?.decide(subject);
    subject.clear();
    if (wouldBe !== undefined) this.#tellShadow(exchange, wouldBe, config.shadowPrefix);
    if (decision === undefined) return "continue";
    this.#stats.enforced(decision);
    if (decision.logs !== undefined) keep(exchange, "envoy.common", "access_log_hint", decision.logs);
    if (decision.allowed) return "continue";
    this.#deny(exchange, decision);
    return "pause";
  }

  #configOf(exchange: Exchange): RbacConfig {
    const ofRoute = exchange.routeConfig(this.#name) as RbacConfig | undefined;
    if (ofRoute === undefined) return this.#config;
    if (!this.#seen.has(ofRoute)) {
      this.#seen.add(ofRoute);
      this.#stats.expect(ofRoute);
    }
    return ofRoute;
  }

  #tellShadow(exchange: Exchange, { allowed, policy }: AccessDecision, prefix: string): void {
    this.#stats.shadow({ allowed, policy });
    if (policy !== "") keep(exchange, NAMESPACE, `${prefix}shadow_effective_policy_id`, policy);
    keep(exchange, NAMESPACE, `${prefix}shadow_engine_result`, allowed ? "allowed" : "denied");
  }

  #deny(exchange: Exchange, { policy }: AccessDecision): void {
    keep(exchange, NAMESPACE, "enforced_effective_policy_id", policy === "" ? "none" : policy);
    keep(exchange, NAMESPACE, "enforced_engine_result", "denied");
    const reply = { status: 403, body: "RBAC: access denied", details: denialDetails(policy) };
    exchange.reply(denial(exchange, reply, this.#name, policy === "" ? "none" : policy));
  }
}

function keep({ metadata }: Exchange, namespace: string, key: string, value: unknown): void {
  let values = metadata.get(namespace);
  if (values === undefined) {
    values = new Map();
    metadata.set(namespace, values);
  }
  values.set(key, value);
}
