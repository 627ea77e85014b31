import { grpcStatusOfHttp } from "@heddle/base";
import { encodeGrpcMessage, HeaderMap, ResponseHead } from "@heddle/http";
import type { LocalReply } from "./exchange.ts";

/**
 * An answer of ours as a gRPC client understands it: trailers-only, that is 200 and a head that says how it went (Envoy's
 * `Utility::prepareLocalReply`). The status is what the reply names, else what its HTTP status stands for; its body
 * becomes the message. A `grpc-status` among the headers stays, so that `local_reply_config` can choose one.
 */
export function grpcReplyHead(reply: LocalReply, isHeadRequest: boolean): ResponseHead {
  const headers = reply.headers?.clone() ?? new HeaderMap();
  headers.remove("content-length");
  headers.set("content-type", "application/grpc");
  if (!headers.get("grpc-status")) {
    headers.set("grpc-status", String(reply.grpcStatus ?? grpcStatusOfHttp(reply.status)));
  }
  if (reply.body && !isHeadRequest) headers.set("grpc-message", encodeGrpcMessage(messageOf(reply.body, reply)));
  return new ResponseHead(200, headers);
}

/** A JSON format ends its line, which a field value does not need. */
function messageOf(body: string, { contentType }: LocalReply): string {
  return contentType === "application/json" && body.endsWith("\n") ? body.slice(0, -1) : body;
}
