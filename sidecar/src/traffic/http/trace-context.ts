import type { HeaderMap } from "@heddle/http";
import { parseTraceparent, type TraceContext } from "@heddle/telemetry";
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
  const value = headers.get("traceparent");
  const parent = value === undefined ? undefined : parseTraceparent(value);
  if (parent !== undefined) {
    const { traceId, spanId, sampled } = parent;
    return { traceId, spanId, parentSpanId: "", sampled, traceState: headers.joined("tracestate") ?? "" };
  }
  const begun = random.traceparent();
  const traceId = begun.substring(3, 35);
  const spanId = begun.substring(36, 52);
  headers.set("traceparent", begun);
  headers.remove("tracestate"); // §3.3: it belonged to the one that is not valid
  return { traceId, spanId, parentSpanId: "", sampled: true, traceState: "" };
}
