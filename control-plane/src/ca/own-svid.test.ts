import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { type Certificate, certificatesInPem } from "@heddle/identity";
import { eventually } from "@heddle/xds/testing";
import { valueOfResult } from "../api/testing.ts";
import { openTestCa } from "./testing.ts";

test("the control plane's own certificate has its SPIFFE ID and the names that it may be called", async (t) => {
  const { ca } = await openTestCa(t, { options: { tlsNames: ["cp.example.org", "10.0.0.1"] } });
  const leaf = leafOf(ca.ownSvid.current.current?.certificateChain);
  assert.deepEqual(leaf.uriSans, ["spiffe://cluster.local/ns/heddle-system/sa/control-plane"]);
  assert.deepEqual([...leaf.dnsSans].sort(), ["cp.example.org", "localhost", "machine"]);
  assert.ok(["10.0.0.1", "127.0.0.1", "::1"].every((ip) => leaf.ipSans.includes(ip)));
});

test("it is renewed at half of its life with another key, and at once when another root signs", async (t) => {
  const clock = new ManualClock();
  const { ca, counters } = await openTestCa(t, { clock, options: { svidTtlMs: 60_000 } });
  const serial = (): string => leafOf(ca.ownSvid.current.current?.certificateChain).serialNumber;
  const [first, key] = [serial(), ca.ownSvid.current.current?.privateKey];
  clock.advance(29_999);
  assert.equal(serial(), first);
  clock.advance(1);
  await eventually(() => serial() !== first, "the renewal");
  assert.notEqual(ca.ownSvid.current.current?.privateKey, key);
  assert.equal(counters.values.get("ca.own_certificate_seconds_left"), 60);

  const second = serial();
  valueOfResult(await ca.stored!.beginRotation());
  assert.equal(serial(), second, "the old root signs yet");
  valueOfResult(await ca.stored!.hurryRotation());
  await eventually(() => serial() !== second, "a certificate of the new root");
});

test("a certificate of months is renewed within the hour: the wall clock may be set meanwhile", async (t) => {
  const clock = new ManualClock();
  const { ca } = await openTestCa(t, { clock, options: { svidTtlMs: 90 * 86_400_000 } });
  const first = ca.ownSvid.current.current?.notAfterMs ?? 0;
  clock.advance(3_600_000);
  await eventually(() => (ca.ownSvid.current.current?.notAfterMs ?? 0) > first, "a renewal within the hour");
});

function leafOf(pem = ""): Certificate {
  return certificatesInPem(pem)[0]!;
}
