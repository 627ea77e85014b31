import { inSlices } from "@heddle/telemetry/admin";
import type { EndpointRow } from "../../traffic/upstream/endpoint-row.ts";
import type { TrafficWorkers } from "../traffic-workers.ts";

/** What went towards one endpoint of a cluster, over all workers, in the order of `FIGURES`. */
export type EndpointFigures = readonly number[];

export interface Figures {
  /** By cluster and address ("10.0.0.1:80"). */
  of(cluster: string, address: string): EndpointFigures;
  /** Of the endpoints that some worker has, sorted; of those that no configuration has alone. */
  addressesOf(cluster: string): readonly string[];
}

/** `envoy.admin.v3.HostStatus.stats`, in Envoy's order, which is that of `ROW_FIGURES`. */
export const FIGURES = [
  { name: "cx_active", type: "GAUGE" },
  { name: "cx_connect_fail", type: "COUNTER" },
  { name: "cx_total", type: "COUNTER" },
  { name: "rq_active", type: "GAUGE" },
  { name: "rq_error", type: "COUNTER" },
  { name: "rq_success", type: "COUNTER" },
  { name: "rq_timeout", type: "COUNTER" },
  { name: "rq_total", type: "COUNTER" },
] as const;

const NOTHING: EndpointFigures = FIGURES.map(() => 0);

/**
 * Asks the workers and adds up what they say. Undefined if one of them does not answer within `withinMs`: a sum without
 * it would be wrong.
 */
export async function endpointFigures(
  workers: Pick<TrafficWorkers, "inspectWorkers">,
  withinMs: number,
): Promise<Figures | undefined> {
  const seen = await workers.inspectWorkers(withinMs, "endpoints");
  if (seen.some(({ value }) => value === null)) return undefined;
  const sums = new Map<string, Map<string, number[]>>();
  for (const { value } of seen) {
    const rows = value as unknown as readonly EndpointRow[]; // a worker answers "endpoints" with nothing else
    await inSlices(rows.values(), ([cluster, address, ...figures]) => {
      let ofCluster = sums.get(cluster);
      if (ofCluster === undefined) {
        ofCluster = new Map();
        sums.set(cluster, ofCluster);
      }
      const sum = ofCluster.get(address);
      if (sum === undefined) ofCluster.set(address, figures);
      else for (const [index, figure] of figures.entries()) sum[index]! += figure;
      return true;
    });
  }
  return {
    of: (cluster, address) => sums.get(cluster)?.get(address) ?? NOTHING,
    addressesOf: (cluster) => [...(sums.get(cluster)?.keys() ?? [])].sort(),
  };
}
