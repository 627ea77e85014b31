import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { RouteConfiguration, VirtualHost } from "@heddle/traffic";
import { VirtualHostAssembly } from "./virtual-host-assembly.ts";

function host(...domains: string[]): VirtualHost {
  return { name: domains[0], domains, routes: [] } as unknown as VirtualHost;
}

function routes(name: string, ...virtualHosts: VirtualHost[]): RouteConfiguration {
  return { name, virtualHosts, vhds: {} } as unknown as RouteConfiguration;
}

function held(config: VirtualHost, aliases?: readonly string[]) {
  return { config, version: "1", acceptedMs: 0, ...(aliases && { aliases }) };
}

function domainsOf({ virtualHosts }: RouteConfiguration): readonly (readonly string[])[] {
  return virtualHosts.map(({ domains }) => domains);
}

function names(hosts: VirtualHostAssembly): string[] {
  return [...hosts.wants.values()].flatMap((group) => [...group.names]);
}

const NEVER = (): boolean => false;

test("virtual hosts stand behind the inline ones; a domain has one owner", () => {
  const hosts = new VirtualHostAssembly(new ManualClock());
  const config = routes("r", host("a"));
  assert.equal(hosts.merged("r", config), config);
  const changed = new Map([
    ["r/c", held(host("c", "b"))],
    ["r/b", held(host("b", "a"))],
    ["other/x", held(host("x"))],
  ]);
  assert.deepEqual(hosts.update(undefined, changed, []), ["r"]);
  const merged = hosts.merged("r", config);
  assert.deepEqual(domainsOf(merged), [["a"], ["b"], ["c"]]);
  assert.equal(hosts.merged("r", config), merged, "the same until something changes");
  assert.deepEqual(hosts.update(undefined, new Map(), ["r/b"]), ["r"]);
  assert.deepEqual(domainsOf(hosts.merged("r", config)), [["a"], ["c", "b"]]);
});

test("a host that a request asks for is subscribed until it has come, by its name or by an alias", () => {
  const hosts = new VirtualHostAssembly(new ManualClock());
  hosts.merged("r", routes("r"));
  assert.deepEqual(names(hosts), ["*"]);
  assert.equal(hosts.demand("nobody's", "a"), false);
  assert.ok(hosts.demand("r", "a") && hosts.demand("r", "b"));
  assert.deepEqual(names(hosts), ["*", "r/a", "r/b"]);
  hosts.update(undefined, new Map([["r/all", held(host("a", "b"), ["r/a"])]]), []);
  assert.deepEqual(
    hosts.takeFound(() => true),
    [],
    "its clusters are not there yet",
  );
  assert.deepEqual(hosts.takeFound(NEVER), [{ key: "r", host: "a" }]);
  assert.deepEqual(hosts.takeFound(NEVER), []);
});

test("a second name of a virtual host that is there already ends the wait for it", () => {
  const hosts = new VirtualHostAssembly(new ManualClock());
  hosts.merged("r", routes("r"));
  hosts.demand("r", "a");
  hosts.demand("r", "b");
  hosts.update(undefined, new Map([["r/all", held(host("a", "b"), ["r/a"])]]), []);
  assert.deepEqual(hosts.takeFound(NEVER), [{ key: "r", host: "a" }]);
  hosts.refreshed(undefined, ["r/all", "r/b"]);
  assert.deepEqual(hosts.takeFound(NEVER), [{ key: "r", host: "b" }]);
});

test("a route configuration whose name begins with that of another has virtual hosts of its own", () => {
  const hosts = new VirtualHostAssembly(new ManualClock());
  for (const name of ["r", "r/x"]) hosts.merged(name, routes(name));
  assert.deepEqual(hosts.update(undefined, new Map([["r/x/a", held(host("a"))]]), []), ["r/x"]);
  assert.deepEqual(domainsOf(hosts.merged("r", routes("r"))), []);
  hosts.demand("r/x", "b");
  assert.deepEqual(names(hosts), ["*", "r/x/b"]);
  hosts.forget("r");
  assert.deepEqual(names(hosts), ["*", "r/x/b"]);
});

test("virtual hosts that come before their route configuration, or while it is away, are there when it comes", () => {
  const hosts = new VirtualHostAssembly(new ManualClock());
  assert.deepEqual(hosts.update(undefined, new Map([["r/0", held(host("0"))]]), []), [], "nobody has asked");
  hosts.merged("r", routes("r"));
  const both = new Map([
    ["r/a", held(host("a"))],
    ["s/b", held(host("b"))],
  ]);
  assert.deepEqual(hosts.update(undefined, both, []), ["r"]);
  assert.deepEqual(domainsOf(hosts.merged("s", routes("s"))), [["b"]]);
  hosts.forget("r");
  assert.deepEqual(domainsOf(hosts.merged("r", routes("r"))), [["a"]]);
  hosts.forget("r");
  hosts.forget("s");
  assert.equal(hosts.wants.size, 0);
  assert.deepEqual(domainsOf(hosts.merged("r", routes("r"))), [], "with the subscription what it brought has gone");
});

test("another source is asked when the route configuration names one; what there is serves until it has answered", () => {
  const hosts = new VirtualHostAssembly(new ManualClock());
  const file = { type: "file", path: "/v" } as const;
  const config = routes("r");
  hosts.merged("r", config);
  hosts.update(undefined, new Map([["r/a", held(host("a"))]]), []);
  const next = { ...config, vhds: { source: { from: file, initialFetchTimeoutMs: 1 } } };
  assert.deepEqual(domainsOf(hosts.merged("r", next)), [["a"]]);
  assert.deepEqual(
    [...hosts.wants.values()].map(({ origin }) => origin),
    [file],
  );
  assert.deepEqual(hosts.update(undefined, new Map([["r/x", held(host("x"))]]), []), [], "it is not asked any more");
  assert.deepEqual(hosts.update(file, new Map([["r/b", held(host("b"))]]), []), ["r"]);
  assert.deepEqual(domainsOf(hosts.merged("r", next)), [["b"]]);
});

test("what is wanted is the same until a name comes or goes", () => {
  const hosts = new VirtualHostAssembly(new ManualClock());
  hosts.merged("r", routes("r"));
  hosts.demand("r", "a");
  const { wants } = hosts;
  hosts.demand("r", "a");
  assert.equal(hosts.wants, wants);
  hosts.update(undefined, new Map(), ["r/a"]);
  assert.notEqual(hosts.wants, wants);
});

test("a host that does not exist is let go, and so is everything with its route configuration", () => {
  const hosts = new VirtualHostAssembly(new ManualClock());
  hosts.merged("r", routes("r"));
  hosts.demand("r", "a");
  hosts.demand("r", "b");
  assert.deepEqual(hosts.goneDemands(undefined, ["r/a", "r/c"]), [{ kind: "virtual-host", routes: "r", host: "a" }]);
  hosts.update(undefined, new Map(), ["r/a"]);
  assert.deepEqual(names(hosts), ["*", "r/b"]);
  assert.equal(hosts.demand("r", "a"), false, "it is remembered");
  hosts.forget("r");
  assert.deepEqual(names(hosts), []);
});
