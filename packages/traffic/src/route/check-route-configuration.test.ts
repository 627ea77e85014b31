import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkRouteConfiguration } from "./check-route-configuration.ts";
import { forward, route, routeConfiguration, virtualHost } from "./route-fixtures.ts";
import { compileRouteConfiguration } from "./route-table.ts";

const BAD_REGEX = { type: "string", matcher: { type: "safe-regex", regex: "(" } } as const;

describe("check of a route configuration", () => {
  it("finds nothing in a good one", () => {
    assert.deepEqual(checkRouteConfiguration(routeConfiguration([virtualHost(["*"], [route({}, forward("c"))])])), []);
  });

  it("names every fault by the path of its field, and compiling would throw on each but doubled domains", () => {
    const option = { name: "x", value: "%NOPE%", appendAction: "ADD_IF_ABSENT", keepEmptyValue: false } as const;
    const routes = [
      route({ path: { type: "safe-regex", regex: "[" } }, forward("c")),
      route(
        { headers: [{ name: "x", match: BAD_REGEX, invert: false, treatMissingHeaderAsEmpty: false }] },
        forward("c"),
      ),
      route({ queryParameters: [{ name: "q", match: BAD_REGEX }] }, forward("c")),
      route({}, forward("c", { regexRewrite: { regex: "a", substitution: "\\1" } })),
      route({}, forward("c", { cluster: { type: "weighted", clusters: [] } })),
      route({}, forward("c"), { responseHeadersToAdd: [option] }),
    ];
    const broken = { name: "x", match: BAD_REGEX, invert: false, treatMissingHeaderAsEmpty: false };
    const host = {
      ...virtualHost(["a.com", "A.com"], routes),
      virtualClusters: [{ name: "vc", headers: [broken] }],
    };
    const config = routeConfiguration([host], { requestHeadersToAdd: [option] });
    const paths = checkRouteConfiguration(config).map((fault) => fault.slice(0, fault.indexOf(": ")));
    assert.deepEqual(paths, [
      "request_headers_to_add[0].header.value",
      "virtual_hosts[0].domains[1]",
      "virtual_hosts[0].routes[0].match.safe_regex",
      "virtual_hosts[0].routes[1].match.headers[0].string_match.safe_regex",
      "virtual_hosts[0].routes[2].match.query_parameters[0].string_match.safe_regex",
      "virtual_hosts[0].routes[3].route.regex_rewrite.substitution",
      "virtual_hosts[0].routes[4].route.weighted_clusters",
      "virtual_hosts[0].routes[5].response_headers_to_add[0].header.value",
      "virtual_hosts[0].virtual_clusters[0].headers[0].string_match.safe_regex",
    ]);
    for (const entry of routes.filter(
      ({ action }) => action.type === "forward" && action.forward.cluster.type === "cluster",
    )) {
      assert.throws(() => compileRouteConfiguration(routeConfiguration([virtualHost(["*"], [entry])])));
    }
  });
});
