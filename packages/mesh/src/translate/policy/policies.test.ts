import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import type { Json, JsonObject } from "@heddle/base";
import { messageFromJson, validate } from "@heddle/proto";
import type { FilterChainConfig, HttpConnectionManagerConfig, ListenerConfig, TypedConfig } from "@heddle/traffic";
import { meshOf } from "../../model/testing.ts";
import { keysCluster } from "../clusters.ts";
import { inboundListener } from "../inbound-listener.ts";
import type { MeshTrust } from "../mtls.ts";
import { httpAuthorization, tcpAuthorization } from "./authorization.ts";
import { keyUris } from "./request-authentication.ts";

const TRUST: MeshTrust = { trustDomain: "mesh.test", aliases: ["old.test"] };

describe("what rules ask for", () => {
  const name = (principalName: Json): Json => ({ authenticated: { principalName } });
  const claim = (key: string, stringMatch: Json): Json => ({
    metadata: {
      filter: "envoy.filters.http.jwt_authn",
      path: [{ key: "payload" }, { key }],
      value: { stringMatch },
    },
  });
  const both = (iss: Json, sub: Json): Json => ({ andIds: { ids: [claim("iss", iss), claim("sub", sub)] } });
  const any = { safeRegex: { regex: "(?s).+" } };

  for (const [source, expected] of [
    ["principals: [other.test/ns/a/sa/b]", name({ exact: "spiffe://other.test/ns/a/sa/b" })],
    [
      "principals: [Mesh.Test/ns/a/sa/b]",
      {
        orIds: {
          ids: [name({ exact: "spiffe://mesh.test/ns/a/sa/b" }), name({ exact: "spiffe://old.test/ns/a/sa/b" })],
        },
      },
    ],
    ["principals: [other.test/ns/a/*]", name({ prefix: "spiffe://other.test/ns/a/" })],
    ['principals: ["*/sa/b.c"]', name({ safeRegex: { regex: "spiffe://.*/sa/b\\.c" } })],
    ['principals: ["*"]', name({ prefix: "spiffe://" })],
    [
      "notPrincipals: [a/b, c/d]",
      { notId: { orIds: { ids: [name({ exact: "spiffe://a/b" }), name({ exact: "spiffe://c/d" })] } } },
    ],
    [
      "namespaces: [shop]",
      {
        orIds: {
          ids: [name({ prefix: "spiffe://mesh.test/ns/shop/sa/" }), name({ prefix: "spiffe://old.test/ns/shop/sa/" })],
        },
      },
    ],
    ["namespaces: [dev-*]", name({ safeRegex: { regex: "spiffe://(?:mesh\\.test|old\\.test)/ns/dev-[^/]*/sa/.+" } })],
    [
      "serviceAccounts: [web]",
      {
        orIds: {
          ids: [
            name({ exact: "spiffe://mesh.test/ns/default/sa/web" }),
            name({ exact: "spiffe://old.test/ns/default/sa/web" }),
          ],
        },
      },
    ],
    ["ipBlocks: [10.1.2.3/8]", { directRemoteIp: { addressPrefix: "10.0.0.0", prefixLen: 8 } }],
    ['remoteIpBlocks: ["fd00::1"]', { remoteIp: { addressPrefix: "fd00::1", prefixLen: 128 } }],
    ["requestPrincipals: [i/s]", both({ exact: "i" }, { exact: "s" })],
    // Which slash is the one between them nobody knows.
    [
      "requestPrincipals: ['https://i/s']",
      {
        orIds: {
          ids: [
            both({ exact: "https:" }, { exact: "/i/s" }),
            both({ exact: "https:/" }, { exact: "i/s" }),
            both({ exact: "https://i" }, { exact: "s" }),
          ],
        },
      },
    ],
    ["requestPrincipals: ['i/*']", { orIds: { ids: [both({ prefix: "i/" }, any), both({ exact: "i" }, any)] } }],
    ["requestPrincipals: ['*/s']", { orIds: { ids: [both(any, { suffix: "/s" }), both(any, { exact: "s" })] } }],
    ["requestPrincipals: ['*']", both(any, any)],
    ["requestPrincipals: [nobody]", { notId: { any: true } }],
  ] as const) {
    it(`of a source ${source}`, () => {
      const [policy] = rbacOf(`rules: [{ from: [{ source: { ${source} } }] }]`);
      assert.deepEqual(policy, { permissions: [{ any: true }], principals: [expected] });
    });
  }

  for (const [operation, expected] of [
    ["methods: [GET]", { header: { name: ":method", stringMatch: { exact: "GET" } } }],
    ["methods: ['*']", { header: { name: ":method", presentMatch: true } }],
    ["hosts: ['*.example']", { header: { name: ":authority", stringMatch: { suffix: ".example", ignoreCase: true } } }],
    ["ports: [80, '81']", { orRules: { rules: [{ destinationPort: 80 }, { destinationPort: 81 }] } }],
    ["paths: [/a]", { urlPath: { path: { exact: "/a" } } }],
    ["paths: [/a/*]", { urlPath: { path: { prefix: "/a/" } } }],
    ["paths: ['/a.b/{*}/c/{**}']", { urlPath: { path: { safeRegex: { regex: "/a\\.b/[^/]+/c/.*" } } } }],
    [
      "grpcMethods: [p.S/M, p.T/*]",
      { orRules: { rules: [{ urlPath: { path: { exact: "/p.S/M" } } }, { urlPath: { path: { prefix: "/p.T/" } } }] } },
    ],
    [
      "paths: [/a*], notPaths: [/ab]",
      {
        andRules: {
          rules: [{ urlPath: { path: { prefix: "/a" } } }, { notRule: { urlPath: { path: { exact: "/ab" } } } }],
        },
      },
    ],
  ] as const) {
    it(`of an operation ${operation}`, () => {
      const [policy] = rbacOf(`rules: [{ to: [{ operation: { ${operation} } }] }]`);
      assert.deepEqual(policy, { permissions: [expected], principals: [{ any: true }] });
    });
  }

  for (const [when, permission, principal] of [
    ["key: 'request.headers[X-A]', values: ['*']", { any: true }, { header: { name: "x-a", presentMatch: true } }],
    [
      "key: 'request.auth.claims[a][b]', values: [x]",
      { any: true },
      {
        metadata: {
          filter: "envoy.filters.http.jwt_authn",
          path: [{ key: "payload" }, { key: "a" }, { key: "b" }],
          value: {
            orMatch: {
              valueMatchers: [
                { stringMatch: { exact: "x" } },
                { listMatch: { oneOf: { stringMatch: { exact: "x" } } } },
              ],
            },
          },
        },
      },
    ],
    ["key: request.auth.presenter, values: [x]", { any: true }, claim("azp", { exact: "x" })],
    [
      "key: destination.ip, values: [10.0.0.1]",
      { destinationIp: { addressPrefix: "10.0.0.1", prefixLen: 32 } },
      { any: true },
    ],
    ["key: destination.port, notValues: ['80']", { notRule: { destinationPort: 80 } }, { any: true }],
    ["key: connection.sni, values: ['*.x']", { requestedServerName: { suffix: ".x" } }, { any: true }],
  ] as const) {
    it(`of a condition ${when}`, () => {
      const [policy] = rbacOf(`rules: [{ when: [{ ${when} }] }]`);
      assert.deepEqual(policy, { permissions: [permission], principals: [principal] });
    });
  }

  it("all of a rule: one of from, one of to, and all of when", () => {
    const [policy] = rbacOf(
      "rules: [{ from: [{ source: { ipBlocks: [10.0.0.1], remoteIpBlocks: [10.0.0.2] } }, { source: { ipBlocks: [10.0.0.3] } }], to: [{ operation: { ports: [1] } }, { operation: { ports: [2] } }], when: [{ key: destination.port, values: ['3'] }, { key: source.ip, values: [10.0.0.4] }] }]",
    );
    const ip = (field: string, addressPrefix: string): Json => ({ [field]: { addressPrefix, prefixLen: 32 } });
    const port = (destinationPort: number): Json => ({ destinationPort });
    const and = (...ids: readonly Json[]): Json => ({ andIds: { ids } });
    const or = (...ids: readonly Json[]): Json => ({ orIds: { ids } });
    const [first, second] = [
      and(ip("directRemoteIp", "10.0.0.1"), ip("remoteIp", "10.0.0.2")),
      ip("directRemoteIp", "10.0.0.3"),
    ];
    assert.deepEqual(policy, {
      permissions: [{ andRules: { rules: [{ orRules: { rules: [port(1), port(2)] } }, port(3)] } }],
      principals: [and(or(first, second), ip("directRemoteIp", "10.0.0.4"))],
    });
  });

  it("in no more room than it takes by itself: what stands in `when` is not repeated in each of `from` and `to`", () => {
    const list = (length: number, of: (i: number) => string): string =>
      `[${Array.from({ length }, (_, i) => of(i)).join(", ")}]`;
    const long = (length: number): string =>
      `rules: [{ to: ${list(length, (i) => `{ operation: { ports: ["${i + 1}"] } }`)}, from: ${list(length, (i) => `{ source: { requestPrincipals: [a/${i}] } }`)}, when: [{ key: destination.port, values: ${list(length, (i) => `"${i + 1}"`)} }, { key: source.ip, values: ${list(length, (i) => `10.0.0.${i}`)} }] }]`;
    const [some, twice] = [20, 40].map((length) => JSON.stringify(rbacOf(long(length))).length) as [number, number];
    assert.ok(twice < 2.2 * some, `${some} and ${twice} characters`);
  });
});

describe("filters of a port", () => {
  const deny = policy("deny", "action: DENY\n  rules: [{ to: [{ operation: { methods: [DELETE], ports: [8001] } }] }]");
  const allow = policy(
    "allow",
    "rules: [{ to: [{ operation: { methods: [GET] } }] }, { from: [{ source: { ipBlocks: [10.0.0.1] } }] }]",
  );
  const audit = policy("audit", "action: AUDIT\n  rules: [{}]");
  const nothing = policy("nothing", "{}");

  it("tokens first, then what is denied, then what is allowed, then what is noted; rules by their names", () => {
    const [manager] = managers(listenerOf("http", audit, allow, deny, TOKENS));
    assert.deepEqual(
      manager?.httpFilters.map(({ name }) => name),
      ["envoy.filters.http.jwt_authn", "rbac_deny", "rbac_allow", "rbac_audit", "envoy.filters.http.router"],
    );
    const rules = manager?.httpFilters.slice(1, 4).map(({ config }) => rbacJson(config));
    assert.deepEqual(
      rules?.map(({ rules: { action, policies } }) => [action, Object.keys(policies)]),
      [
        ["DENY", ["ns[default]-policy[deny]-rule[0]"]],
        ["ALLOW", ["ns[default]-policy[allow]-rule[0]", "ns[default]-policy[allow]-rule[1]"]],
        ["LOG", ["ns[default]-policy[audit]-rule[0]"]],
      ],
    );
  });

  it("a TCP port: of an ALLOW what asks for requests matches nothing, of a DENY only the rest of it is asked", () => {
    const chains = listenerOf("tcp", allow, deny, TOKENS)?.filterChains ?? [];
    const [denied, allowed, proxy] = chains[0]?.filters ?? [];
    assert.ok(denied?.type === "extension" && allowed?.type === "extension" && proxy?.type === "tcp-proxy");
    assert.deepEqual(rbacJson(denied.config).rules.policies, {
      "ns[default]-policy[deny]-rule[0]": { permissions: [{ destinationPort: 8001 }], principals: [{ any: true }] },
    });
    assert.deepEqual(Object.keys(rbacJson(allowed.config).rules.policies), ["ns[default]-policy[allow]-rule[1]"]);
    for (const { filters } of chains)
      for (const filter of filters) if (filter.type === "extension") valid(filter.config);
  });

  it("an ALLOW of which nothing is left there denies everything, as does one without rules", () => {
    const onlyHttp = policy("get", "rules: [{ to: [{ operation: { methods: [GET] } }] }]");
    const never = { permissions: [{ notRule: { any: true } }], principals: [{ notId: { any: true } }] };
    const [filter] = listenerOf("tcp", onlyHttp)?.filterChains[0]?.filters ?? [];
    assert.ok(filter?.type === "extension");
    assert.deepEqual(rbacJson(filter.config).rules, {
      action: "ALLOW",
      policies: { "ns[default]-policy[get]-rule[0]": never },
    });
    const [manager] = managers(listenerOf("http", nothing));
    assert.deepEqual(rbacJson(manager?.httpFilters[0]?.config).rules, {
      action: "ALLOW",
      policies: { "ns[default]-policy[nothing]-rule[0]": never },
    });
  });

  it("all chains have them, the one for plaintext as well", () => {
    const chains = listenerOf("http", deny)?.filterChains ?? [];
    assert.equal(chains.length, 2);
    for (const chain of chains) assert.equal(managersOf(chain)[0]?.httpFilters[0]?.name, "rbac_deny");
  });

  it("where paths decide, none has two readings; where they do not, the application sees them as they came", () => {
    const paths = policy("paths", "rules: [{ to: [{ operation: { notPaths: [/admin] } }] }]");
    const reading = (manager: HttpConnectionManagerConfig | undefined): unknown =>
      manager && [manager.normalizePath, manager.mergeSlashes, manager.pathWithEscapedSlashesAction];
    assert.deepEqual(reading(managers(listenerOf("http", paths))[0]), [true, true, "REJECT_REQUEST"]);
    assert.deepEqual(reading(managers(listenerOf("http", deny))[0]), [true, false, "KEEP_UNCHANGED"]);
  });

  it("policies are for whom they select: of the namespace, of labels, of the services that they name, of the mesh", () => {
    for (const [where, expected] of [
      [policy("p", "{}"), true],
      [policy("p", "{}").replace("namespace: default", "namespace: other"), false],
      [policy("p", "{}").replace("namespace: default", "namespace: heddle-system"), true],
      [policy("p", "selector: { matchLabels: { app: w } }"), true],
      [policy("p", "selector: { matchLabels: { app: v } }"), false],
      [policy("p", "targetRefs: [{ kind: Service, name: w }]"), true],
      [policy("p", "targetRefs: [{ kind: Service, name: v }]"), false],
    ] as const) {
      const [manager] = managers(listenerOf("http", where));
      assert.equal(manager?.httpFilters[0]?.name === "rbac_allow", expected, where);
    }
  });
});

describe("tokens", () => {
  it("of one issuer: right, or none", () => {
    const [manager] = managers(listenerOf("http", TOKENS));
    const [filter] = manager?.httpFilters ?? [];
    assert.ok(filter !== undefined);
    valid(filter.config);
    const provider = "ns[default]-policy[tokens]-rule[0]";
    assert.deepEqual(filter.config.config, {
      providers: {
        [provider]: {
          issuer: "https://issuer.example",
          remoteJwks: {
            httpUri: { uri: "https://issuer.example/keys", cluster: "jwks/https/issuer.example/443", timeout: "5s" },
            cacheDuration: "300s",
          },
          forward: false,
          payloadInMetadata: "payload",
          normalizePayloadInMetadata: { spaceDelimitedClaims: ["scope", "permission"] },
        },
      },
      rules: [
        {
          match: { prefix: "/" },
          requires: { requiresAny: { requirements: [{ providerName: provider }, { allowMissing: {} }] } },
        },
      ],
      bypassCorsPreflight: true,
    });
  });

  it("of several: one that is right, or of each one that is right or none", () => {
    const other = TOKENS.replace("name: tokens", "name: more");
    const [manager] = managers(listenerOf("http", TOKENS, other));
    const filter = manager?.httpFilters[0];
    assert.ok(filter !== undefined);
    valid(filter.config);
    const names = ["more", "tokens"].map((one) => ({ providerName: `ns[default]-policy[${one}]-rule[0]` }));
    const { rules } = filter.config.config as unknown as { readonly rules: readonly { readonly requires: Json }[] };
    assert.deepEqual(rules[0]?.requires, {
      requiresAny: {
        requirements: [
          ...names,
          {
            requiresAll: {
              requirements: names.map((one) => ({ requiresAny: { requirements: [one, { allowMissing: {} }] } })),
            },
          },
        ],
      },
    });
  });

  test("their keys come from whom the system's authorities attest under that name", () => {
    const mesh = meshOf(WORKLOAD, TOKENS);
    const workload = mesh.workload("default", "w");
    assert.ok(workload !== undefined);
    const [uri, ...more] = keyUris(mesh.policiesOf(workload).request);
    assert.ok(uri !== undefined && more.length === 0);
    const { name, discovery, tls } = keysCluster(uri);
    assert.deepEqual(
      [name, discovery.type, tls?.sni],
      ["jwks/https/issuer.example/443", "STRICT_DNS", "issuer.example"],
    );
    assert.equal(tls?.common.validation?.systemRoots, true);
    assert.deepEqual(tls.common.validation.sanMatchers, [
      { type: "DNS", oid: "", matcher: { type: "exact", value: "issuer.example", ignoreCase: false } },
    ]);
    assert.deepEqual(
      [keysCluster({ ...uri, tls: false, host: "10.0.0.1", port: 80 })].map((one) => [
        one.name,
        one.discovery.type,
        one.tls,
      ]),
      [["jwks/http/10.0.0.1/80", "STATIC", undefined]],
    );
  });
});

interface RbacJson {
  readonly rules: { readonly action: string; readonly policies: { readonly [name: string]: Json } };
}

function rbacJson(config: TypedConfig | undefined): RbacJson {
  assert.match(config?.type ?? "", /rbac/);
  return config?.config as unknown as RbacJson; // of that type
}

const WORKLOAD = `
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: w, labels: { app: w } }
spec: { addresses: [10.0.0.1], ports: [{ name: a, protocol: http, port: 8001, applicationPort: 9001 }] }
---
apiVersion: v1
kind: Service
metadata: { name: w }
spec: { selector: { app: w }, ports: [{ port: 80 }] }
---`;

const TOKENS = `
apiVersion: heddle.dev/v1
kind: RequestAuthentication
metadata: { name: tokens }
spec: { jwtRules: [{ issuer: "https://issuer.example", jwksUri: "https://issuer.example/keys" }] }
---`;

function policy(name: string, spec: string): string {
  return `
apiVersion: heddle.dev/v1
kind: AuthorizationPolicy
metadata: { name: ${name}, namespace: default }
spec:
  ${spec}
---`;
}

describe("policies of action CUSTOM", () => {
  const custom = "action: CUSTOM, provider: { name: door }";
  const rules = 'rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }]';
  const provider = (spec: string): string =>
    `apiVersion: heddle.dev/v1\nkind: ExtensionProvider\nmetadata: { name: door, namespace: heddle-system }\nspec: ${spec}\n---`;
  const http = provider(
    "{ envoyExtAuthzHttp: { service: authz.shop.svc.cluster.local, port: 8000, pathPrefix: /check, timeout: 1s, " +
      "includeRequestHeadersInCheck: [x-team, x-a*], includeAdditionalHeadersInCheck: { x-from: 5% }, " +
      "headersToUpstreamOnAllow: [x-user], failOpen: true, statusOnError: '503', " +
      "includeRequestBodyInCheck: { maxRequestBytes: 99, allowPartialMessage: true } } }",
  );
  const grpc = provider("{ envoyExtAuthzGrpc: { service: authz.example, port: 9000 } }");
  const filtersOf = (...texts: readonly string[]) => {
    const mesh = meshOf(WORKLOAD, ...texts);
    const workload = mesh.workload("default", "w");
    assert.ok(workload !== undefined);
    const policies = mesh.policiesOf(workload);
    const http = httpAuthorization(policies, TRUST).map(({ config }) => config);
    const tcp = tcpAuthorization(policies, TRUST).flatMap((one) => (one.type === "extension" ? [one.config] : []));
    for (const filter of [...http, ...tcp]) valid(filter);
    return { http, tcp };
  };
  const named = (filters: readonly { readonly name: string }[]): readonly string[] => filters.map(({ name }) => name);

  it("are asked about before anything is denied: RBAC notes what matches, and ext_authz asks about what is noted", () => {
    const made = filtersOf(http, policy("a", `{ ${custom}, ${rules} }`), policy("b", "{ action: DENY, rules: [{}] }"));
    assert.deepEqual(named(made.http), ["rbac_custom_door", "ext_authz_door", "rbac_deny"]);
    const [note, ask] = made.http.map(({ config }) => config as JsonObject);
    assert.deepEqual(Object.keys(note ?? {}), ["shadowRules", "shadowRulesStatPrefix"]);
    assert.match(JSON.stringify(note), /"action":"DENY","policies":{"ns\[default\]-policy\[a\]-rule\[0\]":/);
    assert.deepEqual(ask, {
      httpService: {
        serverUri: { uri: "http://authz.shop:8000", cluster: "outbound/8000/authz.shop", timeout: "1s" },
        pathPrefix: "/check",
        authorizationRequest: { headersToAdd: [{ key: "x-from", value: "5%%" }] },
        authorizationResponse: { allowedUpstreamHeaders: { patterns: [{ exact: "x-user", ignoreCase: true }] } },
      },
      allowedHeaders: {
        patterns: [
          { exact: "x-team", ignoreCase: true },
          { prefix: "x-a", ignoreCase: true },
        ],
      },
      transportApiVersion: "V3",
      statPrefix: "door",
      failureModeAllow: true,
      filterEnabledMetadata: {
        filter: "envoy.filters.http.rbac",
        path: [{ key: "custom_door_shadow_effective_policy_id" }],
        value: { stringMatch: { prefix: "ns[" } },
      },
      statusOnError: { code: 503 },
      clearRouteCache: false,
      withRequestBody: { maxRequestBytes: 99, allowPartialMessage: true, packAsBytes: false },
    });
  });

  it("are asked about at a TCP port where the provider takes connections, and else denied, with more than they match", () => {
    const text = policy("a", `{ ${custom}, ${rules} }`);
    const asked = filtersOf(grpc, text).tcp;
    assert.deepEqual(named(asked), ["rbac_custom_door", "ext_authz_door"]);
    // The authority is by default the cluster's name, and that of ours is none (RFC 3986 §3.2).
    const target = { clusterName: "ext-authz/door", authority: "authz.example:9000" };
    assert.deepEqual((asked[1]?.config as JsonObject | undefined)?.["grpcService"], {
      envoyGrpc: target,
      timeout: "600s",
    });
    const [deny, ...more] = filtersOf(http, text).tcp;
    assert.deepEqual([deny?.name, more], ["rbac_custom_door", []]);
    assert.match(JSON.stringify(deny?.config), /"rules":{"action":"DENY"/);
  });

  it("are denied where there is no such provider", () => {
    const made = filtersOf(policy("a", `{ ${custom}, ${rules} }`));
    assert.deepEqual(named(made.http), ["rbac_custom_door"]);
    assert.match(JSON.stringify(made.http[0]?.config), /"rules":{"action":"DENY"/);
  });
});

/** The RBAC policies that are made of one of ours, each valid by Envoy's rules. */
function rbacOf(spec: string): readonly Json[] {
  const mesh = meshOf(WORKLOAD, policy("p", spec));
  const workload = mesh.workload("default", "w");
  assert.ok(workload !== undefined);
  const [filter] = httpAuthorization(mesh.policiesOf(workload), TRUST);
  assert.ok(filter !== undefined);
  valid(filter.config);
  return Object.values(rbacJson(filter.config).rules.policies);
}

function valid({ type, config }: { readonly type: string; readonly config: Json }): void {
  const message = messageFromJson(type, config);
  assert.ok(message.ok, JSON.stringify(message));
  assert.deepEqual(validate(type, message.value), []);
}

function listenerOf(protocol: string, ...policies: readonly string[]): ListenerConfig | undefined {
  const mesh = meshOf(WORKLOAD.replace("protocol: http", `protocol: ${protocol}`), ...policies);
  const workload = mesh.workload("default", "w");
  assert.ok(workload?.ports[0] !== undefined);
  const security = { policies: mesh.policiesOf(workload), trust: TRUST, hasIdentity: true };
  return inboundListener(workload, workload.ports[0], security);
}

test("a TCP port that mutual TLS does not end looks for the name that clients ask for, where a policy asks for it", () => {
  const disabled = `
apiVersion: heddle.dev/v1
kind: PeerAuthentication
metadata: { name: p, namespace: default }
spec: { mtls: { mode: DISABLE } }
---`;
  const inspectors = (key: string, protocol = "tcp"): readonly string[] | undefined => {
    const deny = policy(
      "d",
      `action: DENY
  rules: [{ when: [{ key: ${key}, values: [a.b] }] }]`,
    );
    return listenerOf(protocol, disabled, deny)?.listenerFilters.map(({ type }) => type);
  };
  assert.deepEqual(inspectors("connection.sni"), ["tls-inspector"]);
  assert.deepEqual(inspectors("source.principal"), []);
  assert.deepEqual(inspectors("connection.sni", "http"), []);
});

function managers(listener: ListenerConfig | undefined): readonly HttpConnectionManagerConfig[] {
  return listener?.filterChains.flatMap(managersOf) ?? [];
}

function managersOf({ filters }: FilterChainConfig): readonly HttpConnectionManagerConfig[] {
  return filters.flatMap((filter) => (filter.type === "http-connection-manager" ? [filter.config] : []));
}
