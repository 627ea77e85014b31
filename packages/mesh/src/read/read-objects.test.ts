import assert from "node:assert/strict";
import { test } from "node:test";
import { type Diagnostic, formatDiagnostic, parseYamlDocuments } from "@heddle/config";
import type { MeshObject } from "../model/mesh.ts";
import { readObjects } from "./read-objects.ts";

test("reads a Service: ports, targets and protocols", () => {
  const { object, diagnostics } = read(`
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop, labels: { team: a } }
spec:
  type: ClusterIP
  selector: { app: orders }
  ports:
    - { name: http, port: 80, targetPort: web }
    - { name: grpc-api, port: 9000, targetPort: 9001 }
    - { name: metrics, port: 9100, appProtocol: kubernetes.io/h2c }
`);
  assert.deepEqual(diagnostics, []);
  assert.equal(object?.kind, "service");
  assert.deepEqual(object?.kind === "service" && [object.namespace, object.name, object.selector, object.ports], [
    "shop",
    "orders",
    { app: "orders" },
    [
      { name: "http", port: 80, protocol: "http", detect: false, target: { type: "name", name: "web" } },
      { name: "grpc-api", port: 9000, protocol: "http2", detect: false, target: { type: "number", number: 9001 } },
      { name: "metrics", port: 9100, protocol: "http2", detect: false, target: { type: "unset" } },
    ],
  ]);
});

test("reads a Service's addresses of both families, a headless one, and what nobody says of a port's protocol", () => {
  const both = read(`
apiVersion: v1
kind: Service
metadata: { name: orders }
spec:
  { clusterIP: 10.0.0.7, clusterIPs: [10.0.0.7, "fd00::7"], ipFamilies: [IPv4, IPv6], ports: [{ name: web, port: 80 }] }
`);
  assert.deepEqual(both.diagnostics, []);
  assert.ok(both.object?.kind === "service");
  assert.deepEqual(both.object.clusterIps, ["10.0.0.7", "fd00::7"]);
  assert.deepEqual(both.object.ipFamilies, ["IPv4", "IPv6"]);
  assert.deepEqual([both.object.headless, both.object.ports[0]?.detect], [false, true]);

  const headless = read(`{ apiVersion: v1, kind: Service, metadata: { name: db }, spec: { clusterIP: None } }`);
  assert.ok(headless.object?.kind === "service");
  assert.deepEqual([headless.object.headless, headless.object.clusterIps], [true, []]);
});

test("reads whom a Service prefers, and whom each endpoint of a slice is for", () => {
  const said = (spec: string): readonly unknown[] => {
    const { object, diagnostics } = read(`{ apiVersion: v1, kind: Service, metadata: { name: a }, spec: { ${spec} } }`);
    assert.ok(object?.kind === "service");
    return [object.prefers, object.isNodeLocal, diagnostics.map(({ path }) => path).join()];
  };
  for (const [distribution, prefers] of [
    ["PreferClose", "same-zone"],
    ["PreferSameZone", "same-zone"],
    ["PreferSameNode", "same-node"],
  ])
    assert.deepEqual(said(`trafficDistribution: ${distribution}`), [prefers, undefined, ""]);
  assert.deepEqual(said("trafficDistribution: PreferMoon"), [undefined, undefined, "spec.trafficDistribution"]);
  assert.deepEqual(said("internalTrafficPolicy: Local"), [undefined, true, ""]);
  assert.deepEqual(said("internalTrafficPolicy: Cluster"), [undefined, undefined, ""]);
  const { object } = read(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: a, labels: { kubernetes.io/service-name: a } }
addressType: IPv4
endpoints:
  - { addresses: [10.0.0.1], hints: { forZones: [{ name: a }, { name: b }], forNodes: [{ name: n }] } }
  - { addresses: [10.0.0.2], hints: { forZones: [] } }
  - { addresses: [10.0.0.3] }
`);
  assert.ok(object?.kind === "endpoint-slice");
  assert.deepEqual(
    object.endpoints.map(({ hints }) => hints),
    [{ zones: ["a", "b"], nodes: ["n"] }, undefined, undefined],
  );
});

test("an ExternalName is a DNS name of somebody else, never this machine", () => {
  const external = (name: string) =>
    read(
      `{ apiVersion: v1, kind: Service, metadata: { name: x }, spec: { type: ExternalName, externalName: ${name} } }`,
    );
  const good = external("Api.Example.com.");
  assert.deepEqual(good.diagnostics, []);
  assert.equal(good.object?.kind === "service" && good.object.externalName, "api.example.com");
  for (const name of ["localhost", "db.localhost", "127.0.0.1", '"::1"', "10.0.0.7"]) {
    const { object, diagnostics } = external(name);
    assert.equal(object?.kind === "service" && object.externalName, undefined, name);
    assert.match(
      diagnostics.map(formatDiagnostic).join(),
      /spec\.externalName: ".*" has no effect: allowed is a DNS name/,
    );
  }
});

test("reads an EndpointSlice: what it does not say is as for kube-proxy", () => {
  const { object, diagnostics } = read(`
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: orders-x7, namespace: shop, labels: { kubernetes.io/service-name: orders } }
addressType: IPv4
ports: [{ name: http, port: 8080 }, { name: dns, port: 53, protocol: UDP }, { name: rpc, port: 9000, appProtocol: grpc }]
endpoints:
  - { addresses: [10.1.0.1], targetRef: { kind: Pod, name: orders-7d4b, namespace: shop }, nodeName: n1, zone: eu-1 }
  - { addresses: [10.1.0.2], conditions: { ready: false, serving: true, terminating: true }, hostname: orders-1 }
`);
  assert.deepEqual(diagnostics, []);
  assert.ok(object?.kind === "endpoint-slice");
  assert.deepEqual(
    [object.namespace, object.name, object.service, object.family],
    ["shop", "orders-x7", "orders", "IPv4"],
  );
  assert.deepEqual(object.ports, [
    { name: "http", port: 8080, protocol: undefined },
    { name: "rpc", port: 9000, protocol: "http2" },
  ]);
  assert.deepEqual(object.endpoints, [
    {
      addresses: ["10.1.0.1"],
      ready: true,
      serving: true,
      terminating: false,
      pod: "orders-7d4b",
      node: "n1",
      hostname: "",
      locality: { region: "", zone: "eu-1", subZone: "" },
    },
    {
      addresses: ["10.1.0.2"],
      ready: false,
      serving: true,
      terminating: true,
      pod: undefined,
      node: "",
      hostname: "orders-1",
      locality: { region: "", zone: "", subZone: "" },
    },
  ]);
});

test("what is wrong with an EndpointSlice is said; one of no Service, or of names, is of no use", () => {
  const slice = (more: string, labels = "{ kubernetes.io/service-name: a }") =>
    read(`{ apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: { name: a, labels: ${labels} }, ${more} }`);
  assert.match(slice("endpoints: []").diagnostics.map(formatDiagnostic).join(), /addressType: is missing/);
  const family = slice('addressType: IPv4, endpoints: [{ addresses: ["fd00::1"] }, { addresses: [] }]');
  assert.match(
    family.diagnostics.map(formatDiagnostic).join(),
    /addresses\[0\]: found "fd00::1", allowed: an IPv4 address/,
  );
  assert.match(family.diagnostics.map(formatDiagnostic).join(), /endpoints\[1\]\.addresses: is missing/);
  assert.equal(family.object, undefined);
  assert.deepEqual(slice("addressType: IPv4", "{}"), { object: undefined, diagnostics: [] });
  assert.match(
    slice("addressType: FQDN, endpoints: []").diagnostics.map(formatDiagnostic).join(),
    /FQDN has no effect/,
  );
});

test("what is wrong with a Service is said all at once, each with its place", () => {
  faults(
    `
apiVersion: v1
kind: Service
metadata:
  name: Orders_1
spec:
  selectors: { app: orders }
  ports:
    - port: 70000
    - { name: a, port: 80 }
    - { name: a, port: 80, protocol: ICMP }
    - { name: b, port: 81, protocol: UDP }
    - { name: db, port: 5432, appProtocol: postgresql }
`,
    [
      `f.yaml:5:3: metadata.name: found "Orders_1", allowed: lower-case letters, digits and "-", at most 63`,
      `warning f.yaml:7:3: spec.selectors: has no effect; Heddle reads selector, ports, externalName, type, clusterIP, clusterIPs, ipFamilies, internalTrafficPolicy, trafficDistribution, ipFamilyPolicy, externalTrafficPolicy, allocateLoadBalancerNodePorts, healthCheckNodePort, loadBalancerClass, loadBalancerIP, loadBalancerSourceRanges, externalIPs, sessionAffinity, sessionAffinityConfig, publishNotReadyAddresses`,
      `f.yaml:9:7: spec.ports[0].port: found 70000, allowed: 1 to 65535`,
      `f.yaml:9:7: spec.ports[0].name: is missing: of several ports each needs one`,
      `f.yaml:11:9: spec.ports[2].name: "a" names two ports`,
      `f.yaml:11:18: spec.ports[2].port: 80 stands here twice`,
      `f.yaml:11:28: spec.ports[2].protocol: found "ICMP", allowed: "TCP", "UDP", "SCTP"`,
      `warning f.yaml:12:28: spec.ports[3].protocol: UDP is not carried yet: the port is left out`,
      `warning f.yaml:13:31: spec.ports[4].appProtocol: is not HTTP: captured callers alone (pods) are led there by the mesh, as bytes`,
    ],
  );
});

test("ports that a Service's annotation names are bytes, whatever else is said of them; a value that is none is an error", () => {
  const service = (opaque: string): string =>
    `apiVersion: v1\nkind: Service\nmetadata: { name: a, annotations: { heddle.dev/opaque-ports: ${opaque}, other: x } }\nspec: { ports: [{ name: http, port: 80 }, { name: x, port: 81 }, { name: y, port: 82 }] }`;
  const spoken = (opaque: string): readonly string[] => {
    const { object, diagnostics } = read(service(opaque));
    assert.deepEqual(diagnostics, []);
    assert.ok(object?.kind === "service");
    return object.ports.map(({ protocol, detect }) => (detect ? "first bytes" : protocol));
  };
  assert.deepEqual(spoken('"80, 81"'), ["tcp", "tcp", "first bytes"]);
  assert.deepEqual(spoken('""'), ["http", "first bytes", "first bytes"]);
  for (const bad of ['"80,x"', '"70000"', '"80,,81"', "80"])
    assert.match(
      read(service(bad)).diagnostics.map(formatDiagnostic).join(),
      /metadata\.annotations.*opaque-ports/,
      bad,
    );
});

test("reads a Workload, with what may be left out", () => {
  const { object, diagnostics } = read(`
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: orders-1, labels: { app: orders } }
spec:
  addresses: [127.0.0.1, "::1"]
  ports: [{ name: http, port: 8001, applicationPort: 9001 }]
  egress: [stock, "*.billing", audit.ops, "*"]
`);
  assert.deepEqual(diagnostics, []);
  assert.ok(object?.kind === "workload");
  const { origin, ...workload } = object;
  assert.deepEqual(origin, { file: "f.yaml", line: 2, column: 1, path: "" });
  assert.deepEqual(workload, {
    kind: "workload",
    namespace: "default",
    name: "orders-1",
    instance: undefined,
    labels: { app: "orders" },
    addresses: ["127.0.0.1", "::1"],
    ports: [{ name: "http", protocol: "http", detect: false, port: 8001, applicationPort: 9001 }],
    serviceAccount: "default",
    capture: undefined,
    locality: { region: "", zone: "", subZone: "" },
    egress: [
      { namespace: "default", service: "stock" },
      { namespace: "billing", service: undefined },
      { namespace: "ops", service: "audit" },
      { namespace: undefined, service: undefined },
    ],
    outboundPort: 15_001,
    accessLog: "off",
  });
});

test("an unknown field of a kind of ours is an error", () => {
  faults(
    `
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: orders-1 }
spec:
  addresses: [localhost, 10.0.0.1, 10.0.0.1]
  ports:
    - { name: http, port: 8001, applicationPort: 8001, portocol: http }
    - { port: 8001, protocol: spdy }
  egress: ["a.b.c", 7]
  outboundPort: 8001
  accessLog: yes please
  labels: {}
`,
    [
      `f.yaml:6:15: spec.addresses[0]: found "localhost", allowed: an IPv4 or IPv6 address`,
      `f.yaml:6:36: spec.addresses[2]: "10.0.0.1" stands here twice`,
      `f.yaml:8:33: spec.ports[0].applicationPort: is the public port itself; leave it out where no sidecar stands before the application`,
      `f.yaml:8:56: spec.ports[0].portocol: is not a field here; allowed are name, protocol, port, applicationPort`,
      `f.yaml:9:7: spec.ports[1].name: is missing`,
      `f.yaml:9:9: spec.ports[1].port: 8001 stands here twice`,
      `f.yaml:9:21: spec.ports[1].protocol: found "spdy", allowed: "http", "http2", "grpc", "tcp"`,
      `f.yaml:10:12: spec.egress[0]: found "a.b.c", allowed: "orders", "orders.shop", "*.shop" or "*"`,
      `f.yaml:10:21: spec.egress[1]: found 7, allowed: text`,
      `f.yaml:11:3: spec.outboundPort: 8001 is one of the workload's own ports`,
      `f.yaml:12:3: spec.accessLog: found "yes please", allowed: "off", "json", "text"`,
      `f.yaml:13:3: spec.labels: is not a field here; allowed are addresses, ports, serviceAccount, capture, locality, egress, outboundPort, accessLog`,
    ],
  );
});

test("reads an HTTPRoute on a Service: matches, filters, weights and timeouts", () => {
  const { object, diagnostics } = read(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: stock, namespace: shop, creationTimestamp: "2026-01-02T03:04:05Z" }
spec:
  parentRefs: [{ group: "", kind: Service, name: stock, port: 80 }]
  rules:
    - name: special
      matches:
        - path: { type: PathPrefix, value: /v2/ }
          method: GET
          headers: [{ name: X-Version, value: two }, { name: X-Id, type: RegularExpression, value: "[0-9]+" }]
          queryParams: [{ name: q, value: "1" }]
      filters:
        - type: RequestHeaderModifier
          requestHeaderModifier: { set: [{ name: X-A, value: a }], remove: [X-B] }
        - type: URLRewrite
          urlRewrite: { hostname: stock.internal, path: { type: ReplacePrefixMatch, replacePrefixMatch: /new } }
      backendRefs:
        - { name: stock-v2, port: 80, weight: 3 }
        - { name: other, namespace: elsewhere, port: 81 }
      timeouts: { request: 5s, backendRequest: 1500ms }
      retry: { codes: [500, 429], attempts: 3, backoff: 250ms }
`);
  assert.deepEqual(diagnostics, []);
  assert.ok(object?.kind === "http-route");
  assert.equal(object.createdAtMs, Date.UTC(2026, 0, 2, 3, 4, 5));
  assert.deepEqual(
    object.parents.map(({ namespace, name, port }) => ({ namespace, name, port })),
    [{ namespace: "shop", name: "stock", port: 80 }],
  );
  const [rule] = object.rules;
  assert.ok(rule !== undefined);
  assert.deepEqual(rule.matches, [
    {
      path: { type: "prefix", value: "/v2" },
      method: "GET",
      headers: [
        { name: "x-version", type: "exact", value: "two" },
        { name: "x-id", type: "regex", value: "[0-9]+" },
      ],
      queryParameters: [{ name: "q", type: "exact", value: "1" }],
    },
  ]);
  assert.deepEqual(rule.filters, {
    requestHeaders: { set: [{ name: "x-a", value: "a" }], add: [], remove: ["x-b"] },
    responseHeaders: undefined,
    redirect: undefined,
    rewrite: { hostname: "stock.internal", path: { type: "prefix", value: "/new" } },
  });
  assert.deepEqual(
    rule.backends.map(({ namespace, name, port, weight }) => [namespace, name, port, weight]),
    [
      ["shop", "stock-v2", 80, 3],
      ["elsewhere", "other", 81, 1],
    ],
  );
  assert.deepEqual([rule.requestTimeoutMs, rule.backendRequestTimeoutMs], [5000, 1500]);
  assert.deepEqual(rule.retry, { codes: [500, 429], attempts: 3, backoffMs: 250 });
});

test("what sidecars would refuse all routes for is refused where it is written", () => {
  const faultsOf = (rule: object, kind = "HTTPRoute"): readonly string[] => {
    const parentRefs = [{ group: "", kind: "Service", name: "stock" }];
    const route = { apiVersion: "gateway.networking.k8s.io/v1", kind, metadata: { name: "r" } };
    const { diagnostics } = read(JSON.stringify({ ...route, spec: { parentRefs, rules: [rule] } }));
    return diagnostics.map(({ path, message }) => `${path}: ${message}`);
  };
  const list = (length: number, of: object): readonly object[] => Array.from({ length }, () => of);
  const backends = (length: number) => ({ backendRefs: list(length, { name: "a", port: 80, weight: 1_000_000 }) });
  for (const kind of ["HTTPRoute", "GRPCRoute", "TCPRoute"]) {
    assert.deepEqual(faultsOf(backends(4294), kind), []);
    const sum = "spec.rules[0].backendRefs: has weights of 4295000000 together, allowed: 4294967295";
    assert.deepEqual(faultsOf(backends(4295), kind), [sum]);
  }
  const changes = (requestHeaderModifier: object) => ({
    filters: [{ type: "RequestHeaderModifier", requestHeaderModifier }],
  });
  const at = "spec.rules[0].filters[0].requestHeaderModifier";
  const header = (name: number, value: number): object => ({ name: "a".repeat(name), value: "b".repeat(value) });
  assert.deepEqual(faultsOf(changes({ set: list(999, { name: "a", value: "b" }), add: [header(16_384, 16_384)] })), []);
  assert.deepEqual(faultsOf(changes({ set: list(999, { name: "a", value: "b" }), add: list(2, header(1, 1)) })), [
    `${at}: sets and adds 1001 headers, allowed: 1000`,
  ]);
  assert.deepEqual(faultsOf(changes({ add: [header(16_385, 16_385)] })), [
    `${at}.add[0].name: has 16385 bytes, allowed: 16384`,
    `${at}.add[0].value: has 16385 bytes, allowed: 16384`,
  ]);
  assert.deepEqual(faultsOf({ matches: [{ queryParams: [{ name: "a".repeat(1025), value: "b" }] }] }), [
    "spec.rules[0].matches[0].queryParams[0].name: has 1025 bytes, allowed: 1024",
  ]);
});

test("what is wrong with an HTTPRoute is said all at once, each with its place", () => {
  faults(
    `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: stock }
spec:
  parentRefs:
    - { name: gateway }
    - { group: "", kind: Service, name: stock, sectionName: x }
  hostnames: [a.example]
  rules:
    - matches:
        - path: { type: Exact, value: nope }
        - path: { value: /a//b }
        - { method: get, path: { value: "/a?b" } }
        - headers: [{ name: "a b", value: x }, { name: A, value: "1" }, { name: a, value: "2" }]
        - queryParams: [{ name: q, type: RegularExpression, value: "(?=x)" }]
      filters:
        - type: RequestMirror
          requestMirror: {}
        - type: URLRewrite
          urlRewrite: { path: { type: ReplacePrefixMatch } }
        - type: URLRewrite
          urlRewrite: {}
        - { type: Nothing }
        - type: ResponseHeaderModifier
          responseHeaderModifier: { add: [{ name: Content-Length, value: "1" }, { name: x, value: "a\\r\\nb: c" }] }
      backendRefs:
        - { name: stock-v1, port: 80, weight: -1 }
        - { name: stock-v2 }
        - { name: bucket, kind: Bucket, group: storage, port: 1 }
      timeouts: { request: 1s, backendRequest: 2s, idle: 3s }
    - filters: [{ type: RequestRedirect, requestRedirect: { statusCode: 304, scheme: ftp } }]
      backendRefs: [{ name: stock-v1, port: 80 }]
      timeouts: { request: soon }
      retry: { codes: [200], attempts: -1, backoff: soon }
      sessionPersistence: { sessionName: a }
    - timeouts: { request: 399997h, backendRequest: 399996h }
      retry: { backoff: 9999999999999999h }
`,
    [
      `warning f.yaml:7:7: spec.parentRefs[0]: Gateway has no effect here: only a parent of group "" and kind Service is part of the mesh`,
      `warning f.yaml:9:3: spec.hostnames: has no effect on a route whose parent is a Service`,
      `f.yaml:12:32: spec.rules[0].matches[0].path.value: found "nope", allowed: a path that begins with "/"`,
      `f.yaml:13:19: spec.rules[0].matches[1].path.value: found "/a//b", allowed: a path without "//", "/./", "/../", "%2f" and "#"`,
      `f.yaml:14:13: spec.rules[0].matches[2].method: found "get", allowed: "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"`,
      `f.yaml:14:34: spec.rules[0].matches[2].path.value: found "/a?b", allowed: a path as it stands in a URL (RFC 3986 §3.3), others as "%20"`,
      `f.yaml:15:23: spec.rules[0].matches[3].headers[0].name: "a b" is not the name of a header`,
      `warning f.yaml:15:75: spec.rules[0].matches[3].headers[2].name: "a" has been matched above; only the first counts`,
      `f.yaml:16:61: spec.rules[0].matches[4].queryParams[0].value: "(?=x)" is not a regular expression of RE2: error parsing regexp: invalid or unsupported Perl syntax: \`(?=\``,
      `f.yaml:17:7: spec.rules[0].filters: ReplacePrefixMatch needs a PathPrefix in each of the rule's matches`,
      `f.yaml:18:11: spec.rules[0].filters[0].type: RequestMirror is not supported yet; allowed: RequestHeaderModifier, ResponseHeaderModifier, RequestRedirect, URLRewrite`,
      `f.yaml:21:25: spec.rules[0].filters[1].urlRewrite.path.replacePrefixMatch: is missing for ReplacePrefixMatch`,
      `f.yaml:22:11: spec.rules[0].filters[2].type: URLRewrite stands here twice; once is allowed`,
      `f.yaml:24:13: spec.rules[0].filters[3].type: found "Nothing", allowed: RequestHeaderModifier, ResponseHeaderModifier, RequestRedirect, URLRewrite`,
      `f.yaml:26:45: spec.rules[0].filters[4].responseHeaderModifier.add[0].name: "Content-Length" cannot be changed by a header filter`,
      `f.yaml:26:92: spec.rules[0].filters[4].responseHeaderModifier.add[1].value: holds characters that a header value must not (RFC 9110 §5.5)`,
      `f.yaml:28:39: spec.rules[0].backendRefs[0].weight: found -1, allowed: 0 to 1000000`,
      `f.yaml:29:11: spec.rules[0].backendRefs[1].port: is missing: a Service needs it`,
      `warning f.yaml:30:27: spec.rules[0].backendRefs[2].kind: found storage/Bucket, known: Service; nothing is sent there, and its share is answered with an error`,
      `f.yaml:31:32: spec.rules[0].timeouts.backendRequest: must not be longer than the timeout of the whole request`,
      `warning f.yaml:31:52: spec.rules[0].timeouts.idle: has no effect; Heddle reads request, backendRequest`,
      `f.yaml:32:61: spec.rules[1].filters[0].requestRedirect.statusCode: found 304, allowed: 301, 302, 303, 307, 308`,
      `f.yaml:32:78: spec.rules[1].filters[0].requestRedirect.scheme: found "ftp", allowed: "http", "https"`,
      `f.yaml:33:7: spec.rules[1].backendRefs: must be empty where the rule redirects: no request reaches a backend`,
      `f.yaml:34:19: spec.rules[1].timeouts.request: "soon" is not a duration; write for example "1.5s", "250ms" or "1h30m"`,
      `f.yaml:35:24: spec.rules[1].retry.codes[0]: found 200, allowed: 400 to 599`,
      `f.yaml:35:30: spec.rules[1].retry.attempts: found -1, allowed: 0 to 100`,
      `f.yaml:35:44: spec.rules[1].retry.backoff: "soon" is not a duration; write for example "1.5s", "250ms" or "1h30m"`,
      `warning f.yaml:36:7: spec.rules[1].sessionPersistence: has no effect yet`,
      `f.yaml:37:19: spec.rules[2].timeouts.request: is too long, allowed: up to 399996h`,
      `f.yaml:38:16: spec.rules[2].retry.backoff: is too long, allowed: up to 399996h`,
    ],
  );
});

test("reads the List that kubectl writes, each item by its own rules", () => {
  const list = `
apiVersion: v1
kind: List
items:
  - { apiVersion: v1, kind: Service, metadata: { name: a, uid: x }, spec: { clusterIP: None }, status: {} }
  - { apiVersion: heddle.dev/v1, kind: Workload, metadata: { name: w }, spec: { addresses: [10.0.0.1], nonsense: 1 }, status: { conditions: [] } }
  - { apiVersion: apps/v1, kind: Deployment }
  - { apiVersion: v1, kind: Service, metadata: { name: b }, spec: { ports: [{ port: 80 }] } }
metadata: { resourceVersion: "" }
`;
  const documents = parseYamlDocuments("f.yaml", list);
  assert.ok(documents.ok && documents.value[0] !== undefined);
  const { objects, diagnostics } = readObjects(documents.value[0]);
  assert.deepEqual(
    objects.map(({ name, origin }) => [name, origin.line]),
    [
      ["a", 5],
      ["b", 8],
    ],
  );
  assert.deepEqual(
    diagnostics.map(({ path }) => path),
    ["items[1].spec.nonsense"],
  );
});

test("an HTTPRoute without rules matches everything and has no backend; one without parents has no effect", () => {
  const route = (spec: string): string =>
    `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: r }\nspec: ${spec}`;
  const { object, diagnostics } = read(route(`{ parentRefs: [{ group: "", kind: Service, name: a }] }`));
  assert.deepEqual(diagnostics, []);
  assert.ok(object?.kind === "http-route");
  assert.deepEqual(
    object.rules.map(({ matches, backends }) => [matches[0]?.path.value, backends]),
    [["/", []]],
  );
  faults(route("{ rules: [] }"), [
    "warning f.yaml:4:1: spec.parentRefs: is missing: the route has no effect",
    "f.yaml:4:9: spec.rules: is empty; leave it out, or give at least one rule",
  ]);
});

const GATEWAY = "apiVersion: gateway.networking.k8s.io/v1\n";
const PARENT = `parentRefs: [{ group: "", kind: Service, name: orders }]`;

test("a GRPCRoute is read as requests: a method is a path, of names or of patterns", () => {
  const rule = (matches: string): string =>
    `[{ matches: ${matches}, backendRefs: [{ name: b, port: 80, weight: 2 }] }]`;
  const grpc = (rules: string): string =>
    `${GATEWAY}kind: GRPCRoute\nmetadata: { name: g }\nspec:\n  ${PARENT}\n  rules: ${rules}`;
  const matches = `[{ method: { service: a.B, method: C } }, { method: { service: a.B } }, { method: { method: C } },
    { method: { type: RegularExpression, service: "a|b", method: "Get.*" } }, { headers: [{ name: X-A, value: "1" }] }]`;
  const { object, diagnostics } = read(grpc(rule(matches)));
  assert.deepEqual(diagnostics, []);
  assert.ok(object?.kind === "grpc-route");
  assert.deepEqual(
    object.rules[0]?.matches.map(({ path }) => path),
    [
      { type: "exact", value: "/a.B/C" },
      { type: "prefix", value: "/a.B" },
      { type: "regex", value: "/[^/]+/(?:C)" },
      { type: "regex", value: "/(?:a|b)/(?:Get.*)" },
      { type: "prefix", value: "/" },
    ],
  );
  assert.deepEqual(object.rules[0]?.matches[4]?.headers, [{ name: "x-a", type: "exact", value: "1" }]);
  for (const [bad, fault] of [
    [`[{ method: {} }]`, "method: matches nothing: give service or method"],
    [`[{ method: { service: a/b } }]`, `method.service: found "a/b", allowed: a name of letters, digits, "_" and "."`],
    [`[{ method: { method: "a.b" } }]`, `method.method: found "a.b", allowed: a name of letters, digits and "_"`],
    [
      `[{ method: { type: Prefix, service: a } }]`,
      `method.type: found "Prefix", allowed: "Exact", "RegularExpression"`,
    ],
  ] as const)
    assert.deepEqual(
      read(grpc(rule(bad))).diagnostics.map(({ path, message }) => `${path}: ${message}`),
      [`spec.rules[0].matches[0].${fault}`],
    );
  const { diagnostics: open } = read(grpc(rule(`[{ method: { type: RegularExpression, service: 'a)|(b' } }]`)));
  assert.match(open.map(({ path }) => path).join(), /method\.service/, "no pattern leaves its place");
  const filters = `[{ filters: [{ type: URLRewrite, urlRewrite: { hostname: a } }, { type: RequestMirror }] }]`;
  assert.deepEqual(
    read(grpc(filters)).diagnostics.map(({ message }) => message),
    [
      'found "URLRewrite", allowed: RequestHeaderModifier, ResponseHeaderModifier',
      "RequestMirror is not supported yet; allowed: RequestHeaderModifier, ResponseHeaderModifier",
    ],
  );
  assert.deepEqual(
    read(grpc(`[{ sessionPersistence: { type: Cookie } }]`)).diagnostics.map(({ severity, path }) => [severity, path]),
    [["warning", "spec.rules[0].sessionPersistence"]],
  );
});

test("TCPRoute and TLSRoute are read in all their versions, a ReferenceGrant as far as it is about routes and Services", () => {
  const backend =
    "rules: [{ backendRefs: [{ name: b, port: 80 }, { name: c, namespace: other, port: 81, weight: 3 }] }]";
  const text = (version: string, kind: string, spec: string): string =>
    `apiVersion: gateway.networking.k8s.io/${version}\nkind: ${kind}\nmetadata: { name: r }\nspec: { ${spec} }`;
  for (const version of ["v1", "v1alpha2"]) {
    const { object, diagnostics } = read(text(version, "TCPRoute", `${PARENT}, ${backend}`));
    assert.deepEqual(diagnostics, []);
    assert.ok(object?.kind === "tcp-route");
    assert.deepEqual(
      object.backends.map(({ namespace, name, port, weight }) => [namespace, name, port, weight]),
      [
        ["default", "b", 80, 1],
        ["other", "c", 81, 3],
      ],
    );
  }
  for (const version of ["v1", "v1alpha3", "v1alpha2"]) {
    const { object } = read(text(version, "TLSRoute", `${PARENT}, hostnames: [a.example, "*.b.example"], ${backend}`));
    assert.ok(object?.kind === "tls-route");
    assert.deepEqual(object.serverNames, ["a.example", "*.b.example"]);
  }
  for (const name of ["10.0.0.1", "a.*.example", "*", "*.*.example", "UPPER.example"])
    assert.equal(read(text("v1", "TLSRoute", `${PARENT}, hostnames: ["${name}"], ${backend}`)).object, undefined, name);
  assert.deepEqual(
    read(text("v1", "TCPRoute", `${PARENT}, rules: [{}, {}]`)).diagnostics.map(({ path }) => path),
    ["spec.rules[1]"],
  );
  const from = (more: string): string =>
    `from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop }${more}]`;
  const gateway = `, { group: gateway.networking.k8s.io, kind: Gateway, namespace: shop }`;
  for (const version of ["v1", "v1beta1"]) {
    const { object } = read(text(version, "ReferenceGrant", `${from(gateway)}, to: [{ group: "", kind: Service }]`));
    assert.ok(object?.kind === "reference-grant");
    assert.deepEqual([object.from, object.to], [[{ kind: "http-route", namespace: "shop" }], "all"]);
  }
  const { object } = read(
    text(
      "v1",
      "ReferenceGrant",
      `${from("")}, to: [{ group: "", kind: Service, name: a }, { group: "", kind: Secret }]`,
    ),
  );
  assert.ok(object?.kind === "reference-grant");
  assert.deepEqual(object.to, ["a"]);
  const secrets = read(text("v1", "ReferenceGrant", `${from("")}, to: [{ group: "", kind: Secret }]`));
  assert.deepEqual([secrets.object, secrets.diagnostics], [undefined, []]);
});

test("kinds that are none of ours are passed over, and only a likely mistake is mentioned", () => {
  const text = (version: string, kind: string): string =>
    `apiVersion: ${version}\nkind: ${kind}\nmetadata: { name: x }`;
  faults(text("apps/v1", "Deployment"), []);
  faults(text("heddle.dev/v1", "Process"), []);
  faults(text("example.com/v1", "Thing"), ["warning f.yaml:2:1: kind: example.com/v1 Thing is not read"]);
  faults(text("gateway.networking.k8s.io/v1", "UDPRoute"), ["warning f.yaml:2:1: kind: UDPRoute has no effect yet"]);
  faults(text("gateway.networking.k8s.io/v1alpha2", "HTTPRoute"), [
    `f.yaml:1:1: apiVersion: found "gateway.networking.k8s.io/v1alpha2", allowed for HTTPRoute: "gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1beta1"`,
  ]);
  faults(text("heddle.dev/v1", "Wrokload"), [
    `f.yaml:2:1: kind: found "Wrokload", allowed: "Workload", "PeerAuthentication", "AuthorizationPolicy", "ExtensionProvider", "RequestAuthentication", "Process"`,
  ]);
  faults("just: text", ["f.yaml:1:1: apiVersion: is missing", "f.yaml:1:1: kind: is missing"]);
  faults("[1, 2]", [
    "f.yaml:1:1: found [1,2], allowed: an object",
    "f.yaml:1:1: apiVersion: is missing",
    "f.yaml:1:1: kind: is missing",
  ]);
});

/** Reads a text of one document and at most one object. */
function read(text: string): { readonly object: MeshObject | undefined; readonly diagnostics: readonly Diagnostic[] } {
  const documents = parseYamlDocuments("f.yaml", text);
  assert.ok(documents.ok, JSON.stringify(documents));
  assert.equal(documents.value.length, 1);
  const { objects, diagnostics } = readObjects(documents.value[0]!); // one, as was just checked
  assert.ok(objects.length <= 1);
  return { object: objects[0], diagnostics };
}

function faults(text: string, expected: readonly string[]): void {
  const { diagnostics, object } = read(text);
  assert.deepEqual(
    diagnostics.map((one) => `${one.severity === "warning" ? "warning " : ""}${formatDiagnostic(one)}`),
    expected,
  );
  if (diagnostics.some(({ severity }) => severity === "error")) assert.equal(object, undefined);
}
