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

  it("of Services, routes of other kinds and policies becomes what a captured sidecar accepts: none keeps all others from it", () => {
    const accepted = new Map<string, number>();
    fc.assert(
      fc.property(SERVICE_SPEC, GRPC_SPEC, TLS_SPEC, PEER_SPEC, PODS_SPEC, (service, grpc, tls, peer, pods) => {
        const documents = [
          SERVICE,
          { apiVersion: "v1", kind: "Service", metadata: { name: "b" }, spec: service },
          { apiVersion: `${GATEWAY}/v1`, kind: "GRPCRoute", metadata: { name: "g" }, spec: grpc },
          { apiVersion: `${GATEWAY}/v1`, kind: "TLSRoute", metadata: { name: "t" }, spec: tls },
          { apiVersion: "heddle.dev/v1", kind: "PeerAuthentication", metadata: { name: "p" }, spec: peer },
          { apiVersion: "heddle.dev/v1", kind: "Workload", metadata: { name: "w", labels: { app: "a" } }, spec: pods },
        ];
        const text = documents.map((document) => JSON.stringify(document)).join("\n---\n");
        const { items } = readFileText("f.yaml", text, parseResource);
        for (const { kind } of items) accepted.set(kind, (accepted.get(kind) ?? 0) + 1);
        const snapshots = new Snapshots(TYPES, { trustDomain: "mesh.test" }, "blackhole");
        snapshots.publish(mergeItems(items, new Map()).world);
        const identity = { trustDomain: "mesh.test", path: "/ns/default/sa/default" };
        const { current } = snapshots.watch({ ...NODE, userAgentName: "heddle", identity }, () => {});
        for (const type of Object.values(TYPES)) {
          for (const { bytes } of current?.resources.get(type.typeUrl)?.values() ?? []) {
            const decoded = type.decode(bytes);
            assert.ok(decoded.ok, JSON.stringify([decoded, documents]));
          }
        }
      }),
      { seed: 5, numRuns: 60 },
    );
    for (const kind of ["grpc-route", "tls-route", "peer-authentication", "workload"])
      assert.ok((accepted.get(kind) ?? 0) > 10, `${kind}: ${accepted.get(kind)}`);
  });
});

const GATEWAY = "gateway.networking.k8s.io";

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

/** As `mostly`, and more often than anything else what looks right, and no message to a sidecar holds. */
function orTooMuch(usual: readonly string[], ...tooMuch: readonly string[]): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 12, arbitrary: mostly(...usual) }, { weight: 1, arbitrary: fc.constantFrom(...tooMuch) });
}

function duration(...usual: readonly string[]): fc.Arbitrary<unknown> {
  return orTooMuch(usual, "9999999999999h", "0.0000001ms", "1.0000000001s");
}

const HEADER = optional({ name: mostly("x-a", "X-B"), value: orTooMuch(["v", "100%", "a b"], "x".repeat(16_385)) });
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
      timeouts: optional({ request: duration("1s", "0s", "1h30m"), backendRequest: duration("500ms") }),
      retry: optional({
        codes: fc.array(mostly<number>(500, 429), { maxLength: 2 }),
        attempts: mostly(0, 1, 3),
        backoff: duration("10ms", "0s", "1h"),
      }),
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

const PARENTS = fc.array(
  fc.record({
    group: fc.constant(""),
    kind: fc.constant("Service"),
    name: mostly("a", "b"),
    port: mostly(80, undefined),
  }),
  { minLength: 1, maxLength: 2 },
);
const REFS = fc.array(
  optional({
    name: mostly("a", "b"),
    port: mostly(80),
    weight: mostly(0, 1),
    kind: mostly("Service", "ServiceImport"),
  }),
  { maxLength: 2 },
);
const SERVICE_SPEC = optional({
  type: mostly("ClusterIP", "ExternalName"),
  externalName: mostly("x.example"),
  clusterIP: mostly("10.96.0.1", "None"),
  trafficDistribution: mostly("PreferClose"),
  internalTrafficPolicy: mostly("Local"),
  selector: fc.constant({ app: "a" }),
  ports: fc.array(
    fc.record({
      name: mostly("http", "tcp-db", "x".repeat(63)),
      port: mostly(80, 443, 3306, 15_006),
      targetPort: mostly<number | string>(8080, 15_006, "http"),
    }),
    { minLength: 1, maxLength: 1 },
  ),
});
const METHOD = optional({
  type: mostly("Exact", "RegularExpression"),
  service: mostly("a.B", "a_b"),
  method: mostly("Get"),
});
const GRPC_SPEC = fc.record({
  parentRefs: PARENTS,
  rules: fc.array(
    optional({
      matches: fc.array(optional({ method: METHOD, headers: fc.array(VALUE_MATCH, { maxLength: 1 }) }), {
        maxLength: 2,
      }),
      backendRefs: REFS,
    }),
    { maxLength: 2 },
  ),
});
const TLS_SPEC = fc.record({
  parentRefs: PARENTS,
  hostnames: fc.array(mostly("a.example", "*.example"), { maxLength: 3 }),
  rules: fc.array(optional({ backendRefs: REFS }), { minLength: 1, maxLength: 1 }),
});
const PEER_SPEC = fc.record({
  mtls: fc.record({ mode: mostly("STRICT", "PERMISSIVE", "DISABLE") }),
  selector: fc.constant({ matchLabels: { app: "a" } }),
  portLevelMtls: fc.dictionary(
    fc.constantFrom("8080", "15006", "4711"),
    fc.record({ mode: mostly("STRICT", "DISABLE") }),
    { maxKeys: 2 },
  ),
});
const PODS_SPEC = fc.record({
  addresses: fc.array(mostly("10.0.0.1", "fd00::1"), { minLength: 1, maxLength: 2 }),
  capture: mostly("redirect", "tproxy"),
  ports: fc.array(fc.record({ name: mostly("http"), port: mostly(8080, 15_006) }), { maxLength: 1 }),
});
