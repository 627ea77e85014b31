import type { Json } from "@heddle/base";
import type { TrafficWorkers } from "../traffic-workers.ts";

/** What went towards one endpoint of a cluster, over all workers: the names are those of `envoy.admin.v3.HostStatus.stats`. */
export type EndpointFigures = Readonly<Record<(typeof FIGURES)[number]["name"], number>>;

export interface Figures {
  /** By cluster and address ("10.0.0.1:80"). */
  of(cluster: string, address: string): EndpointFigures;
  /** Of the endpoints that some worker has, sorted. */
  addressesOf(cluster: string): readonly string[];
}

/** In Envoy's order; `field` is what a worker calls it. */
export const FIGURES = [
  { name: "cx_active", field: "activeConnections", type: "GAUGE" },
  { name: "cx_connect_fail", field: "connectFailures", type: "COUNTER" },
  { name: "cx_total", field: "connections", type: "COUNTER" },
  { name: "rq_active", field: "activeRequests", type: "GAUGE" },
  { name: "rq_error", field: "requestsFailed", type: "COUNTER" },
  { name: "rq_success", field: "requestsAnswered", type: "COUNTER" },
  { name: "rq_timeout", field: "requestTimeouts", type: "COUNTER" },
  { name: "rq_total", field: "requests", type: "COUNTER" },
] as const;

/**
 * Asks the workers and adds up what they say. Undefined if one of them does not answer within `withinMs`: a sum without
 * it would be wrong.
 */
export async function endpointFigures(
  workers: Pick<TrafficWorkers, "inspectWorkers">,
  withinMs: number,
): Promise<Figures | undefined> {
  const seen = await workers.inspectWorkers(withinMs);
  if (seen.some(({ value }) => value === null)) return undefined;
  const sums = new Map<string, EndpointFigures>();
  for (const { value } of seen) {
    for (const cluster of listAt(fieldOf(value, "serving"), "clusters")) {
      for (const endpoint of listAt(cluster, "endpoints")) {
        const key = `${textAt(cluster, "name")}\n${textAt(endpoint, "address")}`;
        const sum = sums.get(key) ?? NOTHING;
        sums.set(
          key,
          figures((figure) => sum[figure.name] + numberAt(endpoint, figure.field)),
        );
      }
    }
  }
  return {
    of: (cluster, address) => sums.get(`${cluster}\n${address}`) ?? NOTHING,
    addressesOf: (cluster) =>
      [...sums.keys()].flatMap((key) => (key.startsWith(`${cluster}\n`) ? [key.slice(cluster.length + 1)] : [])).sort(),
  };
}

function figures(countOf: (figure: (typeof FIGURES)[number]) => number): EndpointFigures {
  return Object.fromEntries(FIGURES.map((figure) => [figure.name, countOf(figure)])) as unknown as EndpointFigures;
}

const NOTHING = figures(() => 0);

function fieldOf(json: Json | undefined, name: string): Json | undefined {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined;
  return (json as { readonly [key: string]: Json })[name];
}

function listAt(json: Json | undefined, name: string): readonly Json[] {
  const list = fieldOf(json, name);
  return Array.isArray(list) ? list : [];
}

function numberAt(json: Json, name: string): number {
  const value = fieldOf(json, name);
  return typeof value === "number" ? value : 0;
}

function textAt(json: Json, name: string): string {
  const value = fieldOf(json, name);
  return typeof value === "string" ? value : "";
}
