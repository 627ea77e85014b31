import type { Json } from "@heddle/base";
import type { TrafficWorkers } from "../traffic-workers.ts";

/** What runs towards one endpoint of a cluster now, over all workers. */
export interface EndpointFigures {
  readonly activeConnections: number;
  readonly activeRequests: number;
}

/** By cluster and address ("10.0.0.1:80"). */
export type FiguresOf = (cluster: string, address: string) => EndpointFigures;

/**
 * Asks the workers and adds up what they say. Undefined if one of them does not answer within `withinMs`: a sum without
 * it would be wrong.
 */
export async function endpointFigures(
  workers: Pick<TrafficWorkers, "inspectWorkers">,
  withinMs: number,
): Promise<FiguresOf | undefined> {
  const seen = await workers.inspectWorkers(withinMs);
  if (seen.some(({ value }) => value === null)) return undefined;
  const sums = new Map<string, EndpointFigures>();
  for (const { value } of seen) {
    for (const cluster of listAt(fieldOf(value, "serving"), "clusters")) {
      for (const endpoint of listAt(cluster, "endpoints")) {
        const key = `${textAt(cluster, "name")}\n${textAt(endpoint, "address")}`;
        const { activeConnections, activeRequests } = sums.get(key) ?? NOTHING;
        sums.set(key, {
          activeConnections: activeConnections + numberAt(endpoint, "activeConnections"),
          activeRequests: activeRequests + numberAt(endpoint, "activeRequests"),
        });
      }
    }
  }
  return (cluster, address) => sums.get(`${cluster}\n${address}`) ?? NOTHING;
}

const NOTHING: EndpointFigures = { activeConnections: 0, activeRequests: 0 };

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
