import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import { meshOf, serviceYaml } from "./testing.ts";
import { virtualIps } from "./virtual-ips.ts";

function addresses(...names: readonly string[]): Record<string, readonly string[]> {
  const mesh = meshOf(...names.map((name) => serviceYaml(name)));
  return Object.fromEntries(mesh.services.map((service) => [service.name, mesh.addressesOf(service)]));
}

test("a service without an address gets one of each family, by its name", () => {
  const { orders = [] } = addresses("orders");
  assert.deepEqual(orders, addresses("stock", "orders", "web")["orders"]);
  assert.match(orders[0] ?? "", /^240\.240\.\d+\.\d+$/);
  assert.match(orders[1] ?? "", /^fd68:6564:646c:6500::[0-9a-f]+$/);
  assert.deepEqual(orders.map(isIP), [4, 6]);
});

/** As the index of a mesh asks, without reading thousands of texts. */
function ipv4s(names: readonly string[]): ReadonlyMap<string, string> {
  const given = virtualIps(names.toSorted().map((name) => ({ ...ANY_SERVICE, name })));
  return new Map([...given].map(([{ name }, { ipv4 }]) => [name, ipv4]));
}

const ANY_SERVICE = meshOf(serviceYaml("a")).services[0]!; // there is one

const NAMES = Array.from({ length: 3000 }, (_, i) => `s${i}`);

test("no two services get the same, and none the first or last of the range", () => {
  const given = new Set(ipv4s(NAMES).values());
  assert.equal(given.size, NAMES.length);
  assert.ok(!given.has("240.240.0.0") && !given.has("240.240.255.255"));
});

test("of two whose names hash to the same the first by name has it, whether or not the other is there", () => {
  const all = ipv4s(NAMES);
  const moved = NAMES.filter((name) => ipv4s([name]).get(name) !== all.get(name));
  assert.ok(moved.length > 20 && moved.length < 150, `${moved.length} have moved`); // 3000² / 2 / 65,534 meet
  for (const [name, given] of ipv4s(NAMES.filter((one) => !moved.includes(one)))) assert.equal(given, all.get(name));
});

test("services with addresses of their own, headless ones and mere names get none", () => {
  const service = (spec: string): string =>
    `apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { ${spec}, ports: [{ port: 80 }] }`;
  for (const [spec, expected] of [
    ["clusterIP: 10.96.0.7", ["10.96.0.7"]],
    ["clusterIPs: [10.96.0.7, 'fd00::7'], clusterIP: 10.96.0.7", ["10.96.0.7", "fd00::7"]],
    ["clusterIP: None", []],
    ["type: ExternalName, externalName: db.example.com", []],
  ] as const) {
    const mesh = meshOf(service(spec));
    assert.deepEqual(
      mesh.services.map((one) => mesh.addressesOf(one)),
      [expected],
    );
    assert.equal(virtualIps(mesh.services).size, 0);
  }
});
