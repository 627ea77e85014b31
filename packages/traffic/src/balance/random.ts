import type { Endpoint } from "../endpoint/endpoint.ts";
import type { NonEmpty, Pick, Picker, Random } from "./picker.ts";
import { haveEqualWeights } from "./round-robin.ts";
import { WeightedDraw } from "./weighted-draw.ts";

/** Takes a random endpoint, each with the chance that its weight gives it. */
export function randomChoice(endpoints: NonEmpty<Endpoint>, random: Random, equalWeights = false): Picker {
  return equalWeights || haveEqualWeights(endpoints) ? new Uniform(endpoints, random) : new ByWeight(endpoints, random);
}

class Uniform implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #random: Random;

  constructor(endpoints: NonEmpty<Endpoint>, random: Random) {
    this.#endpoints = endpoints;
    this.#random = random;
  }

  pick(): Pick {
    return this.#endpoints[this.#random() % this.#endpoints.length]!.pick;
  }
}

class ByWeight implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #draw: WeightedDraw;
  readonly #random: Random;

  constructor(endpoints: NonEmpty<Endpoint>, random: Random) {
    this.#endpoints = endpoints;
    this.#draw = new WeightedDraw(endpoints.map(({ weight }) => weight));
    this.#random = random;
  }

  pick(): Pick {
    return this.#endpoints[this.#draw.place(this.#random())]!.pick;
  }
}
