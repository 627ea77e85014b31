import assert from "node:assert/strict";
import { test } from "node:test";
import { endpointsType } from "./endpoints.ts";
import { accept, errorsOf, reportsOf } from "./testing.ts";

function at(address: string, port_value = 80): object {
  return { address: { socket_address: { address, port_value } } };
}

test("every honoured field is read", () => {
  const config = accept(endpointsType, {
    cluster_name: "stock",
    endpoints: [
      {
        locality: { region: "eu", zone: "a", sub_zone: "rack" },
        load_balancing_weight: 3,
        priority: 1,
        lb_endpoints: [
          {
            endpoint: { ...at("10.0.0.1"), hostname: "stock-1" },
            health_status: "DRAINING",
            load_balancing_weight: 7,
            metadata: { filter_metadata: { heddle: { h2: true }, "envoy.lb": { version: "v2" } } },
          },
          { endpoint: { address: { pipe: { path: "/run/x", mode: 0o600 } } } },
        ],
      },
      { lb_endpoints: [{ endpoint: at("::1", 8080) }] },
    ],
    policy: {
      overprovisioning_factor: 200,
      drop_overloads: [{ category: "lb", drop_percentage: { numerator: 5, denominator: "TEN_THOUSAND" } }],
    },
  });
  assert.deepEqual(config, {
    clusterName: "stock",
    localities: [
      {
        locality: { region: "eu", zone: "a", subZone: "rack" },
        loadBalancingWeight: 3,
        priority: 1,
        endpoints: [
          {
            address: { type: "socket", address: "10.0.0.1", port: 80 },
            hostname: "stock-1",
            healthStatus: "DRAINING",
            loadBalancingWeight: 7,
            metadata: { "envoy.lb": { version: "v2" }, heddle: { h2: true } },
          },
          {
            address: { type: "pipe", path: "/run/x", mode: 0o600 },
            hostname: "",
            healthStatus: "UNKNOWN",
            loadBalancingWeight: 1,
            metadata: {},
          },
        ],
      },
      {
        locality: { region: "", zone: "", subZone: "" },
        loadBalancingWeight: undefined,
        priority: 0,
        endpoints: [
          {
            address: { type: "socket", address: "::1", port: 8080 },
            hostname: "",
            healthStatus: "UNKNOWN",
            loadBalancingWeight: 1,
            metadata: {},
          },
        ],
      },
    ],
    overprovisioningFactorPercent: 200,
    dropOverloads: [{ category: "lb", numerator: 5, denominator: 10_000 }],
  });
});

test("an assignment without endpoints is one", () => {
  assert.deepEqual(accept(endpointsType, { cluster_name: "stock" }), {
    clusterName: "stock",
    localities: [],
    overprovisioningFactorPercent: 140,
    dropOverloads: [],
  });
});

test("every reason for refusing endpoints is named", () => {
  const errors = errorsOf(endpointsType, {
    cluster_name: "stock",
    endpoints: [
      {
        priority: 200,
        lb_endpoints: [
          { endpoint: at("stock.example") },
          { endpoint: {} },
          {},
          { endpoint_name: "x" },
          { endpoint: { address: { socket_address: { address: "10.0.0.1", named_port: "http" } } } },
          { endpoint: at("10.0.0.2"), load_balancing_weight: 0 },
        ],
      },
    ],
  });
  assert.deepEqual([...errors].sort(), [
    'endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: found "stock.example", allowed is an IP address',
    "endpoints[0].lb_endpoints[1].endpoint.address: must be set",
    "endpoints[0].lb_endpoints[2].endpoint: must be set",
    "endpoints[0].lb_endpoints[3].endpoint: must be set",
    "endpoints[0].lb_endpoints[3].endpoint_name: endpoints have to stand in their localities",
    "endpoints[0].lb_endpoints[4].endpoint.address.socket_address.named_port: a port has to be a number",
    "endpoints[0].lb_endpoints[5].load_balancing_weight: found 0, allowed is at least 1",
    "endpoints[0].priority: found 200, allowed is at most 128",
  ]);
});

test("what is accepted without effect is reported by path", () => {
  assert.deepEqual(
    reportsOf(endpointsType, {
      cluster_name: "stock",
      endpoints: [
        { proximity: 3, lb_endpoints: [{ endpoint: { ...at("10.0.0.1"), health_check_config: { port_value: 81 } } }] },
      ],
      policy: { weighted_priority_health: true },
    }),
    [
      "endpoints[0].lb_endpoints[0].endpoint.health_check_config",
      "endpoints[0].proximity",
      "policy.weighted_priority_health",
    ],
  );
});

test("the metadata of endpoints is kept, and what nobody reads reported once however many have it", () => {
  const metadata = { filter_metadata: { a: { b: 1 }, heddle: { h2: true } } };
  const lb_endpoints = ["10.0.0.1", "10.0.0.2"].map((ip) => ({ endpoint: at(ip), metadata }));
  const assignment = { cluster_name: "stock", endpoints: [{ lb_endpoints }] };
  assert.deepEqual(reportsOf(endpointsType, assignment), [
    'endpoints[0].lb_endpoints[0].metadata.filter_metadata["a"]',
  ]);
  const { localities } = accept(endpointsType, assignment);
  assert.deepEqual(
    localities[0]?.endpoints.map((endpoint) => endpoint.metadata),
    Array(2).fill({ a: { b: 1 }, heddle: { h2: true } }),
  );
});
