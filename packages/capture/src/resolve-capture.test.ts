import assert from "node:assert/strict";
import { test } from "node:test";
import { nameserversOf, resolveCapture } from "./resolve-capture.ts";
import { DEFAULT_CAPTURE_SETTINGS } from "./settings.ts";

const place = { hasIpv4: true, hasIpv6: true, resolvConf: undefined };

test("resolv.conf: nameservers of both families in order, each once; other lines and what is no address are passed over", () => {
  const text =
    "# nameserver 1.1.1.1\nsearch a.b\nnameserver 10.96.0.10\n nameserver 9.9.9.9\nnameserver\tfe80::1%eth0 ; x\nnameserver dns\nnameserver 10.96.0.10\noptions ndots:5";
  assert.deepEqual(nameserversOf(text), ["10.96.0.10", "fe80::1"]);
});

test("where resolv.conf is not known or names nobody, all servers but those on loopback are meant", () => {
  for (const resolvConf of [undefined, "options ndots:5\n"]) {
    const result = resolveCapture(DEFAULT_CAPTURE_SETTINGS, { ...place, resolvConf });
    assert.ok(result.ok);
    assert.equal(result.value?.dns?.servers, "*");
  }
});

test("a family that is asked for and absent is an error, and so is none at all", () => {
  const asked = resolveCapture({ ...DEFAULT_CAPTURE_SETTINGS, ipv6: "on" }, { ...place, hasIpv6: false });
  assert.deepEqual(asked, { ok: false, error: "--ipv6=on: this kernel has no IPv6" });
  assert.ok(!resolveCapture({ ...DEFAULT_CAPTURE_SETTINGS, ipv4: "off", ipv6: "off" }, place).ok);
});

test("the sidecar's ports and its own doors are never captured inbound", () => {
  const result = resolveCapture({ ...DEFAULT_CAPTURE_SETTINGS, ports: { inbound: 1, outbound: 2, dns: 4 } }, place);
  assert.ok(result.ok);
  assert.deepEqual(result.value?.inbound?.exclude, [
    { first: 1, last: 2 },
    { first: 4, last: 4 },
    { first: 15_000, last: 15_000 },
    { first: 15_020, last: 15_021 },
  ]);
});

test("two of the sidecar's ports that are the same are refused, and mode none has no rules", () => {
  const same = resolveCapture({ ...DEFAULT_CAPTURE_SETTINGS, ports: { inbound: 1, outbound: 1, dns: 2 } }, place);
  assert.deepEqual(same, { ok: false, error: "ports of the sidecar are to differ; found 1, 1, 2" });
  assert.deepEqual(resolveCapture({ ...DEFAULT_CAPTURE_SETTINGS, mode: "none" }, place), {
    ok: true,
    value: undefined,
  });
});
