import type { HeaderMap } from "@heddle/http";
import { isSampled, isTraceparent, type TraceContext } from "@heddle/telemetry";
import type { RandomHex } from "./random-hex.ts";

/**
 * The request's trace (https://www.w3.org/TR/trace-context/). One that came is passed on as it is: as long as we record no
 * span of our own, putting our id in the caller's place would cut the callee's spans off from their parent. Where there
 * is none, or a malformed one (§3.2.2.3), a trace begins here, and the head gets its `traceparent`.
 *
 * A trace that begins here is marked as sampled: SDKs behind us that follow their parent then decide as they would have
 * done without it, since recording is their default.
 */
export function traceOf(headers: HeaderMap, random: RandomHex): TraceContext {
  return passTrace(headers, headers.get("traceparent"), headers.joined("tracestate"), random);
}

/** The same where it is known what the head says. */
export function passTrace(
  headers: HeaderMap,
  traceparent: string | undefined,
  traceState: string | undefined,
  random: RandomHex,
): TraceContext {
  if (traceparent !== undefined && isTraceparent(traceparent)) return new PassedTrace(traceparent, traceState ?? "");
  const begun = random.traceparent();
  if (traceparent === undefined) headers.append("traceparent", begun);
  else headers.set("traceparent", begun);
  if (traceState !== undefined) headers.remove("tracestate"); // §3.3: it belonged to the one that is not valid
  return new PassedTrace(begun, "");
}

/** The trace of a `traceparent`, whose ids are cut out when somebody asks: most requests pass without anybody who does. */
class PassedTrace implements TraceContext {
  readonly #traceparent: string;
  readonly parentSpanId = "";
  readonly traceState: string;

  constructor(traceparent: string, traceState: string) {
    this.#traceparent = traceparent;
    this.traceState = traceState;
  }

  get traceId(): string {
    return this.#traceparent.substring(3, 35);
  }

  get spanId(): string {
    return this.#traceparent.substring(36, 52);
  }

  get sampled(): boolean {
    return isSampled(this.#traceparent);
  }
}
