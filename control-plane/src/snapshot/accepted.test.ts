import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatDiagnostic } from "@heddle/config";
import { compileRouteConfiguration } from "@heddle/traffic";
import { makeResourceTypes } from "@heddle/xds";
import fc from "fast-check";
import { mergeItems } from "../source/merge.ts";
import { parseResource } from "../source/parse-resource.ts";
import { readFileText } from "../source/read-file.ts";
import { Snapshots } from "./snapshots.ts";

const TYPES = makeResourceTypes({ httpFilters: "unchecked" });

describe("what the readers accept", () => {
  it("becomes resources that a sidecar accepts and can build, whatever the texts in it", () => {
    let accepted = 0;
    fc.assert(
      fc.property(ROUTE_SPEC, WORKLOAD_SPEC, (routeSpec, workloadSpec) => {
        const documents = [
          SERVICE,
          { apiVersion: "gateway.networking.k8s.io/v1", kind: "HTTPRoute", metadata: { name: "r" }, spec: routeSpec },
          {
            apiVersion: "heddle.dev/v1",
            kind: "Workload",
            metadata: { name: "w", labels: { app: "a" } },
            spec: workloadSpec,
          },
        ];
        const text = documents.map((document) => JSON.stringify(document)).join("\n---\n");
        const { items, diagnostics } = readFileText("f.yaml", text, parseResource);
        for (const one of diagnostics) assert.ok(formatDiagnostic(one).startsWith("f.yaml:"));
        if (items.some(({ kind }) => kind === "http-route")) accepted += 1;
        const snapshots = new Snapshots(TYPES);
        snapshots.publish(mergeItems(items, new Map()).world);
        const { current } = snapshots.watch(NODE, () => {});
        for (const type of Object.values(TYPES)) {
          for (const { bytes } of current?.resources.get(type.typeUrl)?.values() ?? []) {
            const decoded = type.decode(bytes);
            assert.ok(decoded.ok, JSON.stringify([decoded, routeSpec, workloadSpec]));
            assert.deepEqual(decoded.value.unhonoured, []);
            if (type === TYPES["route-configuration"]) compileRouteConfiguration(decoded.value.config as never); // its own type, which the loop loses
          }
        }
      }),
      { seed: 5, numRuns: 1500 },
    );
    assert.ok(accepted > 200, `only ${accepted} routes were good enough to be tried`);
  });
});

const SERVICE = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "a" },
  spec: { selector: { app: "a" }, ports: [{ port: 80 }] },
};

/** Mostly what people write, now and then anything. */
function mostly<T>(...usual: readonly T[]): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 80, arbitrary: fc.constantFrom(...usual) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 8 }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        "%",
        "%REQ(a)%",
        "a\r\nb",
        "",
        null,
        0,
        -1,
        true,
        [],
        {},
        "/a//b",
        "(",
        "\\",
        "é",
        "*",
        "Host",
        ":path",
      ),
    },
  );
}

function optional<T extends Record<string, fc.Arbitrary<unknown>>>(fields: T): fc.Arbitrary<object> {
  return fc.record(fields, { requiredKeys: [] });
}

const HEADER = optional({ name: mostly("x-a", "X-B"), value: mostly("v", "100%", "a b") });
const VALUE_MATCH = optional({
  name: mostly("x-a", "q"),
  type: mostly("Exact", "RegularExpression"),
  value: mostly("v", "[a-z]+"),
});
const PATH_CHANGE = fc.oneof(
  fc.record({ type: mostly("ReplaceFullPath"), replaceFullPath: mostly("/x", "/", "/a\\1") }),
  fc.record({ type: mostly("ReplacePrefixMatch"), replacePrefixMatch: mostly("/x", "/", "") }),
);
const CHANGES = optional({
  set: fc.array(HEADER, { maxLength: 2 }),
  add: fc.array(HEADER, { maxLength: 2 }),
  remove: fc.array(mostly("x-c"), { maxLength: 2 }),
});
const HEADER_FILTER = fc.oneof(
  fc.record({ type: mostly("RequestHeaderModifier"), requestHeaderModifier: CHANGES }),
  fc.record({ type: mostly("ResponseHeaderModifier"), responseHeaderModifier: CHANGES }),
);
const FILTER = fc.oneof(
  HEADER_FILTER,
  fc.record({
    type: mostly("RequestRedirect"),
    requestRedirect: optional({
      scheme: mostly("http", "https"),
      hostname: mostly("b.example"),
      port: mostly(80, 8080),
      statusCode: mostly(301, 302),
      path: PATH_CHANGE,
    }),
  }),
  fc.record({ type: mostly("URLRewrite"), urlRewrite: optional({ hostname: mostly("b.example"), path: PATH_CHANGE }) }),
);
const MATCH = optional({
  path: optional({
    type: mostly("Exact", "PathPrefix", "PathPrefix", "RegularExpression"),
    value: mostly("/a", "/", "/a/b/", "/a.*"),
  }),
  method: mostly("GET", "POST"),
  headers: fc.array(VALUE_MATCH, { maxLength: 2 }),
  queryParams: fc.array(VALUE_MATCH, { maxLength: 2 }),
});
const BACKEND = optional({
  name: mostly("a", "b"),
  port: mostly(80),
  weight: mostly(0, 1, 1_000_000),
  filters: fc.array(HEADER_FILTER, { maxLength: 1 }),
});
const ROUTE_SPEC = fc.record({
  parentRefs: fc.constant([{ group: "", kind: "Service", name: "a" }]),
  rules: fc.array(
    optional({
      name: mostly("n"),
      matches: fc.array(MATCH, { maxLength: 2 }),
      filters: fc.array(FILTER, { maxLength: 2 }),
      backendRefs: fc.array(BACKEND, { maxLength: 2 }),
      timeouts: optional({ request: mostly("1s", "0s", "1h30m"), backendRequest: mostly("500ms") }),
    }),
    { minLength: 1, maxLength: 2 },
  ),
});
const WORKLOAD_SPEC = fc.record({
  addresses: fc.array(mostly("127.0.0.1", "::1", "10.0.0.1"), { minLength: 1, maxLength: 2 }),
  ports: fc.array(
    optional({
      name: mostly("http"),
      port: mostly(8080, 8081),
      applicationPort: mostly(9080),
      protocol: mostly("http"),
    }),
    { maxLength: 2 },
  ),
  accessLog: mostly("off", "json", "text"),
  outboundPort: mostly(15_001),
});

const NODE = {
  id: "default/w/a",
  cluster: "w",
  metadata: { heddle: {} },
  locality: { region: "", zone: "", subZone: "" },
  userAgentName: "test",
  userAgentVersion: "",
  clientFeatures: [],
};
