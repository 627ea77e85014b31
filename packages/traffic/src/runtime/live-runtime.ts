import type { Json } from "@heddle/base";
import type { Fraction } from "../listener/tracing-config.ts";
import { DENOMINATORS, type RuntimeFraction, type RuntimeValues } from "./runtime-values.ts";

/**
 * The runtime of a worker: values that change while what was built from them goes on. Whoever depends on a key asks for a
 * source once, when it is built, and reads that; a source looks its key up again only when the values have been replaced
 * since. Nobody is registered anywhere, so what is built anew with each update leaves nothing behind.
 */
export class LiveRuntime {
  /** Rises with every `publish`. */
  version = 0;
  #values: RuntimeValues = {};

  /** Replaces all values. */
  publish(values: RuntimeValues): void {
    this.#values = values;
    this.version += 1;
  }

  get(key: string): Json | undefined {
    return Object.hasOwn(this.#values, key) ? this.#values[key] : undefined;
  }
}

/** Where nobody sets a runtime: every default holds. */
export const NO_RUNTIME = new LiveRuntime();

/** A number that may be another one at the next look. */
export interface NumberSource {
  readonly value: number;
}

/** The fraction as it is at each look. One without a key is itself, and costs what it cost. */
export function fractionSource(fraction: RuntimeFraction, runtime: LiveRuntime): Fraction {
  return fraction.runtimeKey === undefined ? fraction : new KeyedFraction(fraction.runtimeKey, fraction, runtime);
}

/** `RuntimeUInt32`, `RuntimeDouble` and the like; `read` says which values count. */
export function numberSource(
  value: number,
  runtimeKey: string | undefined,
  runtime: LiveRuntime,
  read: (value: Json | undefined) => number | undefined = unsignedOf,
): NumberSource {
  return runtimeKey === undefined ? { value } : new KeyedNumber(runtimeKey, value, runtime, read);
}

/** A flag that may be another one at the next look. */
export interface FlagSource {
  readonly value: boolean;
}

/** `RuntimeFeatureFlag` */
export function flagSource(value: boolean, runtimeKey: string | undefined, runtime: LiveRuntime): FlagSource {
  if (runtimeKey === undefined || runtimeKey === "") return { value };
  return {
    get value() {
      const now = runtime.get(runtimeKey);
      return now === true || now === "true" ? true : now === false || now === "false" ? false : value;
    },
  };
}

class KeyedFraction implements Fraction {
  readonly #key: string;
  readonly #unset: Fraction;
  readonly #runtime: LiveRuntime;
  #seen = -1;
  #now: Fraction;

  constructor(key: string, unset: Fraction, runtime: LiveRuntime) {
    this.#key = key;
    this.#unset = unset;
    this.#runtime = runtime;
    this.#now = unset;
  }

  get numerator(): number {
    return this.#current.numerator;
  }

  get denominator(): number {
    return this.#current.denominator;
  }

  get #current(): Fraction {
    if (this.#seen !== this.#runtime.version) {
      this.#seen = this.#runtime.version;
      this.#now = fractionOf(this.#runtime.get(this.#key)) ?? this.#unset;
    }
    return this.#now;
  }
}

class KeyedNumber implements NumberSource {
  readonly #key: string;
  readonly #unset: number;
  readonly #runtime: LiveRuntime;
  readonly #read: (value: Json | undefined) => number | undefined;
  #seen = -1;
  #now: number;

  constructor(key: string, unset: number, runtime: LiveRuntime, read: (value: Json | undefined) => number | undefined) {
    this.#key = key;
    this.#unset = unset;
    this.#runtime = runtime;
    this.#read = read;
    this.#now = unset;
  }

  get value(): number {
    if (this.#seen !== this.#runtime.version) {
      this.#seen = this.#runtime.version;
      this.#now = this.#read(this.#runtime.get(this.#key)) ?? this.#unset;
    }
    return this.#now;
  }
}

const ALL: Fraction = { numerator: 100, denominator: 100 };

/**
 * As in Envoy a whole number is a percentage, and one above 100 is all. Undefined: the value says nothing of a fraction.
 */
export function fractionOf(value: Json | undefined): Fraction | undefined {
  const percentage = unsignedOf(value);
  if (percentage !== undefined) return percentage > 100 ? ALL : { numerator: percentage, denominator: 100 };
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { numerator = 0, denominator = "HUNDRED" } = value as {
    readonly numerator?: Json;
    readonly denominator?: Json;
  };
  const parts = typeof denominator === "string" ? DENOMINATORS[denominator] : BY_NUMBER[Number(denominator)];
  const share = unsignedOf(numerator);
  return parts === undefined || share === undefined ? undefined : { numerator: share, denominator: parts };
}

/** The enum's values as numbers. */
const BY_NUMBER: readonly number[] = Object.values(DENOMINATORS);

/** A whole number from 0, written as a number or as text. */
export function unsignedOf(value: Json | undefined): number | undefined {
  const number = numberOf(value);
  return number !== undefined && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

/** Any number, written as a number or as text. */
export function numberOf(value: Json | undefined): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value.trim() === "") return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}
