import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, test } from "node:test";
import { ManualClock, systemClock } from "@heddle/base";
import { TestAuthority } from "@heddle/identity/testing";
import { assertNothingLeft } from "../testing-sockets.ts";
import { parseOcspResponse } from "./ocsp-response.ts";
import { mustStaple, type StaplePolicy } from "./stapling.ts";
import { ocspResponse } from "./testing-ocsp.ts";
import { TestTlsListener } from "./testing-tls.ts";

const HOUR_MS = 3_600_000;
const now = systemClock.wallNow();
const until = new Date(Math.ceil(now / 1000) * 1000 + HOUR_MS);
const authority = new TestAuthority();
const [shop, blog] = [authority.issue({ dns: ["shop.example"] }), authority.issue({ dns: ["blog.example"] })];
const response = ocspResponse(shop, until);
const stapled = { chain: shop.chain, key: shop.key, password: undefined, ocspStaple: response };
const bare = { chain: blog.chain, key: blog.key, password: undefined };

afterEach(() => {
  TestTlsListener.closeAll();
  return assertNothingLeft();
});

test("a response is read as far as its server has to know it, and what is none is told", () => {
  assert.deepEqual(parseOcspResponse(response), { serialNumber: shop.serialNumber, nextUpdateMs: until.getTime() });
  assert.deepEqual(parseOcspResponse(Buffer.from("30030a0106", "hex")), {
    error: "is the answer of a responder that failed",
  });
  for (let length = 0; length < response.length; length++) {
    assert.ok("error" in parseOcspResponse(response.subarray(0, length)), `${length} bytes`);
  }
});

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const only = { minVersion: version, maxVersion: version, requestOCSP: true };

  test(`${version}: who asks is told of the certificate that it is shown, and of no other`, async () => {
    const listener = await TestTlsListener.open({ certificates: [stapled, bare] });
    for (const [servername, expected] of [
      ["shop.example", response],
      ["", response], // the first certificate
      ["blog.example", null],
    ] as const) {
      const client = listener.connect({ ...only, ...(servername !== "" && { servername }) });
      const told = expected === null ? once(client, "secureConnect") : once(client, "OCSPResponse");
      const seen: unknown[] = [];
      client.on("OCSPResponse", (bytes: Buffer | null) => seen.push(bytes));
      await told;
      if (expected !== null) assert.deepEqual(seen, [expected]);
      else assert.ok(seen.every((bytes) => bytes === null));
      client.destroy();
    }
    const silent = listener.connect({ ...only, requestOCSP: false, servername: "shop.example" });
    await once(silent, "secureConnect");
    silent.destroy();
  });

  test(`${version}: once it has expired it is left out, or refuses who asks, as the policy has it`, async () => {
    for (const [staplePolicy, refuses, isStapled] of [
      ["LENIENT_STAPLING", false, true],
      ["STRICT_STAPLING", true, true],
      ["STRICT_STAPLING", false, false],
      ["MUST_STAPLE", true, true],
      ["MUST_STAPLE", true, false],
    ] satisfies [StaplePolicy, boolean, boolean][]) {
      const listener = await TestTlsListener.open({ certificates: [isStapled ? stapled : bare], staplePolicy });
      const clock = new ManualClock(until.getTime());
      listener.clock = { ...systemClock, wallNow: () => clock.wallNow() };
      const client = listener.connect(only);
      await listener.until(() => listener.secured.length + listener.failures.length === 1);
      assert.equal(listener.failures[0]?.reason, refuses ? "NO_OCSP_RESPONSE" : undefined, staplePolicy);
      client.destroy();
      const silent = listener.connect({ ...only, requestOCSP: false });
      await listener.until(() => listener.secured.length === (refuses ? 1 : 2));
      silent.destroy();
    }
  });
}

test("RFC 7633: a certificate that asks its servers to staple is known", () => {
  const value = Buffer.from("3003020105", "hex");
  const asking = authority.issue({ extensions: [{ oid: "1.3.6.1.5.5.7.1.24", critical: false, value }] });
  assert.equal(mustStaple({ ...asking, password: undefined }), true);
  assert.equal(mustStaple(bare), false);
});
