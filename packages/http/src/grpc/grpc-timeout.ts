/**
 * `grpc-timeout` (grpc/doc/PROTOCOL-HTTP2.md, "Timeout"): at most 8 digits and a unit, one of H M S m u n. Sub-millisecond
 * values are rounded up, so that a deadline is never zero that was not. Undefined: there is none, or it is none of these.
 */
export function parseGrpcTimeoutMs(value: string | undefined): number | undefined {
  if (value === undefined || value.length < 2 || value.length > 9) return undefined;
  let amount = 0;
  for (let i = 0; i < value.length - 1; i++) {
    const digit = value.charCodeAt(i) - DIGIT_0;
    if (digit < 0 || digit > 9) return undefined;
    amount = amount * 10 + digit;
  }
  switch (value.charCodeAt(value.length - 1)) {
    case 0x48: // H
      return amount * 3_600_000;
    case 0x4d: // M
      return amount * 60_000;
    case 0x53: // S
      return amount * 1000;
    case 0x6d: // m
      return amount;
    case 0x75: // u
      return Math.ceil(amount / 1000);
    case 0x6e: // n
      return Math.ceil(amount / 1_000_000);
    default:
      return undefined;
  }
}

/** In the finest unit that holds it, and never more than was given. `ms`: whole and not negative. */
export function formatGrpcTimeout(ms: number): string {
  if (ms <= MAX_GRPC_TIMEOUT_VALUE) return `${ms}m`;
  const seconds = Math.floor(ms / 1000);
  if (seconds <= MAX_GRPC_TIMEOUT_VALUE) return `${seconds}S`;
  const minutes = Math.floor(seconds / 60);
  if (minutes <= MAX_GRPC_TIMEOUT_VALUE) return `${minutes}M`;
  return `${Math.min(Math.floor(minutes / 60), MAX_GRPC_TIMEOUT_VALUE)}H`;
}

const DIGIT_0 = 0x30;
/** The largest of 8 digits. */
const MAX_GRPC_TIMEOUT_VALUE = 99_999_999;
