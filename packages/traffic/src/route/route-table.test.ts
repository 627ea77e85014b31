import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HeaderMap, RequestHead, ResponseHead } from "@heddle/http";
import type { TlsInfo } from "@heddle/net";
import fc from "fast-check";
import { LiveRuntime } from "../runtime/live-runtime.ts";
import { logSourceOf } from "../testing-log-source.ts";
import { pathOnly } from "./path.ts";
import type { RouteConfiguration, RouteEntry, WeightedCluster } from "./route-config.ts";
import { forward, get, route, routeConfiguration, virtualHost, weighted } from "./route-fixtures.ts";
import { RequestToMatch, RouteMatcher } from "./route-matcher.ts";
import { compileRouteConfiguration } from "./route-table.ts";

function cluster(config: RouteConfiguration, head: RequestHead, random = 0): string | undefined {
  return compileRouteConfiguration(config).match(head, random)?.cluster;
}

function oneHost(...routes: RouteEntry[]): RouteConfiguration {
  return routeConfiguration([virtualHost(["*"], routes)]);
}

describe("virtual host search", () => {
  const host = (domain: string) => virtualHost([domain], [route({}, forward(domain))]);
  const domains = ["*", "www.example.com", "*.example.com", "*-bar.example.com", "www.*", "www.exa*", "*.com"];
  const config = routeConfiguration(domains.map(host));

  it("takes the exact domain, then the longest suffix, then the longest prefix, then any", () => {
    for (const [authority, domain] of [
      ["www.example.com", "www.example.com"],
      ["WWW.example.com", "www.example.com"],
      ["foo-bar.example.com", "*-bar.example.com"],
      ["api.example.com", "*.example.com"],
      ["-bar.example.com", "*.example.com"], // a wildcard stands for at least one character
      [".example.com", "*.com"],
      ["www.example.org", "www.exa*"],
      ["www.other.org", "www.*"],
      ["other", "*"],
      ["", "*"],
    ] as const) {
      assert.equal(cluster(config, get("/", authority)), domain, authority);
    }
  });

  it("counts the port as part of the host, unless told to ignore it", () => {
    const ignoring = { ...config, ignorePortInHostMatching: true };
    assert.equal(cluster(config, get("/", "www.example.com:8080")), "www.exa*");
    assert.equal(cluster(ignoring, get("/", "www.example.com:8080")), "www.example.com");
    const v6 = routeConfiguration([host("[::1]")], { ignorePortInHostMatching: true });
    assert.equal(cluster(v6, get("/", "[::1]:80")), "[::1]");
    assert.equal(cluster(v6, get("/", "[::1]")), "[::1]");
  });

  it("finds nothing where no domain fits, and does not try another host when no route fits", () => {
    const two = routeConfiguration([
      virtualHost(["a"], [route({ path: { type: "path", value: "/x" } }, forward("a"))]),
      virtualHost(["*"], [route({}, forward("any"))]),
    ]);
    assert.equal(cluster(routeConfiguration([host("a")]), get("/", "b")), undefined);
    assert.equal(cluster(two, get("/y", "a")), undefined);
  });
});

describe("route match", () => {
  it("takes the first route whose conditions all hold", () => {
    const present = {
      name: "x",
      match: { type: "present", present: true },
      invert: false,
      treatMissingHeaderAsEmpty: false,
    } as const;
    const config = oneHost(
      route({ path: { type: "prefix", value: "/a" }, headers: [present] }, forward("with header")),
      route({ path: { type: "path", value: "/a" } }, forward("exact")),
      route({ queryParameters: [{ name: "q", match: { type: "present" } }] }, forward("with query")),
      route({ path: { type: "prefix", value: "/" } }, forward("rest")),
    );
    assert.equal(cluster(config, get("/a", "h", { x: "1" })), "with header");
    assert.equal(cluster(config, get("/a?q=1")), "exact");
    assert.equal(cluster(config, get("/ab?q")), "with query");
    assert.equal(cluster(config, get("/ab?r")), "rest");
  });

  it("knows prefixes, whole segments, exact paths and regular expressions", () => {
    const by = (path: Parameters<typeof route>[0]["path"], caseSensitive = true) => {
      const config = oneHost(route({ path: path!, caseSensitive }, forward("yes")));
      return (target: string) => cluster(config, get(target)) === "yes";
    };
    const prefix = by({ type: "prefix", value: "/api" });
    assert.ok(prefix("/api") && prefix("/apix?y") && !prefix("/ap") && !prefix("/API"));
    const segments = by({ type: "path-separated-prefix", value: "/api" });
    assert.ok(segments("/api") && segments("/api/x") && segments("/api?y") && !segments("/apix"));
    const exact = by({ type: "path", value: "/api" });
    assert.ok(exact("/api") && exact("/api?x=/api/") && exact("/api#f") && !exact("/api/"));
    const anyCase = by({ type: "prefix", value: "/Api" }, false);
    assert.ok(anyCase("/api") && anyCase("/API/x"));
    const regex = by({ type: "safe-regex", regex: "/v[12]/.*" });
    assert.ok(regex("/v1/x?y") && !regex("/v3/x") && !regex("/v1"));
  });

  it("leaves CONNECT to the routes that ask for it", () => {
    const config = oneHost(route({}, forward("path")), route({ path: { type: "connect" } }, forward("tunnel")));
    const connect = new RequestHead("CONNECT", "http", "example.com:443", "", new HeaderMap());
    const websocket = new RequestHead("CONNECT", "http", "example.com", "/chat", new HeaderMap(), "2", "websocket");
    assert.equal(cluster(config, connect), "tunnel");
    assert.equal(cluster(config, websocket), "path");
    assert.equal(cluster(config, get("*")), undefined);
  });

  it("tells gRPC by its content type", () => {
    const config = oneHost(route({ grpc: true }, forward("grpc")), route({}, forward("rest")));
    for (const [type, expected] of [
      ["application/grpc", "grpc"],
      ["application/grpc+proto", "grpc"],
      ["application/grpc-web", "rest"],
      ["application/json", "rest"],
    ] as const) {
      assert.equal(cluster(config, get("/", "h", { "content-type": type })), expected, type);
    }
  });

  it("tells clients by the certificate that they have shown", () => {
    const shown = { peer: {}, peerVerified: true } as TlsInfo;
    const unverified = { peer: {}, peerVerified: false } as TlsInfo;
    const none = { peer: undefined, peerVerified: false } as TlsInfo;
    for (const [clientCertificate, fitting, words] of [
      [{ presented: true }, [shown, unverified], "a client certificate"],
      [{ presented: false }, [none, undefined], "no client certificate"],
      [{ validated: true }, [shown], "client certificate validated"],
      [{ validated: false }, [unverified, none, undefined], "client certificate not validated"],
      [{ presented: true, validated: false }, [unverified], "a client certificate, client certificate not validated"],
      [{ presented: false, validated: true }, [], "no client certificate, client certificate validated"],
      [{}, [shown, unverified, none, undefined], ""],
    ] as const) {
      const wanted = route({ clientCertificate }, forward("wanted"));
      const table = compileRouteConfiguration(oneHost(wanted, route({}, forward("rest"))));
      for (const tls of [shown, unverified, none, undefined]) {
        const expected = (fitting as readonly (TlsInfo | undefined)[]).includes(tls) ? "wanted" : "rest";
        assert.equal(table.match(get("/"), 0, tls)?.cluster, expected, `${JSON.stringify(tls)} for ${words}`);
      }
      assert.equal(new RouteMatcher(wanted.match).toString(), words === "" ? 'prefix "/"' : `prefix "/", ${words}`);
    }
  });

  it("takes a fraction of the requests by the exchange's random number", () => {
    const config = oneHost(
      route({ runtimeFraction: { numerator: 30, denominator: 100 } }, forward("some")),
      route({}, forward("rest")),
    );
    assert.equal(cluster(config, get("/"), 129), "some");
    assert.equal(cluster(config, get("/"), 130), "rest");
  });

  it("a runtime key changes the fraction, and the weights, of a table that is in use", () => {
    const fraction = { numerator: 30, denominator: 100, runtimeKey: "some.share" };
    const clusters = [weighted("a", 1), weighted("b", 0)];
    const split = forward("", { cluster: { type: "weighted", clusters, runtimeKeyPrefix: "split" } });
    const runtime = new LiveRuntime();
    const table = compileRouteConfiguration(
      oneHost(route({ runtimeFraction: fraction }, forward("some")), route({}, split)),
      runtime,
    );
    const chosen = (random: number): string | undefined => table.match(get("/"), random)?.cluster;
    assert.deepEqual([chosen(29), chosen(30)], ["some", "a"]);
    runtime.publish({ "some.share": 0, "split.a": 0, "split.b": 5 });
    assert.deepEqual([chosen(29), chosen(30)], ["b", "b"]);
    runtime.publish({ "some.share": { numerator: 1, denominator: "HUNDRED" }, "split.a": 0 });
    assert.deepEqual([chosen(0), chosen(1)], ["some", "a"], "the first where all weights are 0");
  });

  it("is the same whether found through the index or by asking every route in turn", () => {
    const value = fc.constantFrom("/", "/a", "/a/", "/a/b", "/ab", "/abc", "/b", "/a/b/c", "");
    const path = fc.oneof(
      fc.record({ type: fc.constantFrom("prefix" as const, "path" as const, "path-separated-prefix" as const), value }),
      fc.record({ type: fc.constant("safe-regex" as const), regex: fc.constantFrom("/a.*", ".*c", "/[ab]") }),
      fc.constant({ type: "connect" as const }),
    );
    const entry = fc.record({ path, caseSensitive: fc.boolean(), grpc: fc.boolean() });
    const target = fc.constantFrom("/", "/a", "/A", "/a/b", "/ab?x", "/abc", "/a/b/c", "/b#f", "*", "");
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), target, fc.boolean(), (matches, path_, grpc) => {
        const routes = matches.map((match, i) => route(match, forward(`cluster ${i}`)));
        const head = get(path_, "h", grpc ? { "content-type": "application/grpc" } : {});
        if (path_ === "") head.method = "CONNECT";
        const request = new RequestToMatch(head, pathOnly(path_), undefined);
        const scanned = routes.findIndex((r) => new RouteMatcher(r.match).matches(request, 0));
        assert.equal(cluster(oneHost(...routes), head), scanned === -1 ? undefined : `cluster ${scanned}`);
      }),
      { seed: 21, numRuns: 500 },
    );
  });

  it("finds one of a thousand routes by prefix or path, in the order of the list", () => {
    const routes = Array.from({ length: 1000 }, (_, i) =>
      route({ path: { type: i % 2 === 0 ? "path" : "prefix", value: `/service-${i}` } }, forward(`cluster ${i}`)),
    );
    const table = compileRouteConfiguration(oneHost(...routes));
    for (const [path, expected] of [
      ["/service-998", "cluster 9"], // "/service-9" is a prefix of it and stands before it
      ["/service-404", "cluster 404"],
      ["/service-631/x", "cluster 63"],
      ["/service-801/x", "cluster 801"],
    ] as const) {
      assert.equal(table.match(get(path), 0)?.cluster, expected, path);
    }
  });
});

describe("selected route", () => {
  const split = (...clusters: WeightedCluster[]) => forward("", { cluster: { type: "weighted", clusters } });

  it("draws a weighted cluster exactly by weight", () => {
    const table = compileRouteConfiguration(
      oneHost(route({}, split(weighted("a", 90), weighted("none", 0), weighted("b", 10)))),
    );
    const counts = new Map<string, number>();
    for (let random = 0; random < 1000; random++) {
      const name = table.match(get("/"), random)!.cluster;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    assert.deepEqual(
      [...counts],
      [
        ["a", 900],
        ["b", 100],
      ],
    );
  });

  it("is the same object for every request that gets the same result", () => {
    const table = compileRouteConfiguration(oneHost(route({}, split(weighted("a", 1), weighted("b", 1)))));
    assert.equal(table.match(get("/x"), 0), table.match(get("/y"), 2));
  });

  it("takes its cluster from a header, if there is one", () => {
    const byHeader = forward("", { cluster: { type: "cluster-header", header: "X-Cluster" } });
    const config = oneHost(route({}, byHeader));
    assert.equal(cluster(config, get("/", "h", { "x-cluster": "c" })), "c");
    assert.equal(cluster(config, get("/")), "");
    const byHost = forward("", { cluster: { type: "cluster-header", header: ":authority" } });
    assert.equal(cluster(oneHost(route({}, byHost)), get("/", "shop")), "shop");
  });

  it("knows a filter's most specific configuration", () => {
    const override = (type: string) => ({ disabled: false, config: { name: "f", type, config: null } });
    const config = routeConfiguration(
      [
        virtualHost(
          ["*"],
          [
            route({}, split(weighted("a", 1, { typedPerFilterConfig: { f: override("cluster") } }), weighted("b", 1)), {
              typedPerFilterConfig: { f: override("route") },
            }),
          ],
          { typedPerFilterConfig: { f: override("host"), g: override("host") } },
        ),
      ],
      { typedPerFilterConfig: { g: override("config"), h: { disabled: true, config: undefined } } },
    );
    const table = compileRouteConfiguration(config);
    const type = (random: number, filter: string) =>
      table.match(get("/"), random)!.filterOverride(filter)?.config?.type;
    assert.equal(type(0, "f"), "cluster");
    assert.equal(type(1, "f"), "route");
    assert.equal(type(0, "g"), "host");
    assert.equal(table.match(get("/"), 0)!.filterOverride("h")?.disabled, true);
    assert.equal(type(0, "other"), undefined);
  });

  it("has the route's retry policy, else the virtual host's", () => {
    const policy = {
      retryOn: ["5xx"],
      numRetries: 1,
      perTryTimeoutMs: 0,
      retriableStatusCodes: [],
      baseIntervalMs: 25,
      maxIntervalMs: 250,
    };
    const config = routeConfiguration([
      virtualHost(
        ["*"],
        [
          route({ path: { type: "path", value: "/own" } }, forward("c", { retryPolicy: { ...policy, numRetries: 7 } })),
          route({}, forward("c")),
        ],
        { retryPolicy: policy },
      ),
    ]);
    const table = compileRouteConfiguration(config);
    assert.equal(table.match(get("/own"), 0)?.retryPolicy?.numRetries, 7);
    assert.equal(table.match(get("/"), 0)?.retryPolicy?.numRetries, 1);
    assert.ok(table.match(get("/"), 0)?.retry?.retriesResponse(new ResponseHead(500, new HeaderMap())));
    assert.equal(compileRouteConfiguration(oneHost(route({}, forward("c")))).match(get("/"), 0)?.retry, undefined);
  });
});

it("a host that requires TLS sends those there who have come without", () => {
  const app = route({}, forward("app"));
  const table = compileRouteConfiguration(
    routeConfiguration([
      virtualHost(["all.example"], [app], { requireTls: "ALL" }),
      virtualHost(["outside.example"], [app], { requireTls: "EXTERNAL_ONLY" }),
      virtualHost(["nobody.example"], [app]),
    ]),
  );
  for (const [authority, headers, redirected] of [
    ["all.example", [], true],
    ["all.example", ["x-forwarded-proto", "http"], true],
    ["all.example", ["x-forwarded-proto", "https"], false],
    ["all.example", ["x-forwarded-proto", "http", "x-envoy-internal", "true"], true],
    ["outside.example", ["x-forwarded-proto", "http"], true],
    ["outside.example", ["x-forwarded-proto", "http", "x-envoy-internal", "true"], false],
    ["nobody.example", ["x-forwarded-proto", "http"], false],
  ] as const) {
    const head = new RequestHead("GET", "http", authority, "/a?b", new HeaderMap([...headers]));
    const { action } = table.match(head, 0)!.entry; // each host has a route for everything
    assert.equal(action.type, redirected ? "redirect" : "forward", `${authority} ${headers.join(" ")}`);
  }
});

it("what sends to TLS changes no headers", () => {
  const added = [
    { name: "location", value: "x", appendAction: "OVERWRITE_IF_EXISTS_OR_ADD", keepEmptyValue: false },
  ] as const;
  const host = virtualHost(["*"], [route({}, forward("app"))], { requireTls: "ALL", responseHeadersToAdd: added });
  const table = compileRouteConfiguration(routeConfiguration([host], { responseHeadersToAdd: added }));
  const [headers, head] = [new HeaderMap(), get("/")];
  table.match(head, 0)!.finalizeResponse(headers, { logSource: logSourceOf(head) });
  assert.equal(headers.size, 0);
});

describe("a table that comes after another", () => {
  const host = (domain: string, to: string) => virtualHost([domain], [route({}, forward(to))]);
  const [a, b] = [host("a", "one"), host("b", "one")];
  const first = compileRouteConfiguration(routeConfiguration([a, b]));
  const selected = (table: typeof first, authority: string) => table.match(get("/", authority), 0);

  it("has the same compiled hosts where they are the same objects, and others where anything else has changed", () => {
    const second = compileRouteConfiguration(routeConfiguration([a, host("b", "two")]), undefined, first);
    assert.equal(selected(second, "a"), selected(first, "a"));
    assert.deepEqual([selected(second, "b")?.cluster, selected(first, "b")?.cluster], ["two", "one"]);
    const mutation = { ignorePortInHostMatching: true };
    const third = compileRouteConfiguration(routeConfiguration([a], mutation), undefined, second);
    assert.notEqual(selected(third, "a"), selected(first, "a"));
    assert.equal(selected(third, "a:80")?.cluster, "one");
    assert.equal(selected(third, "b"), undefined);
  });
});
