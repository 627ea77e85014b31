import type { Json } from "@heddle/base";
import type { Fraction } from "../listener/tracing-config.ts";

/**
 * Envoy's runtime, flattened: "routing.traffic_shift.orders" to a number, a flag, text, or a fraction
 * (`{ numerator, denominator }`). Plain JSON data: it crosses to the workers.
 */
export interface RuntimeValues {
  readonly [key: string]: Json;
}

/** One layer of `layered_runtime`, or a resource of RTDS (`envoy.service.runtime.v3.Runtime`), decoded. */
export interface RuntimeLayerConfig {
  readonly name: string;
  readonly values: RuntimeValues;
}

/** `envoy.config.core.v3.RuntimeFractionalPercent`: what the runtime says under the key, else the fraction itself. */
export interface RuntimeFraction extends Fraction {
  /** Left out: nothing of the runtime counts. */
  readonly runtimeKey?: string;
}

/** Denominators by the names of `envoy.type.v3.FractionalPercent.DenominatorType`. */
export const DENOMINATORS: Readonly<Record<string, number>> = {
  HUNDRED: 100,
  TEN_THOUSAND: 10_000,
  MILLION: 1_000_000,
};
