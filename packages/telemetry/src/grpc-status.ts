import type { AccessLogSource } from "./access-log-source.ts";

/** gRPC's statuses by number: as Envoy writes them, and as Abseil does. */
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

export const GRPC_UNKNOWN = 2;

/** `grpc-status` of the trailers, else of the head, else what the HTTP status stands for. Undefined: it is no gRPC. */
export function grpcStatusOf(source: AccessLogSource): number | undefined {
  if (!isGrpc(source.requestHeader("content-type"))) return undefined;
  const told = source.responseTrailer("grpc-status") ?? source.responseHeader("grpc-status");
  if (told !== undefined && /^\d{1,9}$/.test(told)) return Number(told);
  return source.responseCode === 0 ? undefined : grpcStatusOfHttp(source.responseCode);
}

/** The name of a status: "InvalidArgument", or "INVALID_ARGUMENT". One that gRPC does not have is its number. */
export function grpcStatusName(status: number, style: "camel" | "snake"): string {
  return (style === "camel" ? CAMEL : SNAKE)[status] ?? String(status);
}

/** What an HTTP status means to a gRPC client (grpc/doc/http-grpc-status-mapping.md). */
export function grpcStatusOfHttp(status: number): number {
  return HTTP_TO_GRPC[status] ?? GRPC_UNKNOWN;
}

const HTTP_TO_GRPC: Readonly<Record<number, number>> = {
  200: 0, // Envoy counts a 200 without `grpc-status` as OK here
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
};

/** "application/grpc", with or without "+proto" or parameters. */
function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?:$|[+;])/i.test(contentType);
}
