import { type Json, ok } from "@heddle/base";
import type { Exchange, HttpFilter, HttpFilterType } from "@heddle/filter";
import {
  GrpcMessageCounter,
  grpcMethodOf,
  type HeaderMap,
  isGrpcRequest,
  isGrpcResponse,
  type ResponseHead,
} from "@heddle/http";
import type { GrpcCallStats } from "../upstream/grpc-cluster-stats.ts";
import { grpcStatsOf } from "./grpc-calls.ts";

interface GrpcStatsConfig {
  /** Which methods have series of their own: every one, or those of the list, "service/method". */
  readonly named: "all" | ReadonlySet<string>;
  readonly upstreamTime: boolean;
  readonly replaceDots: boolean;
}

/**
 * `envoy.filters.http.grpc_stats`: counts calls, how they ended and their messages, by the cluster of the route that they
 * have when they come here: `cluster.<name>.grpc[.<service>.<method>].*`.
 */
export const grpcStatsType: HttpFilterType<GrpcStatsConfig> = {
  name: "envoy.filters.http.grpc_stats",
  configType: "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
  parse(config) {
    const {
      statsForAllMethods = false,
      individualMethodStatsAllowlist: { services = [] } = {},
      enableUpstreamStats = false,
      replaceDotsInGrpcServiceName = false,
    } = config as Json & Fields;
    const listed = services.flatMap(({ name = "", methodNames = [] }) =>
      methodNames.map((method) => `${name}/${method}`),
    );
    return ok({
      named: statsForAllMethods ? "all" : new Set(listed),
      upstreamTime: enableUpstreamStats,
      replaceDots: replaceDotsInGrpcServiceName,
    });
  },
  create: (config) => ({ create: () => new GrpcStatsFilter(config) }),
};

interface Fields {
  readonly statsForAllMethods?: boolean;
  readonly individualMethodStatsAllowlist?: {
    readonly services?: readonly { readonly name?: string; readonly methodNames?: readonly string[] }[];
  };
  readonly enableUpstreamStats?: boolean;
  readonly replaceDotsInGrpcServiceName?: boolean;
}

class GrpcStatsFilter implements HttpFilter {
  readonly #config: GrpcStatsConfig;
  /** Undefined: it is no call, or it goes to no cluster. */
  #stats: GrpcCallStats | undefined = undefined;
  #requestMessages: GrpcMessageCounter | undefined = undefined;
  #responseMessages: GrpcMessageCounter | undefined = undefined;

  constructor(config: GrpcStatsConfig) {
    this.#config = config;
  }

  requestHead(exchange: Exchange): "continue" {
    this.#stats = this.#statsOf(exchange);
    if (this.#stats !== undefined) this.#requestMessages = new GrpcMessageCounter();
    return "continue";
  }

  requestData(_exchange: Exchange, chunk: Uint8Array): "continue" {
    const count = this.#requestMessages?.inspect(chunk) ?? 0;
    if (count > 0) this.#stats?.countRequestMessages(count);
    return "continue";
  }

  responseHead(exchange: Exchange, head: ResponseHead, endStream: boolean): "continue" {
    if (this.#stats === undefined) return "continue";
    if (!endStream && isGrpcResponse(head, false)) this.#responseMessages = new GrpcMessageCounter();
    this.#stats.countStatus(head.headers);
    if (endStream) this.#recordTime(exchange);
    return "continue";
  }

  responseData(_exchange: Exchange, chunk: Uint8Array): "continue" {
    const count = this.#responseMessages?.inspect(chunk) ?? 0;
    if (count > 0) this.#stats?.countResponseMessages(count);
    return "continue";
  }

  responseTrailers(exchange: Exchange, trailers: HeaderMap): "continue" {
    this.#stats?.countStatus(trailers);
    this.#recordTime(exchange);
    return "continue";
  }

  #statsOf(exchange: Exchange): GrpcCallStats | undefined {
    const { named, replaceDots } = this.#config;
    if (!isGrpcRequest(exchange.request)) return undefined;
    const call = grpcMethodOf(exchange.request.path);
    const cluster = call && grpcStatsOf(exchange);
    if (call === undefined || cluster === undefined) return undefined;
    const { service, method } = call;
    if (named !== "all" && !named.has(`${service}/${method}`)) return cluster.ofAll("grpc");
    return cluster.ofMethod("grpc", replaceDots ? service.replaceAll(".", "_") : service, method);
  }

  #recordTime({ upstream }: Exchange): void {
    if (!this.#config.upstreamTime || upstream.sentMs === -1 || upstream.lastByteMs === -1) return;
    this.#stats?.recordUpstreamTime(upstream.lastByteMs - upstream.sentMs);
  }
}
