import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import type { Json } from "@heddle/base";
import type { TlsInfo } from "@heddle/net";
import type { ListenerConfig } from "@heddle/traffic";
import { networkFilters } from "../build/network-filters.ts";
import { Harness, MemoryConnection } from "../http/testing-harness.ts";
import type { ConnectionEnd } from "../network/network-filter.ts";
import { networkRbacType } from "./rbac-types.ts";

const allow = (principal: Json): Json => ({
  statPrefix: "tcp",
  rules: { policies: { p: { permissions: [{ any: true }], principals: [principal] } } },
});
const HERE = { directRemoteIp: { addressPrefix: "192.0.2.0", prefixLen: 24 } };
const ELSEWHERE = { directRemoteIp: { addressPrefix: "198.51.100.0", prefixLen: 24 } };

let harness: Harness;
let ends: (ConnectionEnd | undefined)[];

beforeEach(() => {
  harness = new Harness();
  ends = [];
});

const count = (name: string): number => harness.metrics.values.get(name) ?? 0;

/** A client of an echo behind that filter. */
function connect(config: Json, tls?: TlsInfo): MemoryConnection {
  const rbac = {
    type: "extension",
    name: "rbac",
    config: { name: "rbac", type: networkRbacType.configType, config },
  } as const;
  const chain = {
    name: "",
    match: undefined,
    filters: [rbac, { type: "echo", name: "echo" } as const],
    transportSocketConnectTimeoutMs: 0,
  };
  const filter = networkFilters(harness.env, () => undefined as ListenerConfig | undefined)(chain, "l");
  const client = new MemoryConnection();
  const { id, remoteAddress, remotePort, localAddress, localPort } = client;
  const addresses = { remoteAddress, remotePort, localAddress, localPort, directRemoteAddress: remoteAddress };
  const info = { ...addresses, connectionId: id, listener: "l", filterChain: "", ...(tls && { tls }) };
  filter.serve(client, info, (end) => ends.push(end));
  client.send("hello");
  while (client.turn());
  return client;
}

describe("the network RBAC filter", () => {
  test("lets pass whom a policy allows", () => {
    assert.equal(connect(allow(HERE)).take(), "hello");
    assert.equal(count("rbac.allowed"), 1);
  });

  test("closes unread what none allows, and says so in the listener's log", () => {
    const client = connect(allow(ELSEWHERE));
    assert.deepEqual([client.closed, client.bytesRead, client.take()], [true, 0, ""]);
    assert.equal(ends[0]?.terminationDetails, "rbac_access_denied_matched_policy[none]");
    assert.deepEqual(Object.fromEntries(ends[0].downstream.metadata?.get("envoy.filters.network.rbac") ?? []), {
      enforced_effective_policy_id: "none",
      enforced_engine_result: "denied",
    });
    assert.equal(count("rbac.denied"), 1);
  });

  test("says beforehand whom it would deny, and counts nobody then", () => {
    const context = { name: "rbac", listener: "l", env: harness.env } as const;
    const foresees = (principal: Json): boolean | undefined => {
      const read = networkRbacType.parse(allow(principal));
      assert.ok(read.ok);
      const { id: connectionId, remoteAddress, remotePort, localAddress, localPort } = new MemoryConnection();
      const where = { directRemoteAddress: remoteAddress, remoteAddress, remotePort, localAddress, localPort };
      const info = { ...where, connectionId, listener: "l", filterChain: "" };
      return networkRbacType.create(read.value, context).foresees?.(info);
    };
    assert.deepEqual([foresees(HERE), foresees(ELSEWHERE)], [true, false]);
    assert.deepEqual([count("rbac.allowed"), count("rbac.denied")], [0, 0]);
  });

  test("keeps a denied connection for delay_deny", () => {
    const client = connect({ ...(allow(ELSEWHERE) as object), delayDeny: "0.250s" });
    assert.equal(client.closed, false);
    harness.clock.advance(300);
    assert.equal(client.closed, true);
    assert.equal(client.bytesRead, 0);
  });

  test("tries shadow rules, whose outcome stands in the metadata", () => {
    const { rules } = allow(ELSEWHERE) as { rules: Json };
    const client = connect({ statPrefix: "tcp", shadowRules: rules, shadowRulesStatPrefix: "new_" });
    assert.equal(client.take(), "hello");
    client.break();
    while (client.turn());
    assert.deepEqual(Object.fromEntries(ends[0]?.downstream.metadata?.get("envoy.filters.network.rbac") ?? []), {
      new_shadow_engine_result: "denied",
    });
    assert.equal(count("rbac.new_.shadow_denied"), 1);
  });

  test("asks with each read where it is to go on asking", () => {
    const client = connect({ ...(allow(HERE) as object), enforcementType: "CONTINUOUS" });
    client.send("again");
    while (client.turn());
    assert.equal(client.take(), "helloagain");
    assert.equal(count("rbac.allowed"), 3);
  });

  test("knows the peer by its certificate, if somebody vouches for it", () => {
    const principal = { authenticated: { principalName: { exact: "spiffe://td/a" } } };
    const peer = { uriSans: ["spiffe://td/a"], dnsSans: [], subject: "" };
    const by = (peerVerified: boolean): boolean =>
      connect(allow(principal), { peer, peerVerified } as unknown as TlsInfo).closed;
    assert.deepEqual([by(true), by(false)], [false, true]);
  });

  test("refuses what a connection does not have: headers, a path, a query", () => {
    const header = { header: { name: "x", presentMatch: true } };
    const read = networkRbacType.parse({
      statPrefix: "s",
      rules: {
        policies: { p: { permissions: [header, { urlPath: { path: { exact: "/" } } }], principals: [header] } },
      },
      shadowMatcher: {
        matcherTree: {
          input: {
            name: "i",
            typedConfig: { "@type": "t/envoy.type.matcher.v3.HttpRequestHeaderMatchInput", headerName: "x" },
          },
          exactMatchMap: { map: { a: { matcher: {} } } },
        },
      },
    });
    assert.ok(!read.ok);
    assert.equal(read.error.length, 4);
    const nameless = networkRbacType.parse({});
    assert.ok(!nameless.ok);
    assert.deepEqual(
      nameless.error.map(({ path }) => path),
      ["statPrefix"],
    );
  });
});
