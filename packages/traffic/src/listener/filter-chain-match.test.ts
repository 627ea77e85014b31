import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseIp } from "@heddle/base";
import { type ConnectionToMatch, compileFilterChainMatch, type FilterChainTable } from "./filter-chain-match.ts";
import type { FilterChainMatch } from "./listener-config.ts";

const EVERYTHING: FilterChainMatch = {
  destinationPort: undefined,
  prefixRanges: [],
  directSourcePrefixRanges: [],
  sourceType: "ANY",
  sourcePrefixRanges: [],
  sourcePorts: [],
  serverNames: [],
  transportProtocol: "",
  applicationProtocols: [],
};

type Chains = Readonly<Record<string, Partial<FilterChainMatch>>>;

function compile(chains: Chains, defaultChain?: string) {
  return compileFilterChainMatch(
    Object.entries(chains).map(([name, match]) => ({ name, match: { ...EVERYTHING, ...match }, chain: name })),
    defaultChain,
  );
}

function table(chains: Chains, defaultChain?: string): FilterChainTable<string> {
  const result = compile(chains, defaultChain);
  assert.ok(result.ok, result.ok ? "" : result.error.join("\n"));
  return result.value;
}

function connection(overrides: Partial<Record<keyof ConnectionToMatch, unknown>> = {}): ConnectionToMatch {
  const ip = (value: unknown): unknown => (typeof value === "string" ? parseIp(value) : value);
  const {
    destinationAddress = "10.0.0.1",
    sourceAddress = "192.0.2.7",
    directSourceAddress = sourceAddress,
  } = overrides;
  return {
    destinationPort: 80,
    serverName: "",
    transportProtocol: "raw_buffer",
    applicationProtocols: [],
    sourcePort: 40_000,
    ...overrides,
    destinationAddress: ip(destinationAddress),
    sourceAddress: ip(sourceAddress),
    directSourceAddress: ip(directSourceAddress),
  } as ConnectionToMatch;
}

describe("filter chain match", () => {
  it("takes the chain that asks for nothing, and the default where there is no other", () => {
    assert.equal(table({ any: {} }).find(connection()), "any");
    assert.equal(table({}, "default").find(connection()), "default");
    assert.equal(table({ p: { destinationPort: 443 } }, "default").find(connection()), "default");
    assert.equal(table({ p: { destinationPort: 443 } }).find(connection()), undefined);
  });

  it("prefers the most specific range, name and protocol", () => {
    const chains = table({
      net: { prefixRanges: ["10.0.0.0/8"] },
      host: { prefixRanges: ["10.0.0.1/32"] },
      any: {},
    });
    assert.equal(chains.find(connection({ destinationAddress: "10.0.0.1" })), "host");
    assert.equal(chains.find(connection({ destinationAddress: "10.9.9.9" })), "net");
    assert.equal(chains.find(connection({ destinationAddress: "::ffff:10.9.9.9" })), "net");
    assert.equal(chains.find(connection({ destinationAddress: "11.0.0.1" })), "any");

    const names = table({
      exact: { serverNames: ["www.example.com"] },
      near: { serverNames: ["*.b.example.com"] },
      far: { serverNames: ["*.example.com"] },
      none: {},
    });
    for (const [serverName, chain] of [
      ["www.example.com", "exact"],
      ["a.b.example.com", "near"],
      ["x.a.b.example.com", "near"],
      ["b.example.com", "far"],
      ["example.com", "none"],
      ["", "none"],
    ]) {
      assert.equal(names.find(connection({ serverName })), chain, serverName);
    }
  });

  it("never goes back: who is out by an earlier criterion stays out", () => {
    const chains = table(
      {
        "by name": { serverNames: ["www.example.com"], transportProtocol: "tls", sourcePorts: [1] },
        "by port": { transportProtocol: "tls" },
      },
      "default",
    );
    const client = { serverName: "www.example.com", transportProtocol: "tls" };
    assert.equal(chains.find(connection({ ...client, sourcePort: 1 })), "by name");
    assert.equal(chains.find(connection({ ...client, sourcePort: 2 })), "default");
    assert.equal(chains.find(connection({ transportProtocol: "tls" })), "by port");
  });

  it("asks the destination port first, although a range may be more specific", () => {
    const chains = table({ port: { destinationPort: 80 }, range: { prefixRanges: ["10.0.0.1/32"] } });
    assert.equal(chains.find(connection()), "port");
    assert.equal(chains.find(connection({ destinationPort: 81 })), "range");
  });

  it("takes application protocols in the client's order", () => {
    const chains = table({ h2: { applicationProtocols: ["h2"] }, h1: { applicationProtocols: ["http/1.1"] }, any: {} });
    assert.equal(chains.find(connection({ applicationProtocols: ["http/1.1", "h2"] })), "h1");
    assert.equal(chains.find(connection({ applicationProtocols: ["x", "h2"] })), "h2");
    assert.equal(chains.find(connection({ applicationProtocols: ["x"] })), "any");
  });

  it("tells local from external sources, and direct from told ones", () => {
    const types = table({
      local: { sourceType: "SAME_IP_OR_LOOPBACK" },
      external: { sourceType: "EXTERNAL" },
    });
    assert.equal(types.find(connection({ sourceAddress: "127.0.0.1" })), "local");
    assert.equal(types.find(connection({ sourceAddress: "10.0.0.1" })), "local", "the same address");
    assert.equal(types.find(connection()), "external");

    const direct = table({ proxied: { directSourcePrefixRanges: ["198.51.100.0/24"] }, any: {} });
    assert.equal(direct.find(connection({ directSourceAddress: "198.51.100.1" })), "proxied");
    assert.equal(direct.find(connection({ sourceAddress: "198.51.100.1", directSourceAddress: "203.0.113.1" })), "any");
  });

  it("serves Unix sockets by chains that ask for no address", () => {
    const chains = table({ ranged: { prefixRanges: ["0.0.0.0/0"] }, any: {} });
    const unix: ConnectionToMatch = {
      ...connection(),
      destinationAddress: undefined,
      destinationPort: undefined,
      sourceAddress: undefined,
      sourcePort: undefined,
      directSourceAddress: undefined,
    };
    assert.equal(chains.find(unix), "any");
  });

  it("refuses two chains with the same match, naming both, however ranges and names are written", () => {
    for (const [a, b] of [
      [{}, {}],
      [{ prefixRanges: ["10.1.0.0/8"] }, { prefixRanges: ["10.0.0.0/8"] }],
      [{ serverNames: ["a.com", "b.com"] }, { serverNames: ["B.com"] }],
      [{ sourcePorts: [1, 2] }, { sourcePorts: [2, 3] }],
    ] as const) {
      const result = compile({ first: a, second: b });
      assert.ok(!result.ok);
      assert.deepEqual(result.error, [
        'filter chains "first" and "second" have the same match; only one can be chosen',
      ]);
    }
    const nameless = compileFilterChainMatch(
      [1, 2].map((chain) => ({ name: "", match: undefined, chain })),
      undefined,
    );
    assert.ok(!nameless.ok && nameless.error[0]!.includes('"#0" and "#1"'));
    assert.ok(compile({ first: { serverNames: ["a.com", "a.com"] } }).ok, "a chain does not collide with itself");
  });

  it("refuses ranges that are none, all of them at once", () => {
    const result = compile({ c: { prefixRanges: ["10.0.0.0/40"], sourcePrefixRanges: ["x"] } });
    assert.ok(!result.ok);
    assert.equal(result.error.length, 2);
    assert.match(result.error[0]!, /filter chain "c": prefix_ranges: .*10\.0\.0\.0\/40/);
  });
});
