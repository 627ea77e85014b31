import type { LbPolicy } from "../cluster/cluster-config.ts";
import { NO_RUNTIME, numberOf, numberSource } from "../runtime/live-runtime.ts";
import { byReports } from "./by-reports.ts";
import { leastRequest } from "./least-request.ts";
import type { BalancerPolicy } from "./picker.ts";
import { randomChoice } from "./random.ts";
import { roundRobin } from "./round-robin.ts";

/** The policy of a cluster's `lb_policy`. A new one has its file beside this one, a line here and one in the contract suite. */
export function balancerPolicy(config: LbPolicy, runtime = NO_RUNTIME): BalancerPolicy {
  switch (config.type) {
    case "round-robin":
      return roundRobin;
    case "least-request": {
      const { choiceCount, activeRequestBias, activeRequestBiasKey } = config;
      const bias = numberSource(activeRequestBias, activeRequestBiasKey, runtime, notNegative);
      return (endpoints, random, equalWeights) => leastRequest(endpoints, random, { choiceCount, bias }, equalWeights);
    }
    case "random":
      return randomChoice;
    case "client-side-weighted-round-robin":
      return byReports;
    case "cluster-provided":
      throw new TypeError("the cluster's type says where its requests go, and there is nothing to balance");
    default:
      throw new Error(`unknown balancing policy ${JSON.stringify(config satisfies never)}`);
  }
}

/** Envoy takes no other bias. */
function notNegative(value: Parameters<typeof numberOf>[0]): number | undefined {
  const bias = numberOf(value);
  return bias !== undefined && bias >= 0 ? bias : undefined;
}
