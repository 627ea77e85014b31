import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import type { Json } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import { ScriptedExchange } from "@heddle/filter/testing";
import type { TlsInfo } from "@heddle/net";
import { MemoryMetrics } from "../http/testing-telemetry.ts";
import { rbacType } from "./rbac-types.ts";

const ANY = { any: true };
const only = (permission: Json, principal: Json = ANY): Json => ({
  permissions: [permission],
  principals: [principal],
});
const path = (value: Json): Json => ({ urlPath: { path: value } });
const header = (name: string, exact: string): Json => ({ header: { name, stringMatch: { exact } } });
const deny = (name: string, permission: Json): Json => ({
  rules: { action: "DENY", policies: { [name]: only(permission) } },
});

let metrics: MemoryMetrics;
beforeEach(() => {
  metrics = new MemoryMetrics();
});

const count = (name: string): number => metrics.values.get(name) ?? 0;

interface Asked {
  readonly config: Json;
  readonly routeConfig?: Json;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly downstream?: Partial<DownstreamInfo>;
}

function ask({
  config,
  routeConfig,
  method = "GET",
  path = "/",
  headers = {},
  downstream = {},
}: Asked): ScriptedExchange {
  const filters = [{ name: "rbac", filter: rbacType, config, ...(routeConfig !== undefined && { routeConfig }) }];
  const exchange = new ScriptedExchange({ filters, metrics, downstream });
  exchange.sendRequest(method, path, headers);
  if (exchange.atUpstream.head !== undefined) exchange.respond(200);
  return exchange;
}

const statusOf = (asked: Asked): number | undefined => ask(asked).atClient.head?.status;

describe("the RBAC filter", () => {
  test("denies with 403, and says in its details and its metadata by which policy", () => {
    const exchange = ask({ config: deny("no\tadmin here", path({ prefix: "/admin" })), path: "/admin/x" });
    assert.equal(exchange.atClient.head?.status, 403);
    assert.equal(exchange.atClient.body, "RBAC: access denied");
    assert.equal(exchange.atUpstream.head, undefined);
    assert.equal(exchange.responseCodeDetails, "rbac_access_denied_matched_policy[no_admin_here]");
    assert.deepEqual(Object.fromEntries(exchange.metadata.get("envoy.filters.http.rbac") ?? []), {
      enforced_effective_policy_id: "no\tadmin here",
      enforced_engine_result: "denied",
    });
    assert.equal(exchange.atClient.head.headers.get("x-heddle-denied-by"), undefined);
    assert.equal(count("rbac.denied"), 1);
  });

  test('denies what no policy allows, by the policy "none"', () => {
    const config = { rules: { policies: { get: only(header(":method", "GET")) } } };
    assert.equal(statusOf({ config }), 200);
    const denied = ask({ config, method: "POST" });
    assert.equal(denied.responseCodeDetails, "rbac_access_denied_matched_policy[none]");
    assert.deepEqual([count("rbac.allowed"), count("rbac.denied")], [1, 1]);
  });

  test("lets everybody pass without rules, and nobody with empty ones", () => {
    assert.equal(statusOf({ config: {} }), 200);
    assert.equal(statusOf({ config: { rules: {} } }), 403);
    assert.equal(statusOf({ config: { matcher: {} } }), 403);
    assert.equal(statusOf({ config: { rules: { action: "DENY" } } }), 200);
    assert.equal(statusOf({ config: { matcher: {}, rules: { action: "DENY" } } }), 403, "the matcher counts");
  });

  test("asks the policies in the order of their names: the first that matches is named", () => {
    const config = { rules: { action: "DENY", policies: { b: only(ANY), a: only(ANY), "": only(header("x", "y")) } } };
    assert.equal(ask({ config }).responseCodeDetails, "rbac_access_denied_matched_policy[a]");
  });

  test("a gRPC call is denied with PERMISSION_DENIED", () => {
    const headers = { "content-type": "application/grpc", te: "trailers" };
    const head = ask({ config: { rules: {} }, method: "POST", path: "/s/m", headers }).atClient.head;
    assert.deepEqual([head?.status, head?.headers.get("grpc-status")], [200, "7"]);
  });

  test("names the policy to a trusted caller that asks", () => {
    const headers = { "x-heddle-explain": "denial", "x-envoy-internal": "true" };
    const exchange = ask({ config: deny("no admin", ANY), headers });
    assert.equal(exchange.atClient.head?.headers.get("x-heddle-denied-by"), "rbac/no_admin");
  });

  test("tries shadow rules without a consequence but counters and metadata", () => {
    const config = {
      shadowRules: { policies: { get: only(header(":method", "GET")) } },
      shadowRulesStatPrefix: "try_",
    };
    const allowed = ask({ config });
    assert.deepEqual(Object.fromEntries(allowed.metadata.get("envoy.filters.http.rbac") ?? []), {
      try_shadow_effective_policy_id: "get",
      try_shadow_engine_result: "allowed",
    });
    const denied = ask({ config, method: "POST" });
    assert.equal(denied.atClient.head?.status, 200);
    assert.deepEqual(Object.fromEntries(denied.metadata.get("envoy.filters.http.rbac") ?? []), {
      try_shadow_engine_result: "denied",
    });
    assert.equal(count("rbac.try_.shadow_allowed"), 1);
    assert.equal(count("rbac.try_.shadow_denied"), 1);
    assert.equal(count("rbac.allowed"), 0);
  });

  test("counts each policy where it is told to", () => {
    const config = { ...(deny("x", header("x", "1")) as object), trackPerRuleStats: true, rulesStatPrefix: "own" };
    ask({ config, headers: { x: "1" } });
    ask({ config });
    assert.equal(count("rbac.policy.denied"), 1);
    assert.equal(count("rbac.policy.allowed"), 0);
  });

  test("action LOG allows, and marks what is to be logged", () => {
    const config = { rules: { action: "LOG", policies: { post: only(header(":method", "POST")) } } };
    const hint = (method: string): unknown =>
      ask({ config, method }).metadata.get("envoy.common")?.get("access_log_hint");
    assert.deepEqual([hint("POST"), hint("GET")], [true, false]);
    assert.deepEqual([count("rbac.logged"), count("rbac.not_logged")], [1, 1]);
  });

  test("a route's rules take the place of the filter's, and an empty one asks nothing", () => {
    const config = { rules: {} };
    assert.equal(statusOf({ config, routeConfig: { rbac: deny("x", header("x", "1")) } }), 200);
    assert.equal(statusOf({ config, routeConfig: { rbac: { rules: {} } } }), 403);
    assert.equal(statusOf({ config, routeConfig: {} }), 200);
  });

  test("asks of CONNECT and of upgrades as well", () => {
    const config = deny("upgrades", {
      header: { name: "upgrade", stringMatch: { exact: "websocket", ignoreCase: true } },
    });
    assert.equal(statusOf({ config, headers: { upgrade: "WebSocket", connection: "upgrade" } }), 403);
    assert.equal(
      statusOf({ config: { rules: { policies: { p: only(path({ prefix: "/" })) } } }, method: "CONNECT", path: "" }),
      403,
    );
  });

  test("conditions look at what other filters have left", () => {
    const matcher = {
      filter: "envoy.filters.http.jwt_authn",
      path: [{ key: "claims" }, { key: "groups" }],
      value: { listMatch: { oneOf: { stringMatch: { exact: "é" } } } },
    };
    const config = { rules: { policies: { p: only(ANY, { metadata: matcher }) } } };
    const groups = (...values: string[]): number | undefined => {
      const exchange = new ScriptedExchange({ filters: [{ filter: rbacType, config }] });
      exchange.metadata.set("envoy.filters.http.jwt_authn", new Map([["claims", { groups: values }]]));
      exchange.sendRequest("GET", "/");
      if (exchange.atUpstream.head !== undefined) exchange.respond(200);
      return exchange.atClient.head?.status;
    };
    assert.equal(groups("a", "é"), 200);
    assert.equal(groups("a"), 403);
    assert.equal(statusOf({ config }), 403);
  });

  test("what it cannot read it refuses, with all the reasons and their places", () => {
    const read = rbacType.parse({
      rules: {
        action: "MAYBE",
        policies: {
          p: {
            permissions: [{}, { any: false }, { matcher: { name: "m", typedConfig: { "@type": "t/x.Y" } } }],
            principals: [{ filterState: {} }, { remoteIp: { addressPrefix: "10.0.0.0", prefixLen: 33 } }],
          },
          q: { permissions: [], principals: [{ andIds: { ids: [{ header: { name: "" } }] } }] },
        },
      },
      shadowMatcher: {
        matcherTree: { input: { name: "i", typedConfig: { "@type": "t/x.Input" } }, exactMatchMap: {} },
      },
    });
    assert.ok(!read.ok);
    const places = read.error.map(({ path }) => path);
    assert.deepEqual(places, [
      "rules.action",
      'rules.policies["p"].permissions[0]',
      'rules.policies["p"].permissions[1].any',
      'rules.policies["p"].permissions[2].matcher',
      'rules.policies["p"].principals[0].filterState',
      'rules.policies["p"].principals[1].remoteIp',
      'rules.policies["q"].permissions',
      'rules.policies["q"].principals[0].andIds.ids[0].header',
      "shadowMatcher.matcherTree.input",
    ]);
  });
});

describe("rules of access are not passed by", () => {
  const admin = deny("admin", path({ exact: "/admin" }));

  test("CVE-2020-25017, CVE-2026-26308: by a value that hides behind another of the same header", () => {
    const config = deny("role", header("x-role", "admin"));
    const statusWith = (...fields: string[]): number | undefined => {
      const exchange = new ScriptedExchange({ filters: [{ filter: rbacType, config }] });
      exchange.request.headers.fields.push(...fields);
      exchange.receiveHead(true);
      if (exchange.atUpstream.head !== undefined) exchange.respond(200);
      return exchange.atClient.head?.status;
    };
    assert.equal(statusWith("x-role", "user", "x-role", "admin"), 403);
    assert.equal(statusWith("x-role", "admin", "x-role", "admin"), 403);
    assert.equal(statusWith("x-role", "user", "x-role", "guest"), 200);
  });

  test("CVE-2026-26308: an inverted matcher gives no access for one good value, and denies for one bad one", () => {
    const notAdmin = { header: { name: "x-role", stringMatch: { exact: "admin" }, invertMatch: true } };
    const notUser = { header: { name: "x-role", stringMatch: { exact: "user" }, invertMatch: true } };
    const statusOfBoth = (config: Json): number | undefined => {
      const exchange = new ScriptedExchange({ filters: [{ filter: rbacType, config }] });
      exchange.request.headers.fields.push("x-role", "user", "x-role", "admin");
      exchange.receiveHead(true);
      if (exchange.atUpstream.head !== undefined) exchange.respond(200);
      return exchange.atClient.head?.status;
    };
    assert.equal(statusOfBoth({ rules: { policies: { p: only(notAdmin) } } }), 403);
    assert.equal(statusOfBoth(deny("p", notUser)), 403);
    assert.equal(statusOfBoth({ rules: { policies: { p: only({ notRule: notUser }) } } }), 403);
  });

  test("CVE-2021-32779: by a fragment or a query", () => {
    for (const target of ["/admin#x", "/admin?x#y", "/admin?x", "/admin#?"]) {
      assert.equal(statusOf({ config: admin, path: target }), 403, target);
    }
  });

  test("CVE-2026-73552: by a byte that is no UTF-8", () => {
    const config = deny("marker", { header: { name: "x-note", stringMatch: { safeRegex: { regex: ".*marker.*" } } } });
    assert.equal(statusOf({ config, headers: { "x-note": "a marker \xff" } }), 403);
    const allow = {
      rules: {
        policies: {
          p: only({ notRule: { header: { name: "x-note", stringMatch: { safeRegex: { regex: ".*marker.*" } } } } }),
        },
      },
    };
    assert.equal(statusOf({ config: allow, headers: { "x-note": "marker\xc3" } }), 403);
  });

  test("by a certificate for which nobody vouches, with whatever names", () => {
    const peer = { subject: "CN=alice", uriSans: ["spiffe://td/alice"], dnsSans: ["alice"] } as unknown as NonNullable<
      TlsInfo["peer"]
    >;
    const asWho = (principal: Json, peerVerified: boolean): number | undefined =>
      statusOf({
        config: { rules: { policies: { p: only(ANY, principal) } } },
        downstream: { tls: { peer, peerVerified } as unknown as TlsInfo },
      });
    const mtls = (fields: object): Json => ({
      custom: {
        name: "mtls",
        typedConfig: {
          "@type": "type.googleapis.com/envoy.extensions.rbac.principals.mtls_authenticated.v3.Config",
          ...fields,
        },
      },
    });
    for (const principal of [
      { authenticated: {} },
      { authenticated: { principalName: { exact: "spiffe://td/alice" } } },
      { authenticated: { principalName: { safeRegex: { regex: ".*" } } } },
      mtls({ anyValidatedClientCertificate: true }),
      mtls({ sanMatcher: { sanType: "URI", matcher: { prefix: "spiffe://td/" } } }),
    ]) {
      assert.equal(asWho(principal, false), 403, JSON.stringify(principal));
      assert.equal(asWho(principal, true), 200, JSON.stringify(principal));
      assert.equal(statusOf({ config: { rules: { policies: { p: only(ANY, principal) } } } }), 403, "plaintext");
    }
    assert.equal(asWho({ authenticated: { principalName: { exact: "CN=alice" } } }, true), 200);
  });

  test("CVE-2025-66220: by a name with a NUL in it", () => {
    const peer = { subject: "", uriSans: ["spiffe://td/alice\0.evil"], dnsSans: [] } as unknown as NonNullable<
      TlsInfo["peer"]
    >;
    for (const principalName of [{ prefix: "spiffe://td/alice" }, { safeRegex: { regex: "(?s).*alice.*" } }]) {
      const config = { rules: { policies: { p: only(ANY, { authenticated: { principalName } }) } } };
      assert.equal(statusOf({ config, downstream: { tls: { peer, peerVerified: true } as unknown as TlsInfo } }), 403);
    }
  });

  test("by an address that only a header says, where the socket's is asked for", () => {
    const connection = { directRemoteAddress: "203.0.113.9", remoteAddress: "203.0.113.9" } as DownstreamInfo;
    const downstream = { ...connection, remoteAddress: "10.0.0.1", connection };
    const ten = { addressPrefix: "10.0.0.0", prefixLen: 8 };
    const asWho = (principal: Json): number | undefined =>
      statusOf({ config: { rules: { policies: { p: only(ANY, principal) } } }, downstream });
    assert.equal(asWho({ directRemoteIp: ten }), 403);
    assert.equal(asWho({ sourceIp: ten }), 403);
    assert.equal(asWho({ remoteIp: ten }), 200);
  });
});
