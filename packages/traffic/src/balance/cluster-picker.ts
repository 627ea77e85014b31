import { type Failure, failure } from "@heddle/base";
import type { RequestHead } from "@heddle/http";
import type { LbPolicy } from "../cluster/cluster-config.ts";
import type { EndpointSet } from "../endpoint/endpoint-set.ts";
import type { LiveRuntime } from "../runtime/live-runtime.ts";
import { balancerPolicy } from "./balancer-registry.ts";
import { localityPicker } from "./locality-picker.ts";
import { type BalancerPolicy, type Pick, type Picker, type Random, systemRandom } from "./picker.ts";
import { priorityLoads } from "./priority-load.ts";

export interface ClusterPickerOptions {
  readonly clusterName: string;
  readonly lbPolicy: LbPolicy;
  readonly healthyPanicThresholdPercent: number;
  /** For the keys of the policy. Left out: nobody sets a runtime. */
  readonly runtime?: LiveRuntime;
}

/**
 * The picker of a whole cluster: drop overload, then priority, then locality, then the cluster's policy. Made anew when
 * the endpoints change; a `ClusterConfig` has what `options` asks for (`{ ...config, clusterName: config.name }`).
 */
export function makePicker(set: EndpointSet, options: ClusterPickerOptions, random: Random = systemRandom): Picker {
  const picker = pickerOfPriorities(set, options, random);
  const drops = set.config.dropOverloads.filter(({ numerator }) => numerator > 0);
  return drops.length === 0 ? picker : new Dropping(drops, picker, random);
}

/** Fails every pick. For clusters without endpoints, and for those that do not exist. */
export function failingPicker(reason: Failure): Picker {
  const pick: Pick = { type: "fail", failure: reason };
  return { pick: () => pick };
}

/** For a cluster whose endpoints have not come yet. */
export const waitingPicker: Picker = { pick: () => WAIT };

const WAIT: Pick = { type: "wait" };

function pickerOfPriorities(set: EndpointSet, options: ClusterPickerOptions, random: Random): Picker {
  const balancer = balancerPolicy(options.lbPolicy, options.runtime);
  const policy: BalancerPolicy = (endpoints) => balancer(endpoints, random, set.equalWeights);
  const { overprovisioningFactorPercent } = set.config;
  const loads = priorityLoads(set.priorities, {
    overprovisioningFactorPercent,
    panicThresholdPercent: options.healthyPanicThresholdPercent,
  });
  const none = failingPicker(
    failure("no-healthy-upstream", "upstream", `cluster "${options.clusterName}" has no healthy endpoint`),
  );
  const shares: { readonly percent: number; readonly picker: Picker }[] = [];
  // As Envoy: the healthy shares of all priorities first, then the degraded ones.
  for (const members of ["healthy", "degraded"] as const) {
    for (const [i, load] of loads.entries()) {
      const percent = load[members];
      if (percent === 0) continue;
      const { localities } = set.priorities[i]!; // there are as many loads as priorities
      const wanted = load.panic ? "all" : members;
      const picker = localityPicker(localities, wanted, policy, random, overprovisioningFactorPercent);
      shares.push({ percent, picker: picker ?? none });
    }
  }
  if (shares.length === 0) return none;
  return shares.length === 1 ? shares[0]!.picker : new ByPercent(shares, random);
}

/** Draws one of several pickers by percentage: a table of one hundred, made once. */
class ByPercent implements Picker {
  readonly #table: readonly Picker[];
  readonly #random: Random;

  constructor(shares: readonly { readonly percent: number; readonly picker: Picker }[], random: Random) {
    this.#table = shares.flatMap(({ percent, picker }) => new Array<Picker>(percent).fill(picker));
    this.#random = random;
  }

  pick(request: RequestHead): Pick {
    return this.#table[this.#random() % this.#table.length]!.pick(request);
  }
}

/** Drops a share of the requests before anybody is picked (`ClusterLoadAssignment.Policy.drop_overloads`). */
class Dropping implements Picker {
  readonly #categories: readonly { readonly numerator: number; readonly denominator: number; readonly pick: Pick }[];
  readonly #picker: Picker;
  readonly #random: Random;

  constructor(drops: EndpointSet["config"]["dropOverloads"], picker: Picker, random: Random) {
    this.#categories = drops.map(({ category, numerator, denominator }) => ({
      numerator,
      denominator,
      pick: {
        type: "fail",
        failure: failure(kindOf(numerator, denominator), "upstream", `drop_overload "${category}"`),
      },
    }));
    this.#picker = picker;
    this.#random = random;
  }

  pick(request: RequestHead): Pick {
    for (const { numerator, denominator, pick } of this.#categories) {
      if (this.#random() % denominator < numerator) return pick;
    }
    return this.#picker.pick(request);
  }
}

function kindOf(numerator: number, denominator: number): "drop-overload" | "unconditional-drop-overload" {
  return numerator >= denominator ? "unconditional-drop-overload" : "drop-overload";
}
