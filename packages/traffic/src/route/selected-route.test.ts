import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { HeaderMap, type RequestHead } from "@heddle/http";
import { logSourceOf } from "../testing-log-source.ts";
import type { HeaderFormatContext } from "./header-format.ts";
import { compileHeaderFormat } from "./header-format.ts";
import type { ForwardAction, HeaderValueOption, RedirectAction, RouteAction, RouteMatch } from "./route-config.ts";
import { forward, get, route, routeConfiguration, virtualHost, weighted } from "./route-fixtures.ts";
import { compileRouteConfiguration } from "./route-table.ts";
import type { SelectedRoute } from "./selected-route.ts";

function context(request: RequestHead): HeaderFormatContext {
  return {
    logSource: logSourceOf(request, {
      downstreamDirectRemoteAddress: "10.0.0.9",
      downstreamRemoteAddress: "192.0.2.7",
      downstreamRemotePort: 4711,
      downstreamLocalAddress: "::1",
      downstreamLocalPort: 8080,
      startWallMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
      responseCodeDetails: "route_not_found",
      metadata: (_of, _namespace, [key]) => (key === "list" ? ["grüß"] : "Ω"),
    }),
  };
}

function add(name: string, value: string, more: Partial<HeaderValueOption> = {}): HeaderValueOption {
  return { name, value, appendAction: "APPEND_IF_EXISTS_OR_ADD", keepEmptyValue: false, ...more };
}

function selected(head: RequestHead, action: RouteAction, match: Partial<RouteMatch> = {}): SelectedRoute {
  const config = routeConfiguration([virtualHost(["*"], [route(match, action)])]);
  const result = compileRouteConfiguration(config).match(head, 0);
  assert.ok(result !== undefined);
  return result;
}

describe("header format", () => {
  const format = (text: string, head = get("/p?q", "h", { "x-a": "abcdef" })): string => {
    const compiled = compileHeaderFormat(text);
    assert.ok(compiled.ok, text);
    return compiled.value.format(context(head));
  };

  it("knows the commands", () => {
    assert.equal(format("%DOWNSTREAM_REMOTE_ADDRESS%"), "192.0.2.7:4711");
    assert.equal(format("<%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%>"), "<192.0.2.7>");
    assert.equal(format("%DOWNSTREAM_LOCAL_ADDRESS%"), "[::1]:8080");
    assert.equal(format("%PROTOCOL% %REQ(:METHOD)% %REQ(:path)%"), "HTTP/1.1 GET /p?q");
    assert.equal(format("%REQ(x-a):3%|%REQ(X-B?X-A)%|%REQ(x-b)%|"), "abc|abcdef||");
    assert.equal(format("%START_TIME%"), "2026-01-02T03:04:05.678Z");
    assert.equal(format("%START_TIME(%s%3f)%"), String(Date.UTC(2026, 0, 2, 3, 4, 5, 678)));
    assert.notEqual(format("%HOSTNAME%"), "");
    assert.equal(format("100%%"), "100%");
    assert.equal(format("é"), "\xc3\xa9", "bytes, as heads carry them");
  });

  it("has every command of access logs, and nothing for what is missing", () => {
    assert.equal(format("%RESPONSE_CODE_DETAILS% %UPSTREAM_HOST%|%RESPONSE_FLAGS%"), "route_not_found |-");
    assert.equal(format("%DYNAMIC_METADATA(a:text)%"), Buffer.from("Ω").toString("latin1"));
    assert.equal(format("%DYNAMIC_METADATA(a:list)%"), Buffer.from('["grüß"]').toString("latin1"));
  });

  it("refuses what it does not know, and names it", () => {
    for (const [text, pattern] of [
      ["%NOPE%", /^"%NOPE%": %NOPE% is no command/],
      ["50%", /at character 2/],
      ["%REQ%", /%REQ% needs an argument/],
      ["%PROTOCOL(x)%", /takes no argument/],
    ] as const) {
      const result = compileHeaderFormat(text);
      assert.ok(!result.ok);
      assert.match(result.error, pattern);
    }
  });
});

describe("header mutations", () => {
  const finalize = (mostSpecificHeaderMutationsWins: boolean, headers: Record<string, string>): string[] => {
    const set = (value: string) => [add("x-set", value, { appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" })];
    const config = routeConfiguration(
      [
        virtualHost(
          ["*"],
          [route({}, forward("c"), { requestHeadersToAdd: [...set("route"), add("x-list", "route")] })],
          {
            requestHeadersToAdd: [...set("host"), add("x-list", "host")],
            requestHeadersToRemove: ["X-Gone"],
          },
        ),
      ],
      { requestHeadersToAdd: [...set("config"), add("x-list", "config")], mostSpecificHeaderMutationsWins },
    );
    const head = get("/", "h", headers);
    compileRouteConfiguration(config).match(head, 0)!.finalizeRequest(head, context(head), false);
    return head.headers.fields;
  };

  it("go from the route to the configuration, so that the configuration has the last word", () => {
    assert.deepEqual(finalize(false, { "x-gone": "1" }), [
      "x-set",
      "config",
      "x-list",
      "route",
      "x-list",
      "host",
      "x-list",
      "config",
    ]);
  });

  it("go the other way when the most specific shall win", () => {
    assert.deepEqual(finalize(true, { "x-list": "own" }), [
      "x-list",
      "own",
      "x-set",
      "route",
      "x-list",
      "config",
      "x-list",
      "host",
      "x-list",
      "route",
    ]);
  });

  it("begin with a weighted cluster's in both orders, as in Envoy", () => {
    for (const [mostSpecificHeaderMutationsWins, order] of [
      [false, ["cluster", "route", "config"]],
      [true, ["cluster", "config", "route"]],
    ] as const) {
      const clusters = [weighted("c", 1, { requestHeadersToAdd: [add("x-list", "cluster")] })];
      const config = routeConfiguration(
        [
          virtualHost(
            ["*"],
            [
              route({}, forward("", { cluster: { type: "weighted", clusters } }), {
                requestHeadersToAdd: [add("x-list", "route")],
              }),
            ],
          ),
        ],
        { requestHeadersToAdd: [add("x-list", "config")], mostSpecificHeaderMutationsWins },
      );
      const head = get("/");
      compileRouteConfiguration(config).match(head, 0)!.finalizeRequest(head, context(head), false);
      assert.deepEqual(head.headers.getAll("x-list"), order);
    }
  });

  it("of one level see what was there before any of them", () => {
    const overwrite = { appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" } as const;
    const options = [
      add("x-old", "%REQ(x-a)%"),
      add("x-a", "new", overwrite),
      add("x-b", "absent", { appendAction: "ADD_IF_ABSENT" }),
      add("x-b", "set", overwrite),
      add("x-c", "exists", { appendAction: "OVERWRITE_IF_EXISTS" }),
      add("x-c", "added"),
    ];
    const host = virtualHost(["*"], [route({}, forward("c"), { requestHeadersToAdd: options })]);
    const head = get("/", "h", { "x-a": "before" });
    compileRouteConfiguration(routeConfiguration([host]))
      .match(head, 0)!
      .finalizeRequest(head, context(head), false);
    assert.equal(head.headers.fields.join(" "), "x-a new x-b set x-old before x-b absent x-c added");
  });

  it("follow the append action, and leave out empty values unless they are to be kept", () => {
    const options = [
      add("a", "2"),
      add("b", "2", { appendAction: "ADD_IF_ABSENT" }),
      add("c", "2", { appendAction: "ADD_IF_ABSENT" }),
      add("d", "2", { appendAction: "OVERWRITE_IF_EXISTS" }),
      add("e", "2", { appendAction: "OVERWRITE_IF_EXISTS" }),
      add("f", "2", { appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" }),
      add("g", "%REQ(none)%"),
      add("h", "%REQ(none)%", { keepEmptyValue: true }),
    ];
    const config = routeConfiguration([
      virtualHost(["*"], [route({}, forward("c"), { responseHeadersToAdd: options })]),
    ]);
    const headers = new HeaderMap(["a", "1", "b", "1", "d", "1", "f", "1", "f", "1"]);
    const head = get("/");
    compileRouteConfiguration(config).match(head, 0)!.finalizeResponse(headers, context(head));
    assert.deepEqual(headers.fields, ["a", "1", "b", "1", "d", "2", "f", "2", "a", "2", "c", "2", "h", ""]);
  });
});

describe("rewrite", () => {
  const rewritten = (path: string, action: Partial<ForwardAction>, match: Partial<RouteMatch> = {}): RequestHead => {
    const head = get(path, "old:80", { "x-host": "from-header" });
    selected(head, forward("c", action), match).finalizeRequest(head, context(head), true);
    return head;
  };

  it("replaces what the route matched by the new prefix and keeps the query", () => {
    const prefix = { path: { type: "prefix", value: "/api" } } as const;
    assert.equal(rewritten("/api/x?y", { prefixRewrite: "/v2" }, prefix).path, "/v2/x?y");
    const exact = { path: { type: "path", value: "/Api" }, caseSensitive: false } as const;
    assert.equal(rewritten("/aPI?y", { prefixRewrite: "/v2" }, exact).path, "/v2?y");
    const regex = { path: { type: "safe-regex", regex: "/a.*" } } as const;
    assert.equal(rewritten("/api/x?y", { prefixRewrite: "/v2" }, regex).path, "/v2?y");
  });

  it("replaces by regular expression in the path alone", () => {
    const regexRewrite = { regex: "/(a+)", substitution: "/<\\1>" };
    assert.equal(rewritten("/aa/b/a?x=/a", { regexRewrite }).path, "/<aa>/b/<a>?x=/a");
  });

  it("tells the upstream the path that the client asked for, when it changes", () => {
    assert.equal(
      rewritten("/a", { prefixRewrite: "/b" }, { path: { type: "path", value: "/a" } }).headers.get(
        "x-envoy-original-path",
      ),
      "/a",
    );
    assert.equal(rewritten("/a", {}).headers.has("x-envoy-original-path"), false);
  });

  it("replaces the host by a literal or a header, and appends the old one where asked", () => {
    const literal = rewritten("/", { hostRewrite: { type: "literal", value: "new" }, appendXForwardedHost: true });
    assert.equal(literal.authority, "new");
    assert.equal(literal.headers.get("x-forwarded-host"), "old:80");
    assert.equal(literal.headers.get("x-envoy-original-host"), "old:80");
    assert.equal(rewritten("/", { hostRewrite: { type: "header", header: "X-Host" } }).authority, "from-header");
    assert.equal(rewritten("/", { hostRewrite: { type: "header", header: "none" } }).authority, "old:80");
    assert.equal(rewritten("/", { hostRewrite: { type: "auto" } }).authority, "old:80", "the endpoint decides later");
    assert.ok(selected(get("/"), forward("c", { hostRewrite: { type: "auto" } })).rewritesHostToEndpoint);
  });
});

interface LocationOf {
  readonly path?: string;
  readonly authority?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly match?: Partial<RouteMatch>;
}

describe("the host of a weighted cluster", () => {
  const finalized = (hostRewrite: ForwardAction["hostRewrite"], more: Partial<ForwardAction> = {}): RequestHead => {
    const clusters = [weighted("c", 1, { hostRewriteLiteral: "of.cluster" })];
    const head = get("/", "asked.for");
    const action = forward("", { cluster: { type: "weighted", clusters }, hostRewrite, ...more });
    selected(head, action).finalizeRequest(head, context(head), true);
    return head;
  };

  it("takes the request's place, and is told in no header", () => {
    const head = finalized({ type: "none" }, { appendXForwardedHost: true });
    assert.equal(head.authority, "of.cluster");
    assert.deepEqual(head.headers.fields, []);
  });

  it("is rewritten as the route says, as in Envoy", () => {
    const head = finalized({ type: "literal", value: "of.route" });
    assert.equal(head.authority, "of.route");
    assert.equal(head.headers.get("x-envoy-original-host"), "of.cluster");
  });

  it("comes behind the cluster's own mutations and before the route's", () => {
    const cluster = weighted("c", 1, {
      hostRewriteLiteral: "of.cluster",
      requestHeadersToAdd: [add("x-of-cluster", "%REQ(:authority)%")],
    });
    const head = get("/", "asked.for");
    const action = forward("", { cluster: { type: "weighted", clusters: [cluster] } });
    const entry = { ...route({}, action), requestHeadersToAdd: [add("x-of-route", "%REQ(:authority)%")] };
    const found = compileRouteConfiguration(routeConfiguration([virtualHost(["*"], [entry])])).match(head, 0);
    found?.finalizeRequest(head, context(head), true);
    assert.deepEqual(head.headers.fields, ["x-of-cluster", "asked.for", "x-of-route", "of.cluster"]);
  });
});

describe("redirect", () => {
  const KEEP: RedirectAction = {
    scheme: undefined,
    host: undefined,
    port: undefined,
    path: { type: "keep" },
    responseCode: 301,
    stripQuery: false,
  };
  const location = (
    redirect: Partial<RedirectAction>,
    { path = "/a/b?q=1", authority = "example.com", headers = {}, match = {} }: LocationOf = {},
  ): string | undefined => {
    const head = get(path, authority, headers);
    return selected(head, { type: "redirect", redirect: { ...KEEP, ...redirect } }, match).redirectLocation(head);
  };

  it("keeps what it is not told to change", () => {
    assert.equal(location({}), "http://example.com/a/b?q=1");
    assert.equal(location({ host: "new" }), "http://new/a/b?q=1");
    assert.equal(location({ stripQuery: true }), "http://example.com/a/b");
    assert.equal(selected(get("/"), forward("c")).redirectLocation(get("/")), undefined);
  });

  it("drops the port that belonged to the old scheme, and any port when a new one is given", () => {
    assert.equal(location({ scheme: "https" }, { authority: "example.com:80" }), "https://example.com/a/b?q=1");
    assert.equal(location({ scheme: "https" }, { authority: "example.com:8080" }), "https://example.com:8080/a/b?q=1");
    assert.equal(location({ scheme: "http" }, { authority: "example.com:80" }), "http://example.com:80/a/b?q=1");
    assert.equal(location({ port: 8443 }, { authority: "example.com:8080" }), "http://example.com:8443/a/b?q=1");
    assert.equal(location({ scheme: "https" }, { authority: "[::1]:80" }), "https://[::1]/a/b?q=1");
    assert.equal(location({ scheme: "https" }, { authority: "[::1]" }), "https://[::1]/a/b?q=1");
    const behindTls = { authority: "example.com:443", headers: { "x-forwarded-proto": "https" } };
    assert.equal(location({ scheme: "http" }, behindTls), "http://example.com/a/b?q=1");
  });

  it("replaces path, prefix or matches", () => {
    const prefix = { path: { type: "prefix", value: "/a" } } as const;
    assert.equal(location({ path: { type: "path", value: "/new" } }), "http://example.com/new?q=1");
    assert.equal(location({ path: { type: "path", value: "/new" }, stripQuery: true }), "http://example.com/new");
    assert.equal(location({ path: { type: "path", value: "/new?r=2" } }), "http://example.com/new?r=2");
    assert.equal(location({ path: { type: "prefix", value: "/c" } }, { match: prefix }), "http://example.com/c/b?q=1");
    const regex = { type: "regex", regex: "/b", substitution: "/d" } as const;
    assert.equal(location({ path: regex }), "http://example.com/a/d?q=1");
    assert.equal(location({ path: { type: "path", value: "new" } }), "http://example.com/new?q=1");
  });

  it("keeps the path where the prefix that shall replace is empty: Envoy takes it for none", () => {
    const empty = { host: "new", path: { type: "prefix", value: "" } } as const;
    const match = { path: { type: "prefix", value: "/a" } } as const;
    assert.equal(location(empty, { match }), "http://new/a/b?q=1");
  });
});
