import type { Endpoint } from "../endpoint/endpoint.ts";
import { type EndpointPick, endpointPick, type NonEmpty, type Pick, type Picker, type Random } from "./picker.ts";
import { haveEqualWeights } from "./round-robin.ts";
import { WeightedDraw } from "./weighted-draw.ts";

/** Takes a random endpoint, each with the chance that its weight gives it. */
export function randomChoice(endpoints: NonEmpty<Endpoint>, random: Random): Picker {
  return haveEqualWeights(endpoints) ? new Uniform(endpoints, random) : new ByWeight(endpoints, random);
}

class Uniform implements Picker {
  readonly #picks: readonly EndpointPick[];
  readonly #random: Random;

  constructor(endpoints: NonEmpty<Endpoint>, random: Random) {
    this.#picks = endpoints.map(endpointPick);
    this.#random = random;
  }

  pick(): Pick {
    return this.#picks[this.#random() % this.#picks.length]!;
  }
}

class ByWeight implements Picker {
  readonly #picks: readonly EndpointPick[];
  readonly #draw: WeightedDraw;
  readonly #random: Random;

  constructor(endpoints: NonEmpty<Endpoint>, random: Random) {
    this.#picks = endpoints.map(endpointPick);
    this.#draw = new WeightedDraw(endpoints.map(({ weight }) => weight));
    this.#random = random;
  }

  pick(): Pick {
    return this.#picks[this.#draw.place(this.#random())]!;
  }
}
