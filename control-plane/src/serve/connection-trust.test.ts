import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { Live, ManualClock, systemClock } from "@heddle/base";
import { type TrustBundle, TrustBundles, type VerifiedSvid, verifySvid } from "@heddle/identity";
import { TestAuthority } from "@heddle/identity/testing";
import { eventually, quietLog, quietMetrics } from "@heddle/xds/testing";
import { connectionEndMs, isStillTrusted } from "./connection-trust.ts";
import { MessageBudget, NODES_BUDGET } from "./message-budget.ts";
import { serveTls } from "./serve-tls.ts";

const NOW = systemClock.wallNow();
const HOUR_MS = 3_600_000;
const ID = "spiffe://cluster.local/ns/shop/sa/web";
const [old, next] = [new TestAuthority("Old"), new TestAuthority("Next")];

test("a connection ends a moment after its certificate, or after the time in which that may be renewed", () => {
  const svid = verified(NOW + HOUR_MS);
  const endMs = svid.leaf.validToMs;
  assert.equal(connectionEndMs(svid, HOUR_MS, NOW), endMs + 1000);
  assert.equal(connectionEndMs(svid, HOUR_MS, endMs + 1), endMs + HOUR_MS + 1000);
});

test("a certificate is trusted as long as somebody in the bundle of its trust domain vouches for it", () => {
  const svid = verified(NOW + HOUR_MS);
  assert.equal(isStillTrusted(svid, bundles(old), NOW), true);
  assert.equal(isStillTrusted(svid, bundles(next, old), NOW), true);
  assert.equal(isStillTrusted(svid, bundles(next), NOW), false);
  assert.equal(isStillTrusted(svid, bundles(new TestAuthority("Old")), NOW), false, "one of the same name");
  assert.equal(isStillTrusted(svid, bundles(old), NOW + 2 * HOUR_MS), true, "time is looked at elsewhere");
});

test("a connection whose authority leaves the bundle is cut, others and those without a certificate are not", async (t) => {
  const { live, dial } = await open(t, new ManualClock(NOW));
  const [ofOld, ofNext, nobody] = [await dial(old), await dial(next), await dial(undefined)];
  live.publish(bundles(next));
  await eventually(() => ofOld.closed, "the old authority's connection ends");
  assert.deepEqual([ofNext.closed, nobody.closed], [false, false]);
});

test("a connection is cut when its certificate has ended", async (t) => {
  const clock = new ManualClock(NOW);
  const { dial } = await open(t, clock);
  const socket = await dial(old);
  await eventually(() => clock.pending === 1, "the server waits for the end");
  clock.advance(HOUR_MS);
  assert.equal(clock.pending, 1);
  clock.advance(2000);
  await eventually(() => socket.closed, "it is cut");
  assert.equal(clock.pending, 0);
});

test("a connection that ends sooner leaves no timer", async (t) => {
  const clock = new ManualClock(NOW);
  const { dial } = await open(t, clock);
  const socket = await dial(old);
  await eventually(() => clock.pending === 1, "the server waits for the end");
  socket.destroy();
  await eventually(() => clock.pending === 0, "it waits no more");
});

async function open(t: TestContext, clock: ManualClock) {
  const live = new Live(bundles(old, next));
  const own = next.issue({ uris: ["spiffe://cluster.local/ns/heddle-system/sa/control-plane"], dns: ["localhost"] });
  const served = await serveTls({
    budget: new MessageBudget(NODES_BUDGET),
    services: [],
    address: { host: "127.0.0.1", port: 0 },
    identity: new Live({ certificateChain: own.chain, privateKey: own.key, notAfterMs: NOW + HOUR_MS }),
    trustDomain: "cluster.local",
    bundles: live,
    renewalGraceMs: 0,
    clock,
    log: quietLog,
    metrics: quietMetrics,
  });
  t.after(() => served.close());
  const dial = async (authority: TestAuthority | undefined): Promise<TLSSocket> => {
    const shown = authority?.issue({ uris: [ID], validTo: new Date(NOW + HOUR_MS) });
    const socket = connect({
      ...served.address,
      ca: next.certificate,
      servername: "localhost",
      ALPNProtocols: ["h2"],
      ...(shown && { cert: shown.chain, key: shown.key }),
    });
    t.after(() => socket.destroy());
    socket.on("error", () => undefined);
    socket.resume();
    await new Promise((resolve) => socket.once("secureConnect", resolve));
    // The server's first frame: it has looked at the certificate by then.
    await new Promise((resolve) => socket.once("data", resolve));
    return socket;
  };
  return { live, dial };
}

function verified(validToMs: number): VerifiedSvid {
  const { certificate } = old.issue({ uris: [ID], validTo: new Date(validToMs) });
  const found = verifySvid([new X509Certificate(certificate).raw], bundles(old), NOW);
  assert.ok(found.ok);
  return found.value;
}

function bundles(...authorities: readonly TestAuthority[]): TrustBundles {
  const bundle: TrustBundle = {
    trustDomain: "cluster.local",
    x509Authorities: authorities.map(({ certificate }) => new X509Certificate(certificate).raw),
    jwtAuthorities: [],
    sequenceNumber: 1,
    refreshHintSeconds: 0,
  };
  return new TrustBundles([bundle]);
}
