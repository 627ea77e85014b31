import { grpcStatusOfHttp, isGrpcContentType, parseGrpcStatus } from "@heddle/base";
import type { AccessLogSource } from "./access-log-source.ts";

/**
 * How a call went: `grpc-status` of the trailers, else of the head, else what the HTTP status stands for (Envoy's
 * `Grpc::Common::getGrpcStatus`). Undefined: there was no response.
 */
export function grpcStatusOf(source: AccessLogSource): number | undefined {
  return (
    parseGrpcStatus(source.responseTrailer("grpc-status")) ??
    parseGrpcStatus(source.responseHeader("grpc-status")) ??
    (source.responseCode === 0 ? undefined : grpcStatusOfHttp(source.responseCode))
  );
}

/** The same for what tells of gRPC alone. Undefined: the request was not gRPC. */
export function grpcStatusOfCall(source: AccessLogSource): number | undefined {
  return isGrpcContentType(source.requestHeader("content-type")) ? grpcStatusOf(source) : undefined;
}
