import type { Failure } from "@heddle/base";
import type { ResponseHead } from "@heddle/http";
import type { RetryPolicy } from "../route/route-config.ts";

/**
 * A retry policy's conditions, ready to be asked. Whether an attempt may be repeated at all (attempts left, budget, body
 * still held, response not begun) is asked elsewhere; here is only whether its result is one of those that the policy
 * names.
 */
export class RetryDecision {
  readonly #conditions: ReadonlySet<string>;
  readonly #statusCodes: ReadonlySet<number>;

  constructor(policy: RetryPolicy) {
    this.#conditions = new Set(policy.retryOn.map((name) => (name === "canceled" ? "cancelled" : name))); // Kuma has one l
    this.#statusCodes = new Set(policy.retriableStatusCodes);
  }

  /** An upstream that marks its answer as rate limited is left alone unless the policy asks for it (Envoy). */
  retriesResponse({ status, headers }: ResponseHead): boolean {
    const on = this.#conditions;
    if (headers.has("x-envoy-ratelimited")) return on.has("envoy-ratelimited");
    if (on.has("5xx") && status >= 500 && status <= 599) return true;
    if (on.has("gateway-error") && status >= 502 && status <= 504) return true;
    if (on.has("retriable-4xx") && status === 409) return true;
    if (on.has("retriable-status-codes") && this.#statusCodes.has(status)) return true;
    const grpcStatus = headers.get("grpc-status"); // in the head only if the response is trailers-only
    const condition = grpcStatus === undefined ? undefined : GRPC_CONDITIONS[grpcStatus];
    return condition !== undefined && on.has(condition);
  }

  retriesFailure(failure: Failure): boolean {
    const on = this.#conditions;
    if (failure.side !== "upstream") return false; // our own limits and the client's faults do not get better
    switch (failure.kind) {
      case "connect-refused":
      case "connect-timeout":
      case "connect-failed":
        return on.has("connect-failure") || on.has("reset") || on.has("reset-before-request") || anyServerError(on);
      case "reset-by-upstream":
        if (failure.retry === "safe" && (on.has("refused-stream") || on.has("reset-before-request"))) return true;
        return on.has("reset") || anyServerError(on);
      case "connection-closed":
        if (failure.retry === "safe" && on.has("reset-before-request")) return true;
        return on.has("reset") || anyServerError(on);
      case "upstream-protocol-error":
      case "per-try-timeout":
      case "upstream-max-duration":
        return on.has("reset") || anyServerError(on);
      default:
        return false;
    }
  }
}

/** A failed attempt would become a 502, 503 or 504, which both conditions name. */
function anyServerError(conditions: ReadonlySet<string>): boolean {
  return conditions.has("5xx") || conditions.has("gateway-error");
}

/** `retry_on` names of gRPC statuses, by their number in `grpc-status`. */
const GRPC_CONDITIONS: Readonly<Record<string, string>> = {
  "1": "cancelled",
  "4": "deadline-exceeded",
  "8": "resource-exhausted",
  "13": "internal",
  "14": "unavailable",
};
