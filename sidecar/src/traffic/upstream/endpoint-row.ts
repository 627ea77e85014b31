import type { Endpoint } from "@heddle/traffic";

/** What a worker counts of an endpoint, in the order of a row. */
export const ROW_FIGURES = [
  "activeConnections",
  "connectFailures",
  "connections",
  "activeRequests",
  "requestsFailed",
  "requestsAnswered",
  "requestTimeouts",
  "requests",
] as const;

/** A cluster, an address ("10.0.0.1:80") and its figures. */
export type EndpointRow = readonly [cluster: string, address: string, ...figures: number[]];

/** Undefined of an endpoint that nothing has gone to, unless `always`: of ten thousand clusters most are like that. */
export function endpointRow(cluster: string, endpoint: Endpoint, always: boolean): EndpointRow | undefined {
  const figures = ROW_FIGURES.map((figure) => endpoint[figure]);
  return always || figures.some((figure) => figure !== 0) ? [cluster, endpoint.key, ...figures] : undefined;
}
