import { formatGrpcTimeout, type HeaderMap, isGrpcRequest, parseGrpcTimeoutMs, type RequestHead } from "@heddle/http";
import type { ForwardAction, MaxStreamDuration } from "@heddle/traffic";

/*
 * How a call's own deadline, `grpc-timeout`, and the route's limits go together. Envoy has two ways, and a route takes the
 * one or the other: with `max_stream_duration` the deadline bounds the stream from its first byte, and `timeout` does not
 * count; without it `max_grpc_timeout` lets the deadline take the place of `timeout`, which begins when the request is whole.
 * A route that says nothing of either passes `grpc-timeout` on as it is.
 */

/** The route's timeout in ms, for that request; 0: none (Envoy's `FilterUtility::finalTimeout`). */
export function routeTimeoutMs(forward: ForwardAction, request: RequestHead): number {
  if (forward.maxStreamDuration !== undefined) return 0;
  const { maxGrpcTimeoutMs: maxMs, grpcTimeoutOffsetMs: offsetMs = 0 } = forward;
  if (maxMs === undefined || !isGrpcRequest(request)) return forward.timeoutMs;
  const wantedMs = parseGrpcTimeoutMs(request.headers.get("grpc-timeout")) ?? 0;
  // An offset that would leave nothing is not applied: 0 would be without end.
  const timeoutMs = offsetMs < wantedMs ? wantedMs - offsetMs : wantedMs;
  return maxMs !== 0 && (timeoutMs === 0 || timeoutMs > maxMs) ? maxMs : timeoutMs;
}

/** Whether the upstream is told by `grpc-timeout` what is left of the route's timeout, or of an attempt's. */
export function tellsTimeoutToCallee(forward: ForwardAction, request: RequestHead): boolean {
  return forward.maxGrpcTimeoutMs !== undefined && forward.maxStreamDuration === undefined && isGrpcRequest(request);
}

/**
 * How long the stream may last, in ms from its beginning, on a route with `max_stream_duration`; `listenerMs` is the
 * connection manager's, 0 for none. Undefined: for ever. 0 is a deadline that has passed. A gRPC callee is told by
 * `grpc-timeout`, before what the request has spent here is taken off (Envoy's `refreshDurationTimeout`).
 */
export function limitStream(route: MaxStreamDuration, listenerMs: number, request: RequestHead): number | undefined {
  const { headers } = request;
  const { durationMs = listenerMs, grpcTimeoutHeaderMaxMs: maxMs, grpcTimeoutHeaderOffsetMs: offsetMs = 0 } = route;
  const wantedMs = maxMs === undefined ? undefined : parseGrpcTimeoutMs(headers.get("grpc-timeout"));
  if (wantedMs === undefined || maxMs === undefined) {
    if (durationMs > 0) {
      if (isGrpcRequest(request)) tellCallee(headers, durationMs);
      return durationMs;
    }
    // The route lifts the listener's limit, and with it the call's own.
    if (listenerMs > 0 && isGrpcRequest(request)) headers.remove("grpc-timeout");
    return undefined;
  }
  const boundMs = maxMs === 0 ? wantedMs : Math.min(wantedMs, maxMs);
  const limitMs = Math.max(0, boundMs - offsetMs);
  if (isGrpcRequest(request)) tellCallee(headers, limitMs);
  return limitMs;
}

/** Configured durations may have parts of a millisecond, `grpc-timeout` in its finest unit here has none. */
export function tellCallee(headers: HeaderMap, timeoutMs: number): void {
  headers.set("grpc-timeout", formatGrpcTimeout(Math.ceil(timeoutMs)));
}
