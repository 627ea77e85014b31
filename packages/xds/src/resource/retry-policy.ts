import type { RetryPolicy } from "@heddle/traffic";
import { duration, durationUnless, type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";

const BASE_INTERVAL_MS = 25;

/** `envoy.config.route.v3.RetryPolicy`. */
export function decodeRetryPolicy(fields: Fields | undefined): RetryPolicy | undefined {
  if (fields === undefined) return undefined;
  const backOff = fields.message("retry_back_off");
  const baseIntervalMs = backOff?.durationMs("base_interval", BASE_INTERVAL_MS) ?? BASE_INTERVAL_MS;
  const maxIntervalMs = backOff?.durationMs("max_interval", undefined) ?? 10 * baseIntervalMs;
  if (maxIntervalMs < baseIntervalMs) {
    backOff?.fail("max_interval", `found ${maxIntervalMs / 1000}s, allowed is at least base_interval`);
  }
  return {
    retryOn: fields
      .text("retry_on")
      .split(",")
      .map((condition) => condition.trim().toLowerCase())
      .filter((condition) => condition !== ""),
    numRetries: fields.wrappedNumber("num_retries", 1),
    perTryTimeoutMs: fields.durationMs("per_try_timeout", 0),
    retriableStatusCodes: fields.numbers("retriable_status_codes"),
    baseIntervalMs,
    maxIntervalMs,
  };
}

export function encodeRetryPolicy(policy: RetryPolicy | undefined): LooseJsonObject | undefined {
  if (policy === undefined) return undefined;
  const { baseIntervalMs, maxIntervalMs } = policy;
  const isStandard = baseIntervalMs === BASE_INTERVAL_MS && maxIntervalMs === 10 * BASE_INTERVAL_MS;
  return {
    retry_on: policy.retryOn.join(","),
    num_retries: unless(1, policy.numRetries),
    per_try_timeout: durationUnless(0, policy.perTryTimeoutMs),
    retriable_status_codes: list(policy.retriableStatusCodes),
    retry_back_off: isStandard
      ? undefined
      : { base_interval: duration(baseIntervalMs), max_interval: durationUnless(10 * baseIntervalMs, maxIntervalMs) },
  };
}
