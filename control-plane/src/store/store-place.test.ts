import assert from "node:assert/strict";
import { resolve } from "node:path";
import { test } from "node:test";
import { defaultStoreDirectory, parseStorePlace } from "./store-place.ts";

test("a place is a folder, an etcd, or none", () => {
  const read = (text: string) => {
    const place = parseStorePlace(text);
    return place.ok && place.value;
  };
  const fault = (text: string) => {
    const place = parseStorePlace(text);
    return place.ok ? assert.fail(text) : place.error;
  };
  assert.deepEqual(read("none"), { type: "none" });
  assert.deepEqual(read("./state"), { type: "log", directory: resolve("state") });
  assert.deepEqual(read("etcd://127.0.0.1:2379"), {
    type: "etcd",
    endpoints: [{ host: "127.0.0.1", port: 2379 }],
    prefix: "/heddle/",
    tls: false,
  });
  assert.deepEqual(read("etcds://a:1,[::1]:2,c:3/mesh/blue"), {
    type: "etcd",
    endpoints: [
      { host: "a", port: 1 },
      { host: "::1", port: 2 },
      { host: "c", port: 3 },
    ],
    prefix: "/mesh/blue/",
    tls: true,
  });
  assert.match(fault("etcd://a"), /found "a", allowed: HOST:PORT/);
  assert.match(fault("etcd://"), /found "etcd:\/\/", allowed: a folder, etcd:/);
  assert.match(fault("redis://a:1"), /found "redis:\/\/a:1", allowed: a folder, etcd:/);
  assert.match(fault(""), /allowed: a folder/);
});

test("the default folder is the system's for state, and each mesh's own", () => {
  const home = { HOME: "/home/ada" };
  const shop = defaultStoreDirectory(home, "/meshes/shop");
  assert.match(shop ?? "", /^\/home\/ada\/\.local\/state\/heddle\/store-shop-[0-9a-f]{8}$/);
  assert.equal(defaultStoreDirectory(home, "/meshes/../meshes/shop/"), shop);
  assert.notEqual(defaultStoreDirectory(home, "/other/shop"), shop);
  assert.equal(defaultStoreDirectory({ ...home, XDG_STATE_HOME: "/state" }, undefined), "/state/heddle/store");
  assert.equal(
    defaultStoreDirectory({ ...home, STATE_DIRECTORY: "/var/lib/heddle:/var/lib/more" }, undefined),
    "/var/lib/heddle/store",
  );
  assert.equal(defaultStoreDirectory({}, "/meshes/shop"), undefined);
});
