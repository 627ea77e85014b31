import { typeUrlOf } from "@heddle/proto";
import type { ClientSideWeightedRoundRobin, LbPolicy } from "@heddle/traffic";
import { duration, type LooseJsonObject } from "./encode.ts";
import { Fields } from "./fields.ts";
import { openAny } from "./typed-config.ts";

const ROUND_ROBIN = "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin";
const LEAST_REQUEST = "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest";
const RANDOM = "envoy.extensions.load_balancing_policies.random.v3.Random";
const CLUSTER_PROVIDED = "envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided";
const CLIENT_SIDE_WEIGHTED =
  "envoy.extensions.load_balancing_policies.client_side_weighted_round_robin.v3.ClientSideWeightedRoundRobin";
const WRR_LOCALITY = "envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality";

/** How policies are read, by type. */
type Readers = { readonly [type: string]: (config: Fields) => LbPolicy };

/** Of those that choose among endpoints. */
const ENDPOINT_READERS: Readers = {
  [ROUND_ROBIN]: () => ({ type: "round-robin" }),
  [LEAST_REQUEST]: decodeLeastRequest,
  [RANDOM]: () => ({ type: "random" }),
  [CLUSTER_PROVIDED]: () => ({ type: "cluster-provided" }),
  [CLIENT_SIDE_WEIGHTED]: decodeClientSideWeighted,
};

const READERS: Readers = { ...ENDPOINT_READERS, [WRR_LOCALITY]: decodeWrrLocality };

const CHOICE_COUNT = 2;
const ACTIVE_REQUEST_BIAS = 1;

/** `load_balancing_policy` where it is set, else `lb_policy` with its `*_lb_config`. */
export function decodeLbPolicy(cluster: Fields): LbPolicy {
  const typed = cluster.message("load_balancing_policy");
  return typed === undefined ? decodeEnum(cluster) : decodeTyped(typed, READERS);
}

function decodeEnum(cluster: Fields): LbPolicy {
  const leastRequest = cluster.message("least_request_lb_config");
  cluster.message("round_robin_lb_config"); // reports what is set in it
  switch (cluster.enumName("lb_policy")) {
    case "ROUND_ROBIN":
      return { type: "round-robin" };
    case "LEAST_REQUEST":
      return decodeLeastRequest(leastRequest);
    case "RANDOM":
      return { type: "random" };
    case "CLUSTER_PROVIDED":
      return { type: "cluster-provided" };
    default:
      // Hashing policies choose an endpoint that others count on; another choice would look right and be wrong.
      cluster.fail("lb_policy", `${cluster.enumName("lb_policy")} is not supported yet; allowed are ${POLICIES}`);
      return { type: "round-robin" };
  }
}

const POLICIES = "ROUND_ROBIN, LEAST_REQUEST, RANDOM and CLUSTER_PROVIDED";

// The first policy of the list that is known is taken; the others are for clients that know less (or more) than we do.
function decodeTyped(fields: Fields, readers: Readers): LbPolicy {
  const names: string[] = [];
  for (const policy of fields.messages("policies")) {
    const extension = policy.message("typed_extension_config");
    const any = extension?.raw("typed_config");
    if (extension === undefined || any === undefined) continue;
    const path = extension.at("typed_config");
    const opened = openAny(any, path, fields.findings);
    if (opened === undefined) continue;
    names.push(opened.type);
    const read = readers[opened.type];
    if (opened.message === undefined || read === undefined) continue;
    return read(new Fields(opened.type, opened.message, path, fields.findings));
  }
  fields.fail(
    "policies",
    `found ${names.join(", ") || "none"}; supported yet are ${Object.keys(readers).map(shortName).join(", ")}`,
  );
  return { type: "round-robin" };
}

/** "envoy.extensions.load_balancing_policies.random.v3.Random" is "random". */
function shortName(type: string): string {
  return type.split(".").at(-3) ?? type;
}

/** Localities take turns by their weights under every policy here; what is left to say is who is taken within one. */
function decodeWrrLocality(fields: Fields): LbPolicy {
  const within = fields.message("endpoint_picking_policy"); // required: `validate` has refused what has none
  return within === undefined ? { type: "round-robin" } : decodeTyped(within, ENDPOINT_READERS);
}

function decodeLeastRequest(fields: Fields | undefined): LbPolicy {
  const bias = fields?.message("active_request_bias");
  const runtimeKey = bias?.text("runtime_key") ?? NO_KEY;
  return {
    type: "least-request",
    choiceCount: fields?.wrappedNumber("choice_count", undefined) ?? CHOICE_COUNT,
    activeRequestBias: bias?.number("default_value") ?? ACTIVE_REQUEST_BIAS,
    ...(runtimeKey !== NO_KEY && { activeRequestBiasKey: runtimeKey }),
  };
}

const BLACKOUT_MS = 10_000;
const WEIGHT_EXPIRATION_MS = 180_000;
const WEIGHT_UPDATE_MS = 1000;
/** "Values less than 100ms are capped at 100ms." */
const MIN_WEIGHT_UPDATE_MS = 100;
const ERROR_PENALTY = 1;

function decodeClientSideWeighted(fields: Fields): LbPolicy {
  const metricNames = fields.texts("metric_names_for_computing_utilization");
  reportUnknownMetrics(fields, "metric_names_for_computing_utilization", metricNames);
  return {
    type: "client-side-weighted-round-robin",
    blackoutPeriodMs: fields.durationMs("blackout_period", BLACKOUT_MS),
    weightExpirationPeriodMs: fields.durationMs("weight_expiration_period", WEIGHT_EXPIRATION_MS),
    weightUpdatePeriodMs: Math.max(MIN_WEIGHT_UPDATE_MS, fields.durationMs("weight_update_period", WEIGHT_UPDATE_MS)),
    errorUtilizationPenalty: fields.wrappedNumber("error_utilization_penalty", ERROR_PENALTY),
    metricNamesForComputingUtilization: metricNames,
  };
}

/** As `isMetricName` of `@heddle/traffic/orca`, which is loaded with the first cluster that needs it. */
const METRIC_NAME =
  /^(?:(?:cpu|mem|application)_utilization|eps|rps_fractional|(?:named_metrics|utilization|request_cost)\..+)$/s;

/** Names of metrics of endpoints (ORCA) that none can have. */
export function reportUnknownMetrics(fields: Fields, field: string, names: readonly string[]): void {
  for (const [i, name] of names.entries())
    if (!METRIC_NAME.test(name)) fields.report(`${field}[${i}]`, `no endpoint can report a metric called "${name}"`);
}

/** Envoy wants a key; no runtime knows this one. */
const NO_KEY = "heddle.least_request.active_request_bias";

/** In the older form, which every client reads, where it has one. */
export function encodeLbPolicy(policy: LbPolicy): LooseJsonObject {
  if (policy.type === "round-robin") return {};
  if (policy.type === "random") return { lb_policy: "RANDOM" };
  if (policy.type === "cluster-provided") return { lb_policy: "CLUSTER_PROVIDED" };
  if (policy.type === "client-side-weighted-round-robin") return encodeClientSideWeighted(policy);
  const { choiceCount, activeRequestBias, activeRequestBiasKey = NO_KEY } = policy;
  const isDefault = activeRequestBias === ACTIVE_REQUEST_BIAS && activeRequestBiasKey === NO_KEY;
  if (choiceCount === CHOICE_COUNT && isDefault) return { lb_policy: "LEAST_REQUEST" };
  return {
    lb_policy: "LEAST_REQUEST",
    least_request_lb_config: {
      choice_count: choiceCount,
      active_request_bias: {
        default_value: activeRequestBias,
        runtime_key: activeRequestBiasKey,
      },
    },
  };
}

function encodeClientSideWeighted(policy: ClientSideWeightedRoundRobin): LooseJsonObject {
  const typed_config = {
    "@type": typeUrlOf(CLIENT_SIDE_WEIGHTED),
    blackout_period: duration(policy.blackoutPeriodMs),
    weight_expiration_period: duration(policy.weightExpirationPeriodMs),
    weight_update_period: duration(policy.weightUpdatePeriodMs),
    error_utilization_penalty: policy.errorUtilizationPenalty,
    metric_names_for_computing_utilization: policy.metricNamesForComputingUtilization,
  };
  const name = "envoy.load_balancing_policies.client_side_weighted_round_robin";
  return { load_balancing_policy: { policies: [{ typed_extension_config: { name, typed_config } }] } };
}
