import assert from "node:assert/strict";
import { test } from "node:test";
import { hasPlugin, primaryConfig, withoutPlugin, withPlugin } from "./conflist.ts";

const entry = {
  kubeconfig: "/etc/cni/net.d/heddle-cni.kubeconfig",
  backend: "auto",
  excludeNamespaces: ["kube-system"],
};
const list = {
  cniVersion: "1.0.0",
  name: "kindnet",
  disableCheck: false,
  plugins: [
    { type: "ptp", ipam: { type: "host-local" } },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
};
const ours = { type: "heddle-cni", ...entry, capabilities: { dns: true } };

const edited = (text: string): unknown => {
  const result = withPlugin(text, entry);
  assert.ok(result.ok);
  return JSON.parse(result.value);
};

test("the plugin becomes the last of the chain; everything else stays", () => {
  assert.deepEqual(edited(JSON.stringify(list)), { ...list, plugins: [...list.plugins, ours] });
});

test("an entry of ours that is there, wherever it stands and however it reads, becomes the one", () => {
  const old = { ...list, plugins: [{ type: "heddle-cni", kubeconfig: "/old" }, ...list.plugins] };
  assert.deepEqual(edited(JSON.stringify(old)), { ...list, plugins: [...list.plugins, ours] });
  const twice = withPlugin(JSON.stringify(edited(JSON.stringify(old))), entry);
  assert.ok(twice.ok);
  assert.deepEqual(JSON.parse(twice.value), edited(JSON.stringify(old)));
});

test("a configuration of one plugin becomes a list of two", () => {
  const conf = { cniVersion: "0.3.1", name: "net", type: "bridge", bridge: "br0" };
  assert.deepEqual(edited(JSON.stringify(conf)), {
    cniVersion: "0.3.1",
    name: "net",
    plugins: [{ type: "bridge", bridge: "br0" }, ours],
  });
});

test("what is taken away is ours alone", () => {
  const without = withoutPlugin(JSON.stringify(edited(JSON.stringify(list))));
  assert.ok(without.ok);
  assert.deepEqual(JSON.parse(without.value), list);
  assert.ok(hasPlugin(JSON.stringify(edited(JSON.stringify(list)))));
  assert.ok(!hasPlugin(without.value));
});

test("half a file, no object, no plugins, plugins without a type: refused, and why", () => {
  for (const text of [
    '{"cniVersion": "1.0',
    "[]",
    "null",
    "{}",
    '{"plugins":[]}',
    '{"plugins":[{}]}',
    '{"plugins":[null]}',
    '{"plugins":[{"type":"heddle-cni"}]}',
  ])
    assert.ok(!withPlugin(text, entry).ok, text);
});

test("a runtime takes the first file by name", () => {
  assert.equal(
    primaryConfig(["20-b.conflist", "10-a.conf", "00-readme", "05-x.conf.before-heddle", ".10-a.conflist.77"]),
    "10-a.conf",
  );
  assert.equal(primaryConfig(["heddle-cni.kubeconfig"]), undefined);
});
