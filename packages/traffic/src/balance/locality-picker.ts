import type { RequestHead } from "@heddle/http";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { LocalityMembers } from "../endpoint/endpoint-set.ts";
import { type BalancerPolicy, isNonEmpty, type Pick, type Picker, type Random } from "./picker.ts";
import { WeightedSchedule } from "./weighted-schedule.ts";

/** Which endpoints of a locality a picker shall serve. */
export type Members = "healthy" | "degraded" | "all";

/**
 * The picker of one priority. Localities with weights take turns by weight, each weight lowered as far as too few of its
 * endpoints are usable (overprovisioning included); each has a picker of the policy of its own. Without weights all
 * endpoints are one list. Undefined: there is nobody to pick.
 */
export function localityPicker(
  localities: readonly LocalityMembers[],
  members: Members,
  policy: BalancerPolicy,
  random: Random,
  overprovisioningFactorPercent: number,
): Picker | undefined {
  if (localities.some(({ weight }) => weight !== undefined)) {
    const weighted = localities.flatMap((locality) => {
      const endpoints = locality[members];
      const weight = (locality.weight ?? 0) * usableShare(locality, members, overprovisioningFactorPercent);
      return isNonEmpty(endpoints) && weight > 0 ? [{ weight, picker: policy(endpoints, random) }] : [];
    });
    if (weighted.length === 1) return weighted[0]!.picker;
    if (weighted.length > 1) return new ByLocality(weighted, random);
    return undefined; // a weight of 0, or none where others have one, gets no traffic
  }
  const only = localities.length === 1 ? localities[0] : undefined;
  const endpoints: readonly Endpoint[] = only?.[members] ?? localities.flatMap((locality) => locality[members]);
  return isNonEmpty(endpoints) ? policy(endpoints, random) : undefined;
}

function usableShare(locality: LocalityMembers, members: Members, factorPercent: number): number {
  if (locality.all.length === 0) return 0;
  return Math.min(1, (factorPercent * locality[members].length) / (100 * locality.all.length));
}

class ByLocality implements Picker {
  readonly #pickers: readonly Picker[];
  readonly #schedule: WeightedSchedule;

  constructor(localities: readonly { readonly weight: number; readonly picker: Picker }[], random: Random) {
    this.#pickers = localities.map(({ picker }) => picker);
    this.#schedule = new WeightedSchedule(
      localities.map(({ weight }) => weight),
      random,
    );
  }

  pick(request: RequestHead): Pick {
    return this.#pickers[this.#schedule.next()]!.pick(request); // places of the list
  }
}
