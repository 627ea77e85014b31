import type { SamplingConfig } from "@heddle/traffic";

/**
 * Why a request is traced. Packed into `x-request-id`, as Envoy does (its UUID request id extension with
 * `pack_trace_reason`): one digit of the UUID says it, so that every proxy behind decides the same.
 */
export type TraceReason = "not-traceable" | "sampled" | "service-forced" | "client-forced";

/** Of a UUID in text: "xxxxxxxx-xxxx-Vxxx-…", where V is the version. */
const REASON_AT = 14;
const UUID_LENGTH = 36;
const DIGITS: Readonly<Record<TraceReason, string>> = {
  "not-traceable": "4",
  sampled: "9",
  "service-forced": "a",
  "client-forced": "b",
};
const REASONS: Readonly<Record<string, TraceReason | undefined>> = {
  "9": "sampled",
  a: "service-forced",
  b: "client-forced",
};

export function reasonOf(requestId: string): TraceReason {
  return requestId.length === UUID_LENGTH ? (REASONS[requestId[REASON_AT]!] ?? "not-traceable") : "not-traceable";
}

/** The id with the reason in it; one that is no UUID stays. */
export function withReason(requestId: string, reason: TraceReason): string {
  if (requestId.length !== UUID_LENGTH) return requestId;
  return requestId.slice(0, REASON_AT) + DIGITS[reason] + requestId.slice(REASON_AT + 1);
}

/** The number that decides for one id the same everywhere: its first 32 bits. Undefined where it is no UUID. */
export function stableRandom(requestId: string): number | undefined {
  const value = Number.parseInt(requestId.slice(0, 8), 16);
  return requestId.length === UUID_LENGTH && !Number.isNaN(value) ? value : undefined;
}

export interface ForcedBy {
  /** `x-client-trace-id` came. */
  readonly client: boolean;
  /** `x-envoy-force-trace` came. */
  readonly service: boolean;
}

export interface TraceDecision {
  readonly reason: TraceReason;
  /** The reason is new and belongs into `x-request-id`. */
  readonly fresh: boolean;
}

/**
 * Envoy's `mutateTracingRequestHeader`: what the id says already stands; else the client's wish within `client_sampling`,
 * then a service's, then `random_sampling`. `overall_sampling` may take any of them away, for this proxy alone.
 * `random`: a whole number, for the client's share.
 */
export function decideTrace(
  requestId: string,
  sampling: SamplingConfig,
  forcedBy: ForcedBy,
  random: number,
): TraceDecision {
  const stable = stableRandom(requestId);
  if (stable === undefined) return { reason: "not-traceable", fresh: false };
  let reason = reasonOf(requestId);
  const fresh = reason === "not-traceable";
  if (fresh) {
    if (forcedBy.client && allows(sampling.client, random)) reason = "client-forced";
    else if (forcedBy.service) reason = "service-forced";
    else if (allows(sampling.random, stable)) reason = "sampled";
  }
  return { reason, fresh: fresh && reason !== "not-traceable" };
}

/** Whether `overall_sampling` lets the request be traced here. */
export function allowsOverall(requestId: string, { overall }: SamplingConfig): boolean {
  return allows(overall, stableRandom(requestId) ?? 0);
}

function allows({ numerator, denominator }: { numerator: number; denominator: number }, random: number): boolean {
  return random % denominator < numerator;
}
