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
