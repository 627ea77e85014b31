import type { LbPolicy } from "@heddle/traffic";
import type { LooseJsonObject } from "./encode.ts";
import { Fields } from "./fields.ts";
import { openAny } from "./typed-config.ts";

const ROUND_ROBIN = "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin";
const LEAST_REQUEST = "envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest";
const RANDOM = "envoy.extensions.load_balancing_policies.random.v3.Random";
const CLUSTER_PROVIDED = "envoy.extensions.load_balancing_policies.cluster_provided.v3.ClusterProvided";
const KNOWN: readonly string[] = [ROUND_ROBIN, LEAST_REQUEST, RANDOM, CLUSTER_PROVIDED];

const CHOICE_COUNT = 2;
const ACTIVE_REQUEST_BIAS = 1;

/** `load_balancing_policy` where it is set, else `lb_policy` with its `*_lb_config`. */
export function decodeLbPolicy(cluster: Fields): LbPolicy {
  const typed = cluster.message("load_balancing_policy");
  return typed === undefined ? decodeEnum(cluster) : decodeTyped(typed);
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
function decodeTyped(fields: Fields): LbPolicy {
  const names: string[] = [];
  for (const policy of fields.messages("policies")) {
    const extension = policy.message("typed_extension_config");
    const any = extension?.raw("typed_config");
    if (extension === undefined || any === undefined) continue;
    const path = extension.at("typed_config");
    const opened = openAny(any, path, fields.findings);
    if (opened === undefined) continue;
    names.push(opened.type);
    if (opened.message === undefined || !KNOWN.includes(opened.type)) continue;
    const config = new Fields(opened.type, opened.message, path, fields.findings);
    if (opened.type === LEAST_REQUEST) return decodeLeastRequest(config);
    if (opened.type === CLUSTER_PROVIDED) return { type: "cluster-provided" };
    return { type: opened.type === RANDOM ? "random" : "round-robin" };
  }
  fields.fail(
    "policies",
    `found ${names.join(", ") || "none"}; supported yet are round_robin, least_request, random and cluster_provided`,
  );
  return { type: "round-robin" };
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

/** Envoy wants a key; no runtime knows this one. */
const NO_KEY = "heddle.least_request.active_request_bias";

/** In the older form, which every client reads. */
export function encodeLbPolicy(policy: LbPolicy): LooseJsonObject {
  if (policy.type === "round-robin") return {};
  if (policy.type === "random") return { lb_policy: "RANDOM" };
  if (policy.type === "cluster-provided") return { lb_policy: "CLUSTER_PROVIDED" };
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
