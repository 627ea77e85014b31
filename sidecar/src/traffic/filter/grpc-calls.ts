import type { Exchange } from "@heddle/filter";
import { HttpExchange } from "../http/http-exchange.ts";
import type { GrpcClusterStats } from "../upstream/grpc-cluster-stats.ts";

/** Where calls are counted that the exchange's route sends to a cluster; undefined: it sends them to none. */
export function grpcStatsOf(exchange: Exchange): GrpcClusterStats | undefined {
  if (!(exchange instanceof HttpExchange)) return undefined;
  const cluster = exchange.route?.cluster;
  return cluster === undefined ? undefined : exchange.runtime.clusters.get(cluster)?.stats.grpc;
}
