/** gRPC's status codes (grpc/doc/statuscodes.md). */
export const GrpcStatus = {
  Ok: 0,
  Cancelled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
  /** No code: what stands in for a `grpc-status` that is none (Envoy's `InvalidCode`). */
  Invalid: -1,
} as const;

/** The name of a status: "InvalidArgument" as Envoy writes it, or "INVALID_ARGUMENT". One that gRPC does not have is its number. */
export function grpcStatusName(status: number, style: "camel" | "snake"): string {
  return (style === "camel" ? CAMEL : SNAKE)[status] ?? String(status);
}

/**
 * What an HTTP status means to a gRPC client (grpc/doc/http-grpc-status-mapping.md). 200 is not in it: a response that
 * does not say how it went has not succeeded.
 */
export function grpcStatusOfHttp(status: number): number {
  switch (status) {
    case 400:
      return GrpcStatus.Internal;
    case 401:
      return GrpcStatus.Unauthenticated;
    case 403:
      return GrpcStatus.PermissionDenied;
    case 404:
      return GrpcStatus.Unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return GrpcStatus.Unavailable;
    default:
      return GrpcStatus.Unknown;
  }
}

/** The HTTP status that tells the same (google.rpc.Code). */
export function httpStatusOfGrpc(status: number): number {
  return HTTP_STATUS[status] ?? 500;
}

/** A `grpc-status` field: its number, `Invalid` where it is none, undefined where there is none. */
export function parseGrpcStatus(value: string | undefined): number | undefined {
  if (value === undefined || value === "") return undefined;
  return /^\d{1,9}$/.test(value) ? Number(value) : GrpcStatus.Invalid;
}

/**
 * Whether that is the `content-type` of gRPC: "application/grpc", alone or with a format ("+proto") or parameters.
 * "application/grpc-web" is not. Exact in its case, as Envoy's `hasGrpcContentType`, which takes no parameters.
 */
export function isGrpcContentType(value: string | undefined): boolean {
  if (value === undefined || !value.startsWith(GRPC)) return false;
  const next = value.charCodeAt(GRPC.length); // NaN at the end
  return value.length === GRPC.length || next === PLUS || next === SEMICOLON || next === SPACE;
}

const GRPC = "application/grpc";
const PLUS = 0x2b;
const SEMICOLON = 0x3b;
const SPACE = 0x20;

const HTTP_STATUS = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401] as const;

const CAMEL = [
  "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
  "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
  "DataLoss", "Unauthenticated",
] as const; // biome-ignore format: a table
const SNAKE = [
  "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
  "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
] as const; // biome-ignore format: a table
