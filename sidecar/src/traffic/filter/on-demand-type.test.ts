import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ok } from "@heddle/base";
import { defineFilter, type FilterModule } from "@heddle/filter";
import type { RouteConfiguration } from "@heddle/traffic";
import { Harness, routeTo } from "../http/testing-harness.ts";
import { onDemandType } from "./on-demand-type.ts";

/** Denies where the route says so, and notes what it sees. */
function gate(seen: string[]): FilterModule {
  return defineFilter({
    parse: () => ok(undefined),
    parseRoute: () => ok("deny"),
    create: (_config, { name }) => ({
      create: () => ({
        requestHead(exchange) {
          const denies = exchange.routeConfig(name) === "deny";
          seen.push(denies ? "deny" : "allow");
          if (!denies) return "continue";
          exchange.reply({ status: 403, details: "denied" });
          return "pause";
        },
        requestData(_exchange, chunk) {
          seen.push(Buffer.from(chunk).toString());
          return "continue";
        },
        log: () => void seen.push("end"),
      }),
    }),
  }) as FilterModule;
}

/** A proxy whose only virtual host comes 10 ms after it has been asked for. */
function proxy(seen: string[], typedPerFilterConfig: RouteConfiguration["typedPerFilterConfig"]) {
  const routes = routeTo("app");
  const harness = new Harness({
    filters: { gate: gate(seen), on_demand: onDemandType },
    routes: { ...routes, virtualHosts: [], vhds: {} },
  });
  const virtualHosts = routes.virtualHosts.map((host) => ({ ...host, typedPerFilterConfig }));
  const demands = {
    ask(_demand: unknown, onAnswer: () => void) {
      const timer = harness.clock.after(10, () => {
        harness.configure({ routes: { ...routes, virtualHosts, vhds: {} } });
        onAnswer();
      });
      return { cancel: () => timer.cancel() };
    },
  };
  Object.assign(harness.env, { demands });
  return harness;
}

const HEAD = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n";

describe("a request that waits for its virtual host", () => {
  test("is denied by a filter before the one that waits, where the virtual host that comes says so", () => {
    const seen: string[] = [];
    const harness = proxy(seen, { gate: { disabled: false, config: { name: "gate", type: "test.gate", config: {} } } });
    const client = harness.connect();
    client.send(HEAD);
    harness.run();
    harness.advance(20);
    assert.match(client.take(), /^HTTP\/1\.1 403 /);
    assert.deepEqual(harness.upstreams, []);
    assert.deepEqual(seen, ["allow", "end", "deny", "end"]);
    assert.equal(harness.leaks(), "");
  });

  test("passes filters again with the body that has come meanwhile, and what comes later behind it", () => {
    const seen: string[] = [];
    const harness = proxy(seen, {});
    const client = harness.connect();
    client.send(`${HEAD}ab`);
    harness.run();
    assert.deepEqual(seen, ["allow", "ab"]);
    harness.advance(20);
    assert.deepEqual(seen, ["allow", "ab", "end", "allow", "ab"]);
    client.send("cd");
    harness.run();
    assert.match(harness.upstream().take(), /\r\n\r\nabcd$/);
    harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    harness.run();
    assert.match(client.take(), /^HTTP\/1\.1 200 /);
    assert.equal(harness.leaks(), "");
  });
});
