import type { Endpoint } from "../endpoint/endpoint.ts";
import type { NonEmpty, Picker, Random } from "./picker.ts";
import { roundRobinBy } from "./round-robin.ts";

/**
 * Takes endpoints in turn by the weights that their own reports give them at this moment (`ClientSideWeights`); who has none gets the
 * median of the others. Weights of the configuration do not matter.
 */
export function byReports(endpoints: NonEmpty<Endpoint>, random: Random): Picker {
  const weights = new Float64Array(endpoints.length);
  for (let i = 0; i < weights.length; i++) weights[i] = endpoints[i]!.reportedLoad?.weight ?? 0; // as many
  fillWithMedian(weights);
  return roundRobinBy(endpoints, weights, random);
}

/** Gives the places without a weight the median of those that have one; 1 where there are none. */
function fillWithMedian(weights: Float64Array): void {
  if (!weights.includes(0)) return;
  const own = weights.filter((weight) => weight > 0).sort();
  const middle = own.length >> 1;
  const high = own[middle] ?? 1;
  const median = own.length % 2 === 1 || own.length === 0 ? high : (own[middle - 1]! + high) / 2; // there are two at least
  for (let i = 0; i < weights.length; i++) if (weights[i] === 0) weights[i] = median;
}
