import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDiagnostic, parseYamlDocuments } from "@heddle/config";
import { describeMessage } from "@heddle/proto";
import type { MeshObject } from "../model/mesh.ts";
import { readObjects } from "./read-objects.ts";

test("reads a PeerAuthentication", () => {
  const object = read(
    "PeerAuthentication",
    "{ selector: { matchLabels: { app: db } }, mtls: { mode: STRICT }, portLevelMtls: { 8080: { mode: DISABLE }, 81: { mode: UNSET } } }",
  );
  assert.ok(object?.kind === "peer-authentication");
  assert.deepEqual(object.target, { labels: { app: "db" }, services: undefined });
  assert.deepEqual([object.mode, [...object.portModes]], ["STRICT", [[8080, "DISABLE"]]]);
});

test("what is wrong with a PeerAuthentication is said", () => {
  faults("PeerAuthentication", "{ mtls: { mode: strict }, portLevelMtls: { web: { mode: STRICT } }, x: 1 }", [
    "spec.x: is not a field here; allowed are selector, mtls, portLevelMtls",
    "spec.portLevelMtls: needs a selector: ports are those of workloads",
    'spec.mtls.mode: found "strict", allowed: "UNSET", "DISABLE", "PERMISSIVE", "STRICT"',
    'spec.portLevelMtls.web: "web" is no port, allowed: 1 to 65535',
  ]);
});

test("reads an AuthorizationPolicy: sources, operations and conditions are criteria of attributes", () => {
  const object = read(
    "AuthorizationPolicy",
    `{
    targetRefs: [{ kind: Service, name: orders }], action: DENY,
    rules: [{
      from: [{ source: { principals: ["spiffe://mesh.test/ns/a/sa/b", "*"], notNamespaces: ["dev-*"], serviceAccounts: [web, shop/cart] } }],
      to: [{ operation: { ports: [80, "81"], grpcMethods: [pkg.Orders/Get, pkg.Admin/*], notPaths: ["/a/{*}/b/{**}"], hosts: [Shop.Example] } }],
      when: [{ key: "request.headers[X-Team]", values: [a] }, { key: "request.auth.claims[realm][roles]", notValues: ["*-admin"] }]
    }] }`,
  );
  assert.ok(object?.kind === "authorization-policy");
  assert.deepEqual([object.action, object.target], ["DENY", { labels: undefined, services: ["orders"] }]);
  const [rule] = object.rules;
  const bare = (criteria: readonly { attribute: object; values: object; notValues: object }[]) =>
    criteria.map(({ attribute, values, notValues }) => [attribute, values, notValues]);
  assert.deepEqual(rule?.from.map(bare), [
    [
      [{ type: "source.principal" }, ["mesh.test/ns/a/sa/b", "*"], []],
      [{ type: "source.namespace" }, [], ["dev-*"]],
      [{ type: "source.serviceAccount" }, ["default/web", "shop/cart"], []],
    ],
  ]);
  assert.deepEqual(rule?.to.map(bare), [
    [
      [{ type: "request.host" }, ["shop.example"], []],
      [{ type: "destination.port" }, ["80", "81"], []],
      [{ type: "request.path" }, [], ["/a/{*}/b/{**}"]],
      [{ type: "request.path" }, ["/pkg.Orders/Get", "/pkg.Admin/*"], []],
    ],
  ]);
  assert.deepEqual(bare(rule?.when ?? []), [
    [{ type: "request.headers", name: "x-team" }, ["a"], []],
    [{ type: "request.auth.claims", path: ["realm", "roles"] }, [], ["*-admin"]],
  ]);
});

test("an ALLOW without rules is one that allows nothing, and a rule without fields one that allows everything", () => {
  for (const [spec, rules] of [
    ["{}", 0],
    ["{ rules: [] }", 0],
    ["{ rules: [{}] }", 1],
  ] as const) {
    const object = read("AuthorizationPolicy", spec);
    assert.ok(object?.kind === "authorization-policy");
    assert.equal(object.rules.length, rules, spec);
  }
});

for (const [spec, ...expected] of [
  ["{ action: BLOCK }", 'spec.action: found "BLOCK", allowed: "ALLOW", "DENY", "AUDIT", "CUSTOM"'],
  ["{ action: CUSTOM, rules: [{}] }", "spec.provider: is missing: a CUSTOM policy asks a provider, { name: … }"],
  ["{ provider: { name: a }, rules: [{}] }", "spec.provider: has no effect with the action ALLOW; allowed with CUSTOM"],
  [
    "{ action: DENY }",
    'spec.rules: is missing: a policy that matches nothing has no effect; for everything write "rules: [{}]"',
  ],
  ["{ rules: [null] }", 'spec.rules[0]: is empty; for everything write "{}"'],
  ["{ rules: [{ from: [] }] }", "spec.rules[0].from: is empty: leave it out, or give it at least one entry"],
  ["{ rules: [{ from: [{}] }] }", "spec.rules[0].from[0].source: is missing"],
  [
    "{ rules: [{ from: [{ source: {} }] }] }",
    "spec.rules[0].from[0].source: is empty: leave its entry out, or say what it asks for",
  ],
  [
    "{ rules: [{ from: [{ source: { principals: [] } }] }] }",
    "spec.rules[0].from[0].source.principals: is empty: leave it out, or give it at least one entry",
  ],
  [
    "{ rules: [{ to: [{ operation: { path: [/a] } }] }] }",
    "spec.rules[0].to[0].operation.path: is not a field here; allowed are hosts, notHosts, ports, notPorts, methods, notMethods, paths, notPaths, grpcMethods, notGrpcMethods",
  ],
  [
    "{ rules: [{ from: [{ source: { ipBlocks: [10.0.0.0/33, web] } }] }] }",
    'spec.rules[0].from[0].source.ipBlocks[0]: "10.0.0.0/33": the prefix length is a number from 0 to 32',
    'spec.rules[0].from[0].source.ipBlocks[1]: "web" is not a block of addresses; write for example "10.0.0.0/8" or "2001:db8::/32"',
  ],
  [
    '{ rules: [{ to: [{ operation: { ports: ["http"], paths: ["/a*b", "a", "/a?x", "/{*}x", "/{**}/{*}"], methods: ["*E*"], grpcMethods: [Get] } }] }] }',
    'spec.rules[0].to[0].operation.ports[0]: found "http", allowed: 1 to 65535',
    'spec.rules[0].to[0].operation.methods[0]: found "*E*", allowed: "text", "begin*", "*end" or "*"',
    'spec.rules[0].to[0].operation.paths[0]: found "/a*b", allowed: "text", "begin*", "*end" or "*"',
    'spec.rules[0].to[0].operation.paths[1]: found "a", allowed: what begins with "/" or "*"',
    'spec.rules[0].to[0].operation.paths[2]: found "/a?x", allowed: a path, without a query',
    'spec.rules[0].to[0].operation.paths[3]: found "/{*}x": "{*}" and "{**}" have to be whole segments, and no other "*" stands beside them',
    'spec.rules[0].to[0].operation.paths[4]: found "/{**}/{*}": nothing but text may stand behind "{**}"',
    'spec.rules[0].to[0].operation.grpcMethods[0]: found "Get", allowed: "pkg.Service/Method", "pkg.Service/*" or "*"',
  ],
  [
    "{ rules: [{ when: [{ key: source.port, values: [a] }, { key: source.ip }] }] }",
    'spec.rules[0].when[0].key: found "source.port", allowed: request.headers[NAME], request.auth.claims[NAME], source.ip, remote.ip, source.namespace, source.principal, source.serviceAccount, request.auth.principal, request.auth.audiences, request.auth.presenter, destination.ip, destination.port, connection.sni',
    "spec.rules[0].when[1].values: is missing, and so is notValues: one of them is needed",
  ],
  [
    `{ rules: [{ from: [{ source: { requestPrincipals: ["${"a/".repeat(20)}*", "${"a/".repeat(21)}*"] } }] }] }`,
    "spec.rules[0].from[0].source.requestPrincipals[1]: has 21 slashes, allowed: 20",
  ],
  [
    "{ selector: { matchLabels: { a: b } }, targetRefs: [{ kind: Gateway, name: x, namespace: other }] }",
    "spec.targetRefs: stands beside selector, of which only one is allowed",
    'spec.targetRefs[0].kind: found "Gateway", allowed: "Service"',
    'spec.targetRefs[0].namespace: found "other", allowed: "default", the policy\'s own',
  ],
] as const) {
  test(`of an AuthorizationPolicy ${spec} it is said what is wrong`, () =>
    faults("AuthorizationPolicy", spec, expected));
}

test("reads a RequestAuthentication", () => {
  const object = read(
    "RequestAuthentication",
    `{ jwtRules: [
      { issuer: "https://issuer.example", jwksUri: "https://issuer.example/keys", audiences: [a], fromHeaders: [{ name: X-Token, prefix: "T " }], outputPayloadToHeader: x-payload, forwardOriginalToken: true, timeout: 2s },
      { issuer: other, jwks: '{ "keys": [] }', fromCookies: [c], fromParams: [p], outputClaimToHeaders: [{ header: x-sub, claim: sub }] }
    ] }`,
  );
  assert.ok(object?.kind === "request-authentication");
  const [remote, inline] = object.rules;
  assert.deepEqual(remote, {
    issuer: "https://issuer.example",
    audiences: ["a"],
    keys: {
      type: "remote",
      uri: { text: "https://issuer.example/keys", tls: true, host: "issuer.example", port: 443 },
    },
    fromHeaders: [{ name: "x-token", prefix: "T " }],
    fromParams: [],
    fromCookies: [],
    outputPayloadToHeader: "x-payload",
    outputClaimToHeaders: [],
    forwardOriginalToken: true,
    spaceDelimitedClaims: [],
    timeoutMs: 2000,
  });
  assert.deepEqual(
    [inline?.keys, inline?.fromCookies, inline?.fromParams, inline?.outputClaimToHeaders, inline?.timeoutMs],
    [{ type: "inline", jwks: '{ "keys": [] }' }, ["c"], ["p"], [{ header: "x-sub", claim: "sub" }], 5000],
  );
});

test("what is wrong with a RequestAuthentication is said, and no key is repeated", () => {
  faults(
    "RequestAuthentication",
    `{ jwtRules: [
      { jwksUri: "ftp://x" },
      { issuer: a, jwksUri: "https://u:secret@x/", jwks: "{}" },
      { issuer: a, jwks: '{ "d": "secret" }' },
      { issuer: a },
      { issuer: a, jwks: '{"keys":[]}', fromHeaders: [{ name: "a b" }], timeout: soon, forwardOriginalToken: "yes" }
    ] }`,
    [
      "spec.jwtRules[0].issuer: is missing",
      "spec.jwtRules[0].jwksUri: is no URL of keys, allowed: http:// or https://, without user and password",
      "spec.jwtRules[1].jwks: stands beside jwksUri, of which only one is allowed",
      "spec.jwtRules[1].jwksUri: is no URL of keys, allowed: http:// or https://, without user and password",
      'spec.jwtRules[2].jwks: is no JSON Web Key Set (RFC 7517 §5): { "keys": [...] }',
      "spec.jwtRules[3].jwksUri: is missing, and so is jwks; without both the issuer has to be an https URL, which is asked",
      'spec.jwtRules[4].fromHeaders[0].name: found "a b", allowed: the name of a header',
      'spec.jwtRules[4].forwardOriginalToken: found "yes", allowed: true, false',
      'spec.jwtRules[4].timeout: "soon" is not a duration; write for example "1.5s", "250ms" or "1h30m"',
    ],
  );
});

test("no token is told to the application by fields that frame a message, or say for whom it is", () => {
  const allowed = "allowed is the name of a field that is not of framing, host or connection";
  faults(
    "RequestAuthentication",
    `{ jwtRules: [
      { issuer: a, jwks: '{"keys":[]}', outputPayloadToHeader: Host, outputClaimToHeaders: [{ header: content-length, claim: n }] }
    ] }`,
    [
      `spec.jwtRules[0].outputPayloadToHeader: found "Host", ${allowed}`,
      `spec.jwtRules[0].outputClaimToHeaders[0].header: found "content-length", ${allowed}`,
    ],
  );
});

test("a service account that is no part of a SPIFFE ID is refused", () => {
  const { diagnostics } = readAll("Workload", '{ addresses: [10.0.0.1], serviceAccount: "a/../b" }');
  assert.deepEqual(diagnostics, [
    'spec.serviceAccount: found "a/../b", allowed: lower-case letters, digits, "-" and ".", at most 253',
  ]);
});

function read(kind: string, spec: string): MeshObject | undefined {
  const { object, diagnostics } = readAll(kind, spec);
  assert.deepEqual(diagnostics, []);
  return object;
}

test("what is wrong with an ExtensionProvider is said", () => {
  const outside = 'metadata: found the namespace "default", allowed: "heddle-system", since it is for the whole mesh';
  faults("ExtensionProvider", "{}", [
    outside,
    "spec: needs one of envoyExtAuthzGrpc and envoyExtAuthzHttp, and no more",
  ]);
  faults(
    "ExtensionProvider",
    '{ envoyExtAuthzHttp: { service: "a b", port: 0, timeout: 0s, statusOnError: "99", pathPrefix: a, includeRequestHeadersInCheck: ["x*y"], includeRequestBodyInCheck: {}, x: 1 } }',
    [
      outside,
      "spec.envoyExtAuthzHttp.x: is not a field here; allowed are service, port, timeout, failOpen, statusOnError, includeRequestBodyInCheck, clearRouteCache, pathPrefix, includeRequestHeadersInCheck, includeAdditionalHeadersInCheck, headersToUpstreamOnAllow, headersToDownstreamOnAllow, headersToDownstreamOnDeny",
      'spec.envoyExtAuthzHttp.service: found "a b", allowed: "NAME.NAMESPACE.svc.cluster.local" of a service of the mesh, a name in DNS, an IP address',
      "spec.envoyExtAuthzHttp.port: found 0, allowed: 1 to 65535",
      'spec.envoyExtAuthzHttp.timeout: found "0s", allowed: more than 0',
      'spec.envoyExtAuthzHttp.statusOnError: found "99", allowed: a status of HTTP that Envoy has a name for, 200 to 511',
      'spec.envoyExtAuthzHttp.pathPrefix: found "a", allowed: what begins with "/" and may stand in a target',
      'spec.envoyExtAuthzHttp.includeRequestHeadersInCheck[0]: found "x*y", allowed: "name", "begin*", "*end"',
      "spec.envoyExtAuthzHttp.includeRequestBodyInCheck.maxRequestBytes: is missing",
    ],
  );
});

test("what no message to a sidecar holds is refused in an ExtensionProvider: shreds of a millisecond, long headers", () => {
  const outside = 'metadata: found the namespace "default", allowed: "heddle-system", since it is for the whole mesh';
  const said = (more: string, ...expected: readonly string[]): void =>
    faults("ExtensionProvider", `{ envoyExtAuthzHttp: { service: a.example, port: 80, ${more} } }`, [
      outside,
      ...expected.map((fault) => `spec.envoyExtAuthzHttp.${fault}`),
    ]);
  said("timeout: 0.0000001ms", 'timeout: "0.0000001ms" is less than 1ms');
  said("timeout: 1.00000000001ms");
  const headers = (name: number, value: number): string =>
    `includeAdditionalHeadersInCheck: { ${"a".repeat(name)}: "${"b".repeat(value)}" }`;
  const tooLong = "includeAdditionalHeadersInCheck: holds a header whose name or value is longer than 16384 bytes";
  said(headers(900, 16_384));
  said(headers(900, 16_385), tooLong);
});

test("an ExtensionProvider may say each status that Envoy takes, and no other: for one a listener would be refused", () => {
  const known = describeMessage("envoy.type.v3.HttpStatus").get("code")?.enumNames ?? new Map<number, string>();
  const taken = Array.from({ length: 600 }, (_, code) => code).filter((code) => {
    const { diagnostics } = readAll(
      "ExtensionProvider",
      `{ envoyExtAuthzGrpc: { service: a.example, port: 1, statusOnError: ${code} } }`,
    );
    return !diagnostics.some((one) => one.includes("statusOnError"));
  });
  assert.deepEqual(
    taken,
    [...known.keys()].filter((code) => code >= 200),
  );
});

/** Sorted, since all of it may stand in one line. */
function faults(kind: string, spec: string, expected: readonly string[]): void {
  const { object, diagnostics } = readAll(kind, spec);
  assert.deepEqual(diagnostics.toSorted(), expected.toSorted());
  assert.equal(object, undefined);
}

function readAll(
  kind: string,
  spec: string,
): { readonly object: MeshObject | undefined; readonly diagnostics: readonly string[] } {
  const text = `apiVersion: heddle.dev/v1\nkind: ${kind}\nmetadata: { name: x }\nspec: ${spec}\n`;
  const documents = parseYamlDocuments("f.yaml", text);
  assert.ok(documents.ok, JSON.stringify(documents));
  const { objects, diagnostics } = readObjects(documents.value[0]!); // there is one
  return {
    object: objects[0],
    diagnostics: diagnostics.map((one) => formatDiagnostic(one).replace(/^f\.yaml:\d+:\d+: /, "")),
  };
}
