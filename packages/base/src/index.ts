export { Cidr, type IpWords, isLoopback, parseIp, sameIp } from "./cidr.ts";
export { type Clock, ManualClock, systemClock, type Timer } from "./clock.ts";
export { formatDuration, parseDurationMs } from "./duration.ts";
export { type Failure, type FailureKind, type FailureSide, failure, type RetryAdvice } from "./failure.ts";
export type { Inspectable, Json } from "./json.ts";
export { Live } from "./live.ts";
export { err, ok, type Result } from "./result.ts";
