import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HeaderMap, RequestHead } from "@heddle/http";
import { forward, get, route, routeConfiguration, virtualHost } from "./route-fixtures.ts";
import { compileRouteConfiguration } from "./route-table.ts";

describe("route table", () => {
  it("takes the first route whose conditions hold", () => {
    const table = compileRouteConfiguration(
      routeConfiguration([
        virtualHost(
          ["*"],
          [
            route(
              {
                path: { type: "prefix", value: "/a" },
                headers: [
                  {
                    name: "x",
                    match: { type: "present", present: true },
                    invert: false,
                    treatMissingHeaderAsEmpty: false,
                  },
                ],
              },
              forward("with-header"),
            ),
            route({ path: { type: "path", value: "/a" } }, forward("exact")),
            route({ path: { type: "prefix", value: "/" } }, forward("rest")),
          ],
        ),
      ]),
    );
    assert.equal(table.match(get("/a?q=1"), 0)?.cluster, "exact");
    assert.equal(table.match(get("/ab"), 0)?.cluster, "rest");
    const head = new RequestHead("GET", "http", "h", "/a", HeaderMap.from({ x: "1" }));
    assert.equal(table.match(head, 0)?.cluster, "with-header");
  });

  it("looks for the exact domain, then the longest suffix, then the longest prefix, then any", () => {
    const host = (domain: string) => virtualHost([domain], [route({}, forward(domain))]);
    const domains = ["*", "www.example.com", "*.example.com", "*-bar.example.com", "www.*", "www.exa*", "*.com"];
    const table = compileRouteConfiguration(routeConfiguration(domains.map(host)));
    const cluster = (authority: string) => table.match(get("/", authority), 0)?.cluster;
    assert.equal(cluster("WWW.example.com"), "www.example.com");
    assert.equal(cluster("foo-bar.example.com"), "*-bar.example.com");
    assert.equal(cluster("api.example.com"), "*.example.com");
    assert.equal(cluster("-bar.example.com"), "*.example.com");
    assert.equal(cluster(".example.com"), "*.com");
    assert.equal(cluster("www.example.org"), "www.exa*");
    assert.equal(cluster("www.other.org"), "www.*");
    assert.equal(cluster("www.example.com:8080"), "www.exa*");
    assert.equal(cluster("other"), "*");
  });
});
