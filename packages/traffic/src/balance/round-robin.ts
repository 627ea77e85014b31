import type { Endpoint } from "../endpoint/endpoint.ts";
import { type NonEmpty, type Pick, type Picker, type Random, randomFraction } from "./picker.ts";
import { WeightedSchedule } from "./weighted-schedule.ts";

/**
 * Takes endpoints in turn; where their weights differ, each as often as its weight says.
 *
 * The list is fixed for the life of a picker; when endpoints change, a new picker is made. It begins at a random place,
 * since a mesh that starts all at once would otherwise send its first wave to one endpoint.
 */
export function roundRobin(endpoints: NonEmpty<Endpoint>, random: Random, equalWeights = false): Picker {
  if (equalWeights || haveEqualWeights(endpoints)) return new InTurn(endpoints, random);
  return new ByWeight(
    endpoints,
    endpoints.map(({ weight }) => weight),
    random,
  );
}

/**
 * The same where weights stand elsewhere, one above 0 for each endpoint, in their order; and change often, every second. Then little is
 * picked from one to the next, so the first turn is drawn by weight: that of the earliest phase is a heavy place's too often.
 */
export function roundRobinBy(endpoints: NonEmpty<Endpoint>, weights: Float64Array, random: Random): Picker {
  const [first] = weights;
  return weights.every((weight) => weight === first)
    ? new InTurn(endpoints, random)
    : new ByWeight(endpoints, weights, random, drawnPlace(weights, random));
}

function drawnPlace(weights: Float64Array, random: Random): number {
  let point = randomFraction(random) * weights.reduce((sum, weight) => sum + weight, 0);
  for (let place = 0; place < weights.length; place++) {
    point -= weights[place]!; // below the length
    if (point < 0) return place;
  }
  return weights.length - 1; // rounding
}

export function haveEqualWeights(endpoints: NonEmpty<Endpoint>): boolean {
  const { weight } = endpoints[0];
  return endpoints.every((endpoint) => endpoint.weight === weight);
}

class InTurn implements Picker {
  readonly #endpoints: readonly Endpoint[];
  #next: number;

  constructor(endpoints: NonEmpty<Endpoint>, random: Random) {
    this.#endpoints = endpoints;
    this.#next = random() % endpoints.length;
  }

  pick(): Pick {
    const { pick } = this.#endpoints[this.#next]!; // #next is always below the length
    this.#next = this.#next + 1 === this.#endpoints.length ? 0 : this.#next + 1;
    return pick;
  }
}

class ByWeight implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #schedule: WeightedSchedule;

  constructor(endpoints: NonEmpty<Endpoint>, weights: ArrayLike<number>, random: Random, first?: number) {
    this.#endpoints = endpoints;
    this.#schedule = new WeightedSchedule(weights, random, first);
  }

  pick(): Pick {
    return this.#endpoints[this.#schedule.next()]!.pick; // places of the list
  }
}
