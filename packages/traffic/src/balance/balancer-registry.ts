import type { LbPolicy } from "../cluster/cluster-config.ts";
import { leastRequest } from "./least-request.ts";
import type { BalancerPolicy } from "./picker.ts";
import { randomChoice } from "./random.ts";
import { roundRobin } from "./round-robin.ts";

/** The policy of a cluster's `lb_policy`. A new one has its file beside this one, a line here and one in the contract suite. */
export function balancerPolicy(config: LbPolicy): BalancerPolicy {
  switch (config.type) {
    case "round-robin":
      return roundRobin;
    case "least-request":
      return (endpoints, random) => leastRequest(endpoints, random, config);
    case "random":
      return randomChoice;
    default:
      throw new Error(`unknown balancing policy ${JSON.stringify(config satisfies never)}`);
  }
}
