import type { Failure } from "@heddle/base";
import type { RequestHead } from "@heddle/http";
import type { Endpoint } from "../endpoint/endpoint.ts";

/** A balancing policy's momentary state: immutable for its users, replaced whole when anything it knows changes. */
export interface Picker {
  /** Chooses for one attempt. Allocates nothing: what it returns has been made before and is handed out many times. */
  pick(request: RequestHead): Pick;
}

/** What to do with one attempt. */
export type Pick =
  | { readonly type: "endpoint"; readonly endpoint: Endpoint; readonly done?: (outcome: Outcome) => void }
  /** No endpoint yet: ask the next picker. */
  | { readonly type: "wait" }
  | { readonly type: "fail"; readonly failure: Failure };

/** How an attempt ended, for policies that learn from it. */
export type Outcome =
  | { readonly type: "response"; readonly status: number }
  | { readonly type: "failure"; readonly failure: Failure };

/**
 * A whole number, uniform from 0 (included) to 2^31 (excluded): the range in which V8 holds numbers without a place on the
 * heap. Injected, so that tests can say what it gives.
 */
export type Random = () => number;

export const systemRandom: Random = () => (Math.random() * 0x80000000) | 0; // Math.floor would leave a heap number

/** From 0 (included) to 1 (excluded). */
export function randomFraction(random: Random): number {
  return random() / 0x80000000;
}

export type NonEmpty<T> = readonly [T, ...T[]];

export function isNonEmpty<T>(list: readonly T[]): list is NonEmpty<T> {
  return list.length > 0;
}

export type EndpointPick = Pick & { readonly type: "endpoint" };

/**
 * Makes the picker of one locality of one priority, whose endpoints are fixed. `equalWeights`: their weights are known to be equal; left
 * out or false, it looks.
 */
export type BalancerPolicy = (endpoints: NonEmpty<Endpoint>, random: Random, equalWeights?: boolean) => Picker;
