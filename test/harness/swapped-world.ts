import { edsCluster, rds, type World } from "./control-plane.ts";
import { type Json, listener, loadAssignment, virtualHost } from "./envoy-config.ts";
import { eventually } from "./eventually.ts";
import type { RunningLoad } from "./load.ts";

/** One listener, "in", whose route configuration, "all", sends everything to one of several clusters. */
export interface WorldWish {
  /** The cluster that everything goes to. */
  readonly to: string;
  /** By cluster. */
  readonly endpoints: Readonly<Record<string, readonly { readonly port: number }[]>>;
  /** More fields of each cluster. */
  readonly cluster?: Json;
  /** Of the connection manager. */
  readonly http?: Json;
}

export function swappedWorld({ to, endpoints, cluster = {}, http = {} }: WorldWish): World {
  return {
    listeners: [listener({ name: "in", routes: rds("all"), http })],
    routes: [{ name: "all", virtual_hosts: [virtualHost("*", to)] }],
    clusters: Object.keys(endpoints).map((name) => edsCluster(name, cluster)),
    endpoints: Object.entries(endpoints).map(([name, upstreams]) =>
      loadAssignment(
        name,
        upstreams.map(({ port }) => port),
      ),
    ),
  };
}

export async function answersAre(load: RunningLoad, body: string, withinMs?: number): Promise<void> {
  const all = (): boolean => {
    const last = load.recent.slice(-40);
    return last.length === 40 && last.every((text) => text === body);
  };
  await eventually(`the answers are ${body}`, all, withinMs);
}

/** New connections are answered by the connection manager that has that `server_name`. */
export async function serverIs(url: string, name: string): Promise<void> {
  await eventually(`${name} answers`, async () => {
    const response = await fetch(url, { headers: { connection: "close" } });
    await response.text();
    return response.headers.get("server") === name;
  });
}
