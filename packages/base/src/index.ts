export { Backoff, type BackoffOptions, backoffMs } from "./backoff.ts";
export { Cidr, formatIp, type IpWords, isLoopback, parseIp, sameIp } from "./cidr.ts";
export { type Clock, ManualClock, systemClock, type Timer } from "./clock.ts";
export { type Drainable, DrainGroup } from "./drain.ts";
export { formatDuration, parseDurationMs } from "./duration.ts";
export { type Failure, type FailureKind, type FailureSide, failure, type RetryAdvice } from "./failure.ts";
export {
  GrpcStatus,
  grpcStatusName,
  grpcStatusOfHttp,
  httpStatusOfGrpc,
  isGrpcContentType,
  parseGrpcStatus,
} from "./grpc-status.ts";
export { guarded, guardedClock, type OnThrow, placeOfThrow, ThrowPlaces } from "./guard.ts";
export { type Inspectable, isJsonObject, type Json, type JsonObject } from "./json.ts";
export { pointerPart, pointerParts } from "./json-pointer.ts";
export { Live } from "./live.ts";
export { readSmallFile } from "./read-small-file.ts";
export { err, ok, type Result } from "./result.ts";
export { sameJson } from "./same-json.ts";
export { StopReason, type StopSignals } from "./stop-reason.ts";
export { callbackTimer, TimerWheel, WheelTimer } from "./timer-wheel.ts";
