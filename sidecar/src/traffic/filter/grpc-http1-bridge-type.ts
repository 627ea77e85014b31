import { GrpcStatus, type Json, ok } from "@heddle/base";
import type { DataResult, Exchange, HeadResult, HttpFilter, HttpFilterType } from "@heddle/filter";
import { grpcMethodOf, grpcStatusOf, type HeaderMap, isGrpcRequest, type ResponseHead } from "@heddle/http";
import type { GrpcCallStats } from "../upstream/grpc-cluster-stats.ts";
import { grpcStatsOf } from "./grpc-calls.ts";

interface BridgeConfig {
  readonly ignoreQueryParameters: boolean;
}

/**
 * `envoy.filters.http.grpc_http1_bridge`: lets clients that know HTTP/1 alone make unary gRPC calls. The response is held
 * until its trailers have come; its head then has `grpc-status` and `grpc-message`, and status 503 where the call failed.
 * Requests over HTTP/2 pass untouched.
 */
export const grpcHttp1BridgeType: HttpFilterType<BridgeConfig> = {
  name: "envoy.filters.http.grpc_http1_bridge",
  configType: "envoy.extensions.filters.http.grpc_http1_bridge.v3.Config",
  parse(config) {
    const { ignoreQueryParameters = false } = config as Json & { readonly ignoreQueryParameters?: boolean };
    return ok({ ignoreQueryParameters });
  },
  create: (config) => ({ create: () => new GrpcHttp1Bridge(config) }),
};

class GrpcHttp1Bridge implements HttpFilter {
  readonly #config: BridgeConfig;
  #bridges = false;
  #head: ResponseHead | undefined = undefined;
  #stats: GrpcCallStats | undefined = undefined;

  constructor(config: BridgeConfig) {
    this.#config = config;
  }

  requestHead(exchange: Exchange): "continue" {
    const { request } = exchange;
    if (!isGrpcRequest(request)) return "continue";
    const call = grpcMethodOf(request.path);
    this.#stats = call && grpcStatsOf(exchange)?.ofMethod("grpc", call.service, call.method);
    this.#bridges = request.httpVersion !== "2";
    const query = this.#bridges && this.#config.ignoreQueryParameters ? request.path.indexOf("?") : -1;
    if (query !== -1) request.path = request.path.slice(0, query);
    return "continue";
  }

  responseHead(_exchange: Exchange, head: ResponseHead, endStream: boolean): HeadResult {
    this.#stats?.countStatus(head.headers);
    if (!this.#bridges || endStream) return "continue";
    this.#head = head;
    return "pause";
  }

  responseData(exchange: Exchange, _chunk: Uint8Array, endStream: boolean): DataResult {
    if (this.#head === undefined) return "continue";
    if (!endStream) return "buffer";
    exchange.continueResponse(); // without trailers there is nothing to tell
    return "continue";
  }

  responseTrailers(exchange: Exchange, trailers: HeaderMap): HeadResult | Uint8Array {
    this.#stats?.countStatus(trailers);
    const head = this.#head;
    if (head === undefined) return "continue";
    const status = grpcStatusOf(trailers);
    if (status !== undefined && status !== GrpcStatus.Ok) head.status = 503;
    for (const name of ["grpc-status", "grpc-message"]) {
      const value = trailers.get(name);
      if (value !== undefined) head.headers.set(name, value);
    }
    head.headers.set("content-length", String(exchange.bufferedResponse.length));
    exchange.continueResponse();
    return NO_TRAILERS;
  }
}

/** The end of the body takes the place of the trailers. */
const NO_TRAILERS = new Uint8Array(0);
