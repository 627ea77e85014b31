import { isGrpcContentType, parseGrpcStatus } from "@heddle/base";
import type { RequestHead, ResponseHead } from "../head.ts";
import type { HeaderMap } from "../header-map.ts";

export function isGrpcRequest(head: RequestHead): boolean {
  return isGrpcContentType(head.headers.get("content-type"));
}

/**
 * Whether a response is gRPC's. One that ends with its head is trailers-only: `grpc-status` is all that it needs. Others
 * have 200 and gRPC's content type (grpc/doc/PROTOCOL-HTTP2.md, "Responses").
 */
export function isGrpcResponse({ status, headers }: ResponseHead, endStream: boolean): boolean {
  if (endStream) return headers.has("grpc-status");
  return status === 200 && isGrpcContentType(headers.get("content-type"));
}

/**
 * The status that trailers tell, or the head of a trailers-only response: undefined where there is none, -1 where it is
 * no number. Whether the request was gRPC is for the caller to know.
 */
export function grpcStatusOf(headers: HeaderMap): number | undefined {
  return parseGrpcStatus(headers.get("grpc-status"));
}
