import type { Endpoint } from "../endpoint/endpoint.ts";
import type { NumberSource } from "../runtime/live-runtime.ts";
import { DeadlineHeap } from "./deadline-heap.ts";
import { type NonEmpty, type Pick, type Picker, type Random, randomFraction } from "./picker.ts";
import { haveEqualWeights } from "./round-robin.ts";

/** `choiceCount`: how many endpoints are drawn (2). `bias`: how much load lowers a weight (1; 0 is not at all). */
export interface LeastRequestOptions {
  readonly choiceCount: number;
  readonly bias: NumberSource;
}

/**
 * Prefers endpoints with few exchanges of this worker in flight. Where weights are equal: of `choiceCount` endpoints drawn
 * at random the least busy ("power of two choices"). Where they differ, as Envoy: in turn by weight, each weight divided by
 * (active + 1) ^ `bias` at the moment when the endpoint is taken.
 */
export function leastRequest(
  endpoints: NonEmpty<Endpoint>,
  random: Random,
  options: LeastRequestOptions,
  equalWeights = false,
): Picker {
  return equalWeights || haveEqualWeights(endpoints)
    ? new OfSome(endpoints, random, options.choiceCount)
    : new ByWeight(endpoints, random, options.bias);
}

class OfSome implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #random: Random;
  readonly #choiceCount: number;

  constructor(endpoints: NonEmpty<Endpoint>, random: Random, choiceCount: number) {
    this.#endpoints = endpoints;
    this.#random = random;
    this.#choiceCount = choiceCount;
  }

  pick(): Pick {
    let best = this.#draw();
    for (let i = 1; i < this.#choiceCount; i++) {
      const other = this.#draw();
      if (other.activeRequests < best.activeRequests) best = other;
    }
    return best.pick;
  }

  #draw(): Endpoint {
    return this.#endpoints[this.#random() % this.#endpoints.length]!;
  }
}

class ByWeight implements Picker {
  readonly #endpoints: readonly Endpoint[];
  readonly #bias: NumberSource;
  readonly #heap: DeadlineHeap;

  constructor(endpoints: NonEmpty<Endpoint>, random: Random, bias: NumberSource) {
    this.#endpoints = endpoints;
    this.#bias = bias;
    // A random part of the first interval has passed: proxies that start together should not all begin alike.
    const first = (endpoint: Endpoint): number => (1 - randomFraction(random)) * this.#interval(endpoint);
    this.#heap = new DeadlineHeap(Float64Array.from(endpoints, first));
  }

  pick(): Pick {
    const endpoint = this.#endpoints[this.#heap.first]!; // places of the list
    this.#heap.postponeFirst(this.#heap.firstDeadline + this.#interval(endpoint));
    return endpoint.pick;
  }

  #interval({ weight, activeRequests }: Endpoint): number {
    // Math.pow is spared where the bias is what nearly everybody has.
    const bias = this.#bias.value;
    const load = bias === 1 ? activeRequests + 1 : (activeRequests + 1) ** bias;
    return load / weight;
  }
}
