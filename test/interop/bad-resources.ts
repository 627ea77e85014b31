import { edsCluster, rds } from "../harness/control-plane.ts";
import { type Json, listener, socketAddress } from "../harness/envoy-config.ts";
import type { FOREIGN_KINDS } from "../harness/foreign-control-plane.ts";

/** Of each type a resource with several faults, and how each of them is told. */
export const BAD_RESOURCES: readonly {
  readonly kind: (typeof FOREIGN_KINDS)[number];
  readonly of: (name: string) => Json;
  readonly reasons: readonly RegExp[];
}[] = [
  {
    kind: "cluster",
    of: (name) => edsCluster(name, { lb_policy: "CLUSTER_PROVIDED", connect_timeout: "0s" }),
    reasons: [/"first".*lb_policy/, /"first".*connect_timeout/],
  },
  {
    kind: "endpoints",
    of: (name) => ({
      cluster_name: name,
      endpoints: [
        { priority: 200, lb_endpoints: [{ endpoint: { address: socketAddress(70_000) } }] },
        { lb_endpoints: [{ endpoint: { address: socketAddress(1) }, load_balancing_weight: { value: 0 } }] },
      ],
    }),
    reasons: [/"first".*priority/, /port_value/, /load_balancing_weight/],
  },
  {
    kind: "listener",
    of: (name) =>
      listener({
        name,
        routes: rds("all"),
        http: { stat_prefix: "" },
        filters: [{ name: "unheard-of", typed_config: { type_url: "type.googleapis.com/nobody.Knows", value: "" } }],
      }),
    reasons: [/"in".*stat_prefix/, /http_filters\[0\].*nobody\.Knows/],
  },
  {
    kind: "routes",
    of: (name) => ({
      name,
      virtual_hosts: [
        {
          name: "one",
          domains: ["a"],
          routes: [{ match: { safe_regex: { regex: "(" } }, route: { cluster: "first" } }],
        },
        { name: "two", domains: ["a"], routes: [{ match: { prefix: "/" } }] },
      ],
    }),
    reasons: [/"all".*regex/, /domains/],
  },
];
