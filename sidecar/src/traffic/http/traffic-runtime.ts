import type { RouteTable } from "@heddle/traffic";
import type { Cluster } from "../upstream/cluster.ts";

/** What an exchange reads once, at its head, and keeps to its end. */
export interface TrafficRuntime {
  readonly routeTables: ReadonlyMap<string, RouteTable>;
  readonly clusters: ReadonlyMap<string, Cluster>;
}
