import { grpcStatusOfHttp, ok } from "@heddle/base";
import {
  ByteHold,
  type DataResult,
  type Exchange,
  type HeadResult,
  type HttpFilter,
  type HttpFilterType,
} from "@heddle/filter";
import {
  encodeGrpcMessage,
  GrpcFrameFlag,
  GrpcMessageCounter,
  grpcMessageBytes,
  grpcMethodOf,
  type HeaderMap,
  isGrpcResponse,
  type ResponseHead,
  WebTextReader,
  WebTextWriter,
} from "@heddle/http";
import type { GrpcCallStats } from "../upstream/grpc-cluster-stats.ts";
import { grpcStatsOf } from "./grpc-calls.ts";

/**
 * `envoy.filters.http.grpc_web`: makes gRPC of gRPC-Web (grpc/doc/PROTOCOL-WEB.md) and back, for browsers and others that
 * see no trailers. Binary and text, unary and streaming; calls are counted under `cluster.<name>.grpc-web.…`.
 *
 *     request:  application/grpc-web[-text][+proto]  > application/grpc, te: trailers; text is decoded
 *     response: application/grpc > application/grpc-web+proto, trailers as the body's last message (flag 0x80);
 *               in base64 where `accept` asks for text
 *
 * An answer that is no gRPC (ours too) keeps its HTTP status and has `grpc-status` and `grpc-message` in its head.
 */
export const grpcWebType: HttpFilterType = {
  name: "envoy.filters.http.grpc_web",
  configType: "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
  parse: (config) => ok(config),
  create: () => ({ create: () => new GrpcWebFilter() }),
};

class GrpcWebFilter implements HttpFilter {
  /** Undefined: the request is not gRPC-Web, and nothing of it is touched. */
  #call: WebCall | undefined = undefined;

  requestHead(exchange: Exchange): HeadResult {
    const type = mediaType(exchange.request.headers.get("content-type"));
    if (type !== undefined && (BINARY.has(type) || TEXT.has(type))) this.#call = new WebCall(exchange, TEXT.has(type));
    return "continue";
  }

  requestData(exchange: Exchange, chunk: Uint8Array, endStream: boolean): DataResult {
    return this.#call?.requestData(exchange, chunk, endStream) ?? "continue";
  }

  requestTrailers(exchange: Exchange): HeadResult {
    return this.#call?.requestTrailers(exchange) ?? "continue";
  }

  responseHead(_exchange: Exchange, head: ResponseHead, endStream: boolean): HeadResult {
    return this.#call?.responseHead(head, endStream) ?? "continue";
  }

  responseData(exchange: Exchange, chunk: Uint8Array, endStream: boolean): DataResult {
    return this.#call?.responseData(exchange, chunk, endStream) ?? "continue";
  }

  responseTrailers(exchange: Exchange, trailers: HeaderMap): HeadResult | Uint8Array {
    return this.#call?.responseTrailers(exchange, trailers) ?? "continue";
  }
}

/** One call that came as gRPC-Web. */
class WebCall {
  readonly #stats: GrpcCallStats | undefined;
  /** Undefined: the request's body is binary. */
  readonly #reader: WebTextReader | undefined;
  /** Undefined: the client wants a binary body. */
  readonly #writer: WebTextWriter | undefined;
  /** Tells where messages end, since text is padded there. */
  readonly #messages = new GrpcMessageCounter();
  /** Of an answer that is no gRPC: its head, which waits for its body to become a field. */
  #foreign: ResponseHead | undefined = undefined;
  readonly #foreignBody = new ByteHold();

  constructor(exchange: Exchange, isText: boolean) {
    const { request } = exchange;
    const { headers } = request;
    // Asked before the type is changed: answers of ours stay HTTP, and are made gRPC-Web's by this filter.
    void exchange.isGrpc;
    const accept = headers.get("accept");
    this.#reader = isText ? new WebTextReader() : undefined;
    this.#writer = accept !== undefined && TEXT.has(accept) ? new WebTextWriter() : undefined;
    const call = grpcMethodOf(request.path);
    this.#stats = call && grpcStatsOf(exchange)?.ofMethod("grpc-web", call.service, call.method);
    headers.remove("content-length"); // of the text, and HTTP/2 would hold us to it
    headers.set("content-type", "application/grpc");
    headers.set("te", "trailers");
    if (!headers.has("grpc-accept-encoding")) headers.append("grpc-accept-encoding", "identity");
  }

  requestData(exchange: Exchange, chunk: Uint8Array, endStream: boolean): DataResult {
    if (this.#reader === undefined) return "continue";
    const bytes = this.#reader.read(chunk);
    if (bytes === undefined) return refuse(exchange, "grpc_base_64_decode_failed");
    if (endStream && this.#reader.partial) return refuse(exchange, "grpc_base_64_decode_failed_bad_size");
    return bytes.length > 0 ? bytes : "drop";
  }

  requestTrailers(exchange: Exchange): HeadResult {
    if (this.#reader?.partial !== true) return "continue";
    refuse(exchange, "grpc_base_64_decode_failed_bad_size");
    return "pause";
  }

  responseHead(head: ResponseHead, endStream: boolean): HeadResult {
    const { headers } = head;
    this.#stats?.countStatus(headers);
    const isForeign = !isGrpcResponse(head, endStream) && !isGrpcWebResponse(head);
    headers.remove("content-length");
    headers.set(
      "content-type",
      this.#writer === undefined ? "application/grpc-web+proto" : "application/grpc-web-text+proto",
    );
    if (!isForeign) return "continue";
    if (endStream) {
      tellStatus(head, "");
      return "continue";
    }
    this.#foreign = head;
    return "pause";
  }

  responseData(exchange: Exchange, chunk: Uint8Array, endStream: boolean): DataResult {
    if (this.#foreign !== undefined) {
      this.#foreignBody.append(chunk.subarray(0, MAX_MESSAGE_BYTES - this.#foreignBody.length));
      if (endStream) this.#endForeign(exchange, this.#foreign);
      return "drop";
    }
    if (this.#writer === undefined) return "continue";
    this.#messages.inspect(chunk);
    const text = this.#writer.write(chunk, endStream || this.#messages.atBoundary);
    return text.length > 0 ? text : "drop";
  }

  responseTrailers(exchange: Exchange, trailers: HeaderMap): HeadResult | Uint8Array {
    this.#stats?.countStatus(trailers);
    if (this.#foreign !== undefined) {
      this.#endForeign(exchange, this.#foreign);
      return NOTHING;
    }
    let text = "";
    const { fields } = trailers;
    for (let i = 0; i < fields.length; i += 2) text += `${fields[i]}:${fields[i + 1]}\r\n`;
    const message = grpcMessageBytes(Buffer.from(text, "latin1"), GrpcFrameFlag.WebTrailers);
    return this.#writer?.write(message, true) ?? message;
  }

  #endForeign(exchange: Exchange, head: ResponseHead): void {
    this.#foreign = undefined;
    tellStatus(head, Buffer.from(this.#foreignBody.view()).toString());
    head.headers.set("content-length", "0");
    exchange.continueResponse();
  }
}

/** What a response that is no gRPC says to a caller that knows nothing else. */
function tellStatus({ status, headers }: ResponseHead, body: string): void {
  headers.set("grpc-status", String(grpcStatusOfHttp(status)));
  if (body !== "") headers.set("grpc-message", encodeGrpcMessage(body));
}

function refuse(exchange: Exchange, details: string): "drop" {
  exchange.reply({ status: 400, body: "Bad gRPC-web request, invalid base64 data.", details });
  return "drop";
}

/** The upstream speaks gRPC-Web itself. */
function isGrpcWebResponse({ status, headers }: ResponseHead): boolean {
  const type = mediaType(headers.get("content-type"))?.toLowerCase();
  return status === 200 && type !== undefined && BINARY.has(type);
}

function mediaType(value: string | undefined): string | undefined {
  const end = value?.indexOf(";") ?? -1;
  return end === -1 ? value : value?.slice(0, end).trimEnd();
}

const BINARY: ReadonlySet<string> = new Set(["application/grpc-web", "application/grpc-web+proto"]);
const TEXT: ReadonlySet<string> = new Set(["application/grpc-web-text", "application/grpc-web-text+proto"]);
const NOTHING = new Uint8Array(0);
/** What becomes a field is bounded, as in Envoy; the rest of such a body is dropped. */
const MAX_MESSAGE_BYTES = 16_384;
