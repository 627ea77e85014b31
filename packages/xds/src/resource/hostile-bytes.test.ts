import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { makeResourceTypes } from "./resource-types.ts";
import { bytesOf, MANAGER, MODULE, ROUTER } from "./testing.ts";

/* Whatever bytes a control plane sends, decoding gives a value: a configuration that is plain JSON, or reasons. */

const types = Object.values(makeResourceTypes({ httpFilters: "unchecked" }));
const [listener, routes, cluster, endpoints] = types;
const address = { socket_address: { address: "10.0.0.1", port_value: 80 } };

const virtual_hosts = [
  {
    name: "h",
    domains: ["*"],
    routes: [
      {
        match: { prefix: "/", headers: [{ name: "x", string_match: { safe_regex: { regex: "a+" } } }] },
        route: { weighted_clusters: { clusters: [{ name: "a", weight: 1 }] }, timeout: "3s" },
        typed_per_filter_config: { m: { "@type": MODULE, module_path: "a.ts", config: { a: [1, { b: null }] } } },
      },
    ],
  },
];
const manager = {
  "@type": MANAGER,
  stat_prefix: "s",
  route_config: { virtual_hosts },
  http_filters: [{ name: "r", typed_config: { "@type": ROUTER } }],
};

const seeds = [
  bytesOf(listener as never, {
    name: "l",
    address,
    filter_chains: [{ filters: [{ name: "h", typed_config: manager }] }],
  }),
  bytesOf(routes as never, { name: "r", virtual_hosts }),
  bytesOf(cluster as never, {
    name: "c",
    load_assignment: { cluster_name: "c", endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  }),
  bytesOf(endpoints as never, {
    cluster_name: "c",
    endpoints: [{ priority: 1, lb_endpoints: [{ endpoint: { address } }] }],
  }),
];

function decodeWithAll(bytes: Uint8Array): void {
  for (const type of types) {
    const decoded = type.decode(bytes);
    if (decoded.ok) assert.doesNotThrow(() => JSON.stringify(decoded.value.config));
    else assert.ok(decoded.error.length > 0);
  }
}

test("random bytes are refused or read", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decodeWithAll), { numRuns: 300, seed: 1 });
});

test("resources with a few bytes changed, cut or doubled are refused or read", () => {
  const damage = fc.record({
    seed: fc.constantFrom(...seeds),
    changes: fc.array(fc.tuple(fc.nat({ max: 10_000 }), fc.nat({ max: 255 })), { maxLength: 4 }),
    end: fc.nat({ max: 10_000 }),
    twice: fc.boolean(),
  });
  fc.assert(
    fc.property(damage, ({ seed, changes, end, twice }) => {
      const bytes = Buffer.from(twice ? Buffer.concat([seed, seed]) : seed);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      decodeWithAll(end % 3 === 0 ? bytes.subarray(0, end % bytes.length) : bytes);
    }),
    { numRuns: 500, seed: 2 },
  );
});

test("a message nested without end is refused", () => {
  // Listener.filter_chain_matcher > on_no_match > matcher > on_no_match …, 2,000 levels of fields with their lengths
  let bytes: Buffer = Buffer.alloc(0);
  for (let depth = 0; depth < 2000; depth++)
    bytes = Buffer.concat([varintTag(depth % 2 === 0 ? 1 : 3, bytes.length), bytes]);
  const matcher = Buffer.concat([varintTag(32, bytes.length), bytes]);
  const decoded = listener?.decode(matcher);
  assert.ok(decoded?.ok === false);
  assert.match(decoded.error[0] ?? "", /max depth exceeded/);
});

/** Tag and length of a length-delimited field. */
function varintTag(field: number, length: number): Buffer {
  const out: number[] = [];
  for (const start of [field * 8 + 2, length]) {
    let rest = start;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80);
    out.push(rest);
  }
  return Buffer.from(out);
}
