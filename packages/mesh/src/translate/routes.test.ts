import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HeaderMap, RequestHead } from "@heddle/http";
import { compileRouteConfiguration, type RouteTable, type SelectedRoute } from "@heddle/traffic";
import { meshOf, routeYaml, serviceYaml } from "../model/testing.ts";
import { inboundRouteConfiguration, outboundRouteConfiguration, serviceVirtualHost } from "./routes.ts";
import { reachable } from "./scope.ts";

const STOCK = `{ group: "", kind: Service, name: stock }`;

describe("outbound routes", () => {
  it("a service without routes gets every request itself, under each of its names", () => {
    const table = routes("default", serviceYaml("orders"));
    for (const host of ["orders", "orders.default", "orders.default.svc", "orders.default.svc.cluster.local"]) {
      assert.equal(find(table, host)?.cluster, "outbound/80/orders.default", host);
      assert.equal(find(table, `${host}:80`)?.cluster, "outbound/80/orders.default", `${host}:80`);
    }
    assert.equal(find(table, "orders:81"), undefined);
    assert.equal(find(table, "orders.other"), undefined);
    assert.equal(find(table, "ORDERS.Default")?.cluster, "outbound/80/orders.default");
  });

  it("the bare name is for callers of the service's own namespace", () => {
    const yaml = serviceYaml("orders.shop");
    const table = routes("default", yaml, [{ namespace: undefined, service: undefined }]);
    assert.equal(find(table, "orders"), undefined);
    assert.equal(find(table, "orders.shop")?.cluster, "outbound/80/orders.shop");
  });

  it("a name without port means port 80, else the first port that carries HTTP", () => {
    const both = routes("default", serviceYaml("a", ", { name: api, port: 8080 }"));
    assert.equal(find(both, "a")?.cluster, "outbound/80/a.default");
    assert.equal(find(both, "a:8080")?.cluster, "outbound/8080/a.default");
    const other = routes("default", serviceYaml("b").replace("port: 80", "port: 9000"));
    assert.equal(find(other, "b")?.cluster, "outbound/9000/b.default");
  });

  it("weights decide between backends; a backend without weight gets nothing", () => {
    const table = routes(
      "default",
      serviceYaml("stock") + serviceYaml("v1") + serviceYaml("v2") + serviceYaml("v3"),
      undefined,
      routeYaml(
        "split",
        STOCK,
        "[{ backendRefs: [{ name: v1, port: 80, weight: 9 }, { name: v2, port: 80 }, { name: v3, port: 80, weight: 0 }] }]",
      ),
    );
    const counts = new Map<string, number>();
    for (let draw = 0; draw < 100; draw++) {
      const cluster = find(table, "stock", "/", {}, draw)?.cluster ?? "none";
      counts.set(cluster, (counts.get(cluster) ?? 0) + 1);
    }
    assert.deepEqual(Object.fromEntries(counts), { "outbound/80/v1.default": 90, "outbound/80/v2.default": 10 });
  });

  it("a request that no rule matches is answered 404, one whose rule has no backend 500", () => {
    const table = routes(
      "default",
      serviceYaml("stock"),
      undefined,
      routeYaml(
        "r",
        STOCK,
        "[{ matches: [{ path: { value: /none } }] }, { matches: [{ path: { value: /zero } }], backendRefs: [{ name: stock, port: 80, weight: 0 }] }]",
      ),
    );
    assert.equal(find(table, "stock", "/"), undefined);
    for (const path of ["/none", "/zero/x"])
      assert.deepEqual(find(table, "stock", path)?.entry.action, { type: "direct-response", status: 500, body: "" });
  });

  it("a backend that does not exist is answered 500 by the cluster that is not there", () => {
    const table = routes(
      "default",
      serviceYaml("stock"),
      undefined,
      routeYaml("r", STOCK, "[{ backendRefs: [{ name: gone, port: 80 }] }]"),
    );
    const action = find(table, "stock")?.entry.action;
    assert.ok(action?.type === "forward");
    assert.equal(find(table, "stock")?.cluster, "outbound/80/gone.default");
    assert.equal(action.forward.clusterNotFoundResponseCode, 500);
  });

  it("a route at one port leaves the other ports alone", () => {
    const table = routes(
      "default",
      serviceYaml("stock", ", { name: alt, port: 8080 }") + serviceYaml("v1"),
      undefined,
      routeYaml(
        "r",
        `{ group: "", kind: Service, name: stock, port: 80 }`,
        "[{ backendRefs: [{ name: v1, port: 80 }] }]",
      ),
    );
    assert.equal(find(table, "stock")?.cluster, "outbound/80/v1.default");
    assert.equal(find(table, "stock:8080")?.cluster, "outbound/8080/stock.default");
  });

  it("a consumer's route binds callers of its own namespace only, and there instead of the producer's", () => {
    const yaml =
      serviceYaml("stock.shop") +
      serviceYaml("v1.shop") +
      serviceYaml("v2.shop") +
      routeYaml(
        "producer.shop",
        `{ group: "", kind: Service, name: stock }`,
        "[{ backendRefs: [{ name: v1, port: 80 }] }]",
      ) +
      routeYaml(
        "consumer.app",
        `{ group: "", kind: Service, name: stock, namespace: shop }`,
        "[{ backendRefs: [{ name: v2, namespace: shop, port: 80 }] }]",
      );
    const everything = [{ namespace: undefined, service: undefined }];
    assert.equal(find(routes("app", yaml, everything), "stock.shop")?.cluster, "outbound/80/v2.shop");
    assert.equal(find(routes("shop", yaml, everything), "stock.shop")?.cluster, "outbound/80/v1.shop");
    assert.equal(find(routes("third", yaml, everything), "stock.shop")?.cluster, "outbound/80/v1.shop");
  });

  for (const [what, prefix, replacement, path, expected] of [
    ["a prefix by another", "/a/b", "/x", "/a/b/c?q", "/x/c?q"],
    ["a prefix that is the whole path", "/a/b", "/x", "/a/b", "/x"],
    ["a prefix by the root", "/a", "/", "/a/b", "/b"],
    ["a prefix that is the whole path by the root", "/a", "/", "/a", "/"],
    ["a prefix by one with a slash at its end", "/a", "/x/", "/a/b", "/x/b"],
    ["the root by a prefix", "/", "/x", "/b", "/x/b"],
    ["the root by the root", "/", "/", "/b", "/b"],
    ["a prefix with characters of patterns", "/a.b+c", "/", "/a.b+c/d", "/d"],
  ] as const) {
    it(`replaces ${what}, in a rewrite and in a redirect`, () => {
      const change = `path: { type: ReplacePrefixMatch, replacePrefixMatch: "${replacement}" }`;
      const match = `matches: [{ path: { value: "${prefix}" } }]`;
      const rewrite = routes(
        "default",
        serviceYaml("stock"),
        undefined,
        routeYaml(
          "r",
          STOCK,
          `[{ ${match}, filters: [{ type: URLRewrite, urlRewrite: { ${change} } }], backendRefs: [{ name: stock, port: 80 }] }]`,
        ),
      );
      const head = request("stock", path);
      assert.equal(rewrite.match(head, 0)?.rewrittenTarget(head), expected);
      const redirect = routes(
        "default",
        serviceYaml("stock"),
        undefined,
        routeYaml("r", STOCK, `[{ ${match}, filters: [{ type: RequestRedirect, requestRedirect: { ${change} } }] }]`),
      );
      assert.equal(redirect.match(head, 0)?.redirectLocation(head), `http://stock${expected}`);
    });
  }

  it("replaces the whole path and the host, and changes headers; a percent sign stays one", () => {
    const table = routes(
      "default",
      serviceYaml("stock"),
      undefined,
      routeYaml(
        "r",
        STOCK,
        `[{ filters: [
          { type: URLRewrite, urlRewrite: { hostname: other.example, path: { type: ReplaceFullPath, replaceFullPath: /whole } } },
          { type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: A, value: 100% }], add: [{ name: B, value: x }], remove: [C] } },
          { type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: D, value: y }] } }],
          backendRefs: [{ name: stock, port: 80 }] }]`,
      ),
    );
    const head = request("stock", "/some/path?q=1", { a: "old", b: "old", c: "old" });
    const route = table.match(head, 0);
    route?.finalizeRequest(head, CONTEXT, false);
    assert.deepEqual([head.authority, head.path, head.headers.getAll("a")], ["other.example", "/whole?q=1", ["100%"]]);
    assert.deepEqual([head.headers.joined("b"), head.headers.has("c")], ["old,x", false]);
    const response = HeaderMap.from({ d: "old" });
    route?.finalizeResponse(response, CONTEXT);
    assert.deepEqual(response.getAll("d"), ["y"]);
  });

  for (const [request, backendRequest, expected] of [
    [undefined, undefined, 0],
    ["5s", undefined, 5000],
    [undefined, "2s", 2000],
    ["5s", "2s", 2000],
    ["0s", "2s", 2000],
    ["0s", "0s", 0],
  ] as const) {
    it(`the timeout of request ${request} and backendRequest ${backendRequest} is ${expected} ms`, () => {
      const timeouts = [
        `${request && `request: ${request}`}`,
        `${backendRequest && `backendRequest: ${backendRequest}`}`,
      ];
      const yaml = `[{ backendRefs: [{ name: stock, port: 80 }], timeouts: { ${timeouts.filter((t) => t !== "undefined").join(", ")} } }]`;
      const action = find(routes("default", serviceYaml("stock"), undefined, routeYaml("r", STOCK, yaml)), "stock")
        ?.entry.action;
      assert.equal(action?.type === "forward" && action.forward.timeoutMs, expected);
    });
  }
});

describe("retries of a route", () => {
  const forwarded = (rule: string) => {
    const yaml = `[{ backendRefs: [{ name: stock, port: 80 }], ${rule} }]`;
    const action = find(routes("default", serviceYaml("stock"), undefined, routeYaml("r", STOCK, yaml)), "stock")?.entry
      .action;
    assert.ok(action?.type === "forward");
    const { timeoutMs, retryPolicy } = action.forward;
    return { timeoutMs, retryPolicy };
  };
  const unanswered = ["connect-failure", "refused-stream", "reset"];

  it("are of statuses and of what got no answer; each attempt has its time, and all together the request's", () => {
    const rule =
      "retry: { codes: [500, 503], attempts: 3, backoff: 100ms }, timeouts: { request: 1s, backendRequest: 200ms }";
    assert.deepEqual(forwarded(rule), {
      timeoutMs: 1000,
      retryPolicy: {
        retryOn: [...unanswered, "retriable-status-codes"],
        numRetries: 3,
        perTryTimeoutMs: 200,
        retriableStatusCodes: [500, 503],
        baseIntervalMs: 100,
        maxIntervalMs: 1000,
      },
    });
  });

  it("are one where nobody says how many, of what got no answer alone", () => {
    const { retryPolicy, timeoutMs } = forwarded("retry: {}, timeouts: { backendRequest: 200ms }");
    assert.deepEqual([retryPolicy?.retryOn, retryPolicy?.numRetries], [unanswered, 1]);
    assert.deepEqual([retryPolicy?.perTryTimeoutMs, timeoutMs], [200, 0]);
    assert.equal(forwarded("retry: { backoff: 0s }").retryPolicy?.baseIntervalMs, 1);
  });

  it("are none with attempts: 0", () => {
    const none = { timeoutMs: 200, retryPolicy: undefined };
    assert.deepEqual(forwarded("retry: { attempts: 0, codes: [500] }, timeouts: { backendRequest: 200ms }"), none);
  });
});

describe("inbound routes", () => {
  it("give everything to the application, whatever its host, without a time limit", () => {
    const table = compileRouteConfiguration(inboundRouteConfiguration(8001));
    const route = find(table, "anything.example:1", "/x");
    assert.equal(route?.cluster, "inbound/8001");
    assert.equal(route?.entry.action.type === "forward" && route.entry.action.forward.timeoutMs, 0);
  });
});

const CONTEXT = {} as Parameters<SelectedRoute["finalizeRequest"]>[1]; // no command stands in these values

function routes(
  namespace: string,
  yaml: string,
  egress?: Parameters<typeof reachable>[1]["egress"],
  more = "",
): RouteTable {
  const { called } = reachable(meshOf(yaml, more), { namespace, egress, demanded: [], onDemand: true });
  const hosts = called.map((one) => serviceVirtualHost(one.service, one.port, one.routes, namespace));
  return compileRouteConfiguration(outboundRouteConfiguration(hosts, true));
}

function request(host: string, path: string, headers: Readonly<Record<string, string>> = {}): RequestHead {
  return new RequestHead("GET", "http", host, path, HeaderMap.from(headers));
}

function find(
  table: RouteTable,
  host: string,
  path = "/",
  headers: Readonly<Record<string, string>> = {},
  draw = 0,
): SelectedRoute | undefined {
  return table.match(request(host, path, headers), draw);
}
