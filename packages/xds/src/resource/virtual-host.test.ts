import assert from "node:assert/strict";
import { test } from "node:test";
import { resourceFromJson } from "./resource-from-json.ts";
import { httpFilters } from "./testing.ts";
import { makeVirtualHostType } from "./virtual-host.ts";

const type = makeVirtualHostType(httpFilters);

function wrapped(host: object, more: object = {}): object {
  return {
    "@type": "type.googleapis.com/envoy.service.discovery.v3.Resource",
    name: "web/a.example",
    resource: { "@type": type.typeUrl, ...host },
    ...more,
  };
}

const HOST = {
  name: "a",
  domains: ["A.example"],
  routes: [{ match: { prefix: "/" }, route: { cluster: "a" } }],
};

test("a virtual host in its wrapper has the wrapper's name, aliases and time to live", () => {
  const raw = resourceFromJson(wrapped(HOST, { aliases: ["web/b.example"], ttl: "5s" }));
  assert.ok(raw.ok, JSON.stringify(raw));
  const { name, aliases, ttlMs, type: typeUrl } = raw.value;
  assert.deepEqual(
    { name, aliases, ttlMs, typeUrl },
    {
      name: "web/a.example",
      aliases: ["web/b.example"],
      ttlMs: 5000,
      typeUrl: type.typeUrl,
    },
  );
  const decoded = type.decode(raw.value.bytes);
  assert.ok(decoded.ok);
  assert.deepEqual(decoded.value.config.domains, ["a.example"]);
  assert.deepEqual(type.references(decoded.value.config), [{ kind: "cluster", name: "a" }]);
  const again = type.decode(type.encode(decoded.value.config));
  assert.deepEqual(again.ok && again.value.config, decoded.value.config);
});

test("what is wrong within is told with its path in the virtual host", () => {
  const raw = resourceFromJson(wrapped({ ...HOST, domains: ["a", "A"] }));
  assert.ok(raw.ok);
  const decoded = type.decode(raw.value.bytes);
  assert.deepEqual(!decoded.ok && decoded.error, ['domains[1]: "a" belongs to virtual host "a" already']);
});

test("a virtual host without a wrapper has no name, and a wrapper says no other name than its resource", () => {
  const bare = resourceFromJson({ "@type": type.typeUrl, ...HOST });
  assert.match(bare.ok ? "" : bare.error[0]!.message, /has no name of its own; it goes into a /);
  const cluster = { "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", name: "c" };
  const other = resourceFromJson(wrapped({}, { resource: cluster }));
  assert.deepEqual(other.ok ? [] : other.error.map(({ path, message }) => `${path}: ${message}`), [
    'name: found "web/a.example"; the resource calls itself "c"',
  ]);
  const fault = resourceFromJson(wrapped({ ...HOST, domains: 5 }));
  assert.deepEqual(fault.ok ? [] : fault.error.map(({ path }) => path), ["resource.domains"]);
});
