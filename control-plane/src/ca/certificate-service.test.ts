import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { Certificate, readSvid, type SpiffeId, verifySvid } from "@heddle/identity";
import { valueOfResult } from "../api/testing.ts";
import { type CallerProof, CertificateService, MAX_CSR_BYTES } from "./certificate-service.ts";
import { makeJoinToken } from "./join-token.ts";
import { HOUR_MS, newRequest, ORDERS, openTestCa, type TestCa, WEB } from "./testing.ts";
import type { TokenReviewer } from "./token-review.ts";

const NOBODY: CallerProof = { svid: undefined, bearer: undefined, isSecure: true, source: "10.0.0.1" };

test("a join token gets a certificate in its name that the bundle vouches for", async (t) => {
  const { service, test: made, clock } = await open(t);
  const token = await joinToken(made, WEB);
  const answer = valueOfResult(await service.issue({ ...NOBODY, bearer: token }, newRequest(WEB).csr, 0));
  const verified = verifySvid(answer.svid.chain, made.ca.authority.bundles.current, clock.wallNow());
  assert.deepEqual(valueOfResult(verified).spiffeId, WEB);
  assert.equal(answer.svid.notAfterMs, clock.wallNow() + 24 * HOUR_MS);
  assert.equal(made.counters.values.get("ca.issued join_token"), 1);
});

test("a request without a name gets the caller's, and a shorter life where it asks for one", async (t) => {
  const { service, clock } = await open(t);
  const { csr } = newRequest(undefined);
  const { svid } = valueOfResult(await service.issue({ ...NOBODY, svid: WEB }, csr, 60));
  assert.deepEqual(valueOfResult(readSvid(new Certificate(svid.chain[0]!))), WEB);
  assert.equal(svid.notAfterMs, clock.wallNow() + 60_000);
  const long = valueOfResult(await service.issue({ ...NOBODY, svid: WEB }, csr, 10 * 86_400));
  assert.equal(long.svid.notAfterMs, clock.wallNow() + 24 * HOUR_MS);
});

test("a CSR for another identity is refused, whatever the proof, and uses no token up", async (t) => {
  const { service, test: made } = await open(t, { shop: WEB });
  const token = await joinToken(made, WEB);
  for (const proof of [{ svid: WEB }, { bearer: token }, { bearer: "shop" }]) {
    const refused = await service.issue({ ...NOBODY, ...proof }, newRequest(ORDERS).csr, 0);
    assert.equal(codeOf(refused), "PERMISSION_DENIED");
  }
  assert.ok((await service.issue({ ...NOBODY, bearer: token }, newRequest(WEB).csr, 0)).ok);
  assert.match(
    made.log.with("certificate refused")[0] ?? "",
    /"identity":"spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web"/,
  );
});

test("nobody gets the control plane's own identity, whatever the proof", async (t) => {
  const own: SpiffeId = { ...WEB, path: "/ns/heddle-system/sa/control-plane" };
  const { service, test: made } = await open(t, { own });
  const token = await joinToken(made, own);
  for (const proof of [{ svid: own }, { bearer: token }, { bearer: "own" }])
    for (const named of [own, undefined]) {
      const refused = await service.issue({ ...NOBODY, ...proof }, newRequest(named).csr, 0);
      assert.equal(codeOf(refused), "PERMISSION_DENIED");
    }
});

test("a stolen join token replayed gets nothing, and the log says so", async (t) => {
  const { service, test: made } = await open(t);
  const token = await joinToken(made, WEB);
  const own = newRequest(WEB).csr;
  assert.ok((await service.issue({ ...NOBODY, bearer: token }, own, 0)).ok);
  const stolen = await service.issue({ ...NOBODY, bearer: token }, newRequest(WEB).csr, 0);
  assert.equal(codeOf(stolen), "UNAUTHENTICATED");
  assert.ok(made.log.with('"reason":"join_token_used"').length === 1);
  assert.ok((await service.issue({ ...NOBODY, bearer: token }, own, 0)).ok, "the answer may have been lost");
});

test("1000 parallel uses of one token issue one certificate", async (t) => {
  const { service, test: made } = await open(t, {}, { burst: 10_000, perSecond: 10_000 });
  const token = await joinToken(made, WEB);
  const requests = Array.from({ length: 1000 }, () => newRequest(WEB).csr);
  const answers = await Promise.all(requests.map((csr) => service.issue({ ...NOBODY, bearer: token }, csr, 0)));
  assert.equal(answers.filter(({ ok }) => ok).length, 1);
  assert.equal(made.log.with("certificate issued").length, 1);
});

test("an expired token, an unknown one, one of another kind and none at all are told alike: UNAUTHENTICATED", async (t) => {
  const { service, test: made, clock } = await open(t);
  const token = await joinToken(made, WEB);
  clock.advance(HOUR_MS);
  const { csr } = newRequest(WEB);
  const messages = new Set<string>();
  for (const bearer of [token, makeJoinToken(), "hjt_x", "heddle_abc", undefined]) {
    const refused = await service.issue({ ...NOBODY, bearer }, csr, 0);
    assert.ok(!refused.ok && refused.error.code === "UNAUTHENTICATED");
    if (bearer?.startsWith("hjt_")) messages.add(refused.error.message);
  }
  assert.equal(messages.size, 1, "nobody learns which tokens there were");
});

test("an oversize or malformed CSR is refused, and uses no token up", async (t) => {
  const { service, test: made } = await open(t);
  const token = await joinToken(made, WEB);
  const { csr } = newRequest(WEB);
  const forged = Uint8Array.from(csr);
  forged[forged.length - 1]! ^= 1;
  for (const bad of [
    new Uint8Array(),
    new Uint8Array(MAX_CSR_BYTES + 1),
    csr.subarray(0, -1),
    Buffer.concat([csr, Buffer.from([0])]),
    Buffer.from("-----BEGIN CERTIFICATE REQUEST-----"),
    forged,
  ])
    assert.equal(codeOf(await service.issue({ ...NOBODY, bearer: token }, bad, 0)), "INVALID_ARGUMENT");
  assert.ok((await service.issue({ ...NOBODY, bearer: token }, csr, 0)).ok);
});

test("a service account token is taken over TLS alone", async (t) => {
  const { service } = await open(t, { shop: WEB });
  const { csr } = newRequest(WEB);
  assert.ok((await service.issue({ ...NOBODY, bearer: "shop" }, csr, 0)).ok);
  const plain = await service.issue({ ...NOBODY, bearer: "shop", isSecure: false }, csr, 0);
  assert.equal(codeOf(plain), "UNAUTHENTICATED");
});

test("who has a certificate uses no token up, and gets no other identity by one", async (t) => {
  const { service, test: made } = await open(t);
  const token = await joinToken(made, ORDERS);
  const proof = { ...NOBODY, svid: WEB, bearer: token };
  assert.equal(codeOf(await service.issue(proof, newRequest(ORDERS).csr, 0)), "PERMISSION_DENIED");
  assert.ok((await service.issue(proof, newRequest(WEB).csr, 0)).ok);
  assert.ok((await service.issue({ ...NOBODY, bearer: token }, newRequest(ORDERS).csr, 0)).ok);
});

test("an SVID of another trust domain gets none of ours", async (t) => {
  const { service } = await open(t);
  const stranger = { trustDomain: "example.org", path: WEB.path };
  const refused = await service.issue({ ...NOBODY, svid: stranger }, newRequest(undefined).csr, 0);
  assert.equal(codeOf(refused), "PERMISSION_DENIED");
});

test("an identity that asks too often waits, and others do not", async (t) => {
  const { service } = await open(t, {}, { burst: 3, perSecond: 0.1 });
  const { csr } = newRequest(undefined);
  for (let count = 0; count < 3; count += 1) assert.ok((await service.issue({ ...NOBODY, svid: WEB }, csr, 0)).ok);
  const refused = await service.issue({ ...NOBODY, svid: WEB }, csr, 0);
  assert.ok(!refused.ok && refused.error.code === "RESOURCE_EXHAUSTED" && refused.error.retryAfterS === 10);
  assert.ok((await service.issue({ ...NOBODY, svid: ORDERS }, csr, 0)).ok);
});

test("an address that asks too often is refused before anything is read, and the log is not flooded", async (t) => {
  const { service, test: made } = await open(t);
  const codes = new Map<string, number>();
  for (let count = 0; count < 1000; count += 1) {
    const code = codeOf(await service.issue({ ...NOBODY, bearer: makeJoinToken() }, new Uint8Array(10), 0));
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  assert.deepEqual(Object.fromEntries(codes), { UNAUTHENTICATED: 500, RESOURCE_EXHAUSTED: 500 });
  assert.equal(made.log.with("certificate refused").length, 100);
  assert.equal(made.counters.values.get("ca.refused RESOURCE_EXHAUSTED"), 500);
  assert.ok((await service.issue({ ...NOBODY, svid: WEB, source: "10.0.0.2" }, newRequest(WEB).csr, 0)).ok);
});

test("no token and no key is in the log", async (t) => {
  const { service, test: made } = await open(t, { shop: WEB });
  const token = await joinToken(made, WEB);
  await service.issue({ ...NOBODY, bearer: token }, newRequest(ORDERS).csr, 0);
  await service.issue({ ...NOBODY, bearer: token }, newRequest(WEB).csr, 0);
  await service.issue({ ...NOBODY, bearer: token }, newRequest(WEB).csr, 0);
  await service.issue({ ...NOBODY, bearer: "a.secret.token" }, newRequest(WEB).csr, 0);
  const everything = made.log.lines.join("\n");
  assert.ok(everything.includes("certificate issued") && everything.includes("certificate refused"));
  assert.ok(!everything.includes(token.slice(4)) && !everything.includes("secret") && !everything.includes("PRIVATE"));
});

/** `reviews`: service account tokens that are good, by their text. */
async function open(
  t: TestContext,
  reviews: Readonly<Record<string, SpiffeId>> = {},
  perIdentity = { burst: 200, perSecond: 30 },
) {
  const clock = new ManualClock();
  const made = await openTestCa(t, { clock });
  const reviewer: Pick<TokenReviewer, "identityOf"> = {
    identityOf: async (token) =>
      reviews[token] === undefined
        ? { ok: false, error: { code: "UNAUTHENTICATED", reason: "not authenticated" } }
        : { ok: true, value: reviews[token] },
  };
  const isRoomy = perIdentity.burst > 500;
  const service = new CertificateService({
    signer: made.ca.authority,
    joinTokens: made.ca.joinTokens,
    reviewer: Object.keys(reviews).length === 0 ? undefined : reviewer,
    clock,
    log: made.log.log,
    metrics: made.counters.scope(),
    limits: isRoomy ? { perIdentity, perSource: perIdentity } : { perIdentity },
  });
  return { service, test: made, clock };
}

async function joinToken({ ca }: TestCa, id: SpiffeId): Promise<string> {
  return valueOfResult(await ca.joinTokens.create(id, 3600, "admin")).token;
}

function codeOf(answer: { ok: true } | { ok: false; error: { code: string } }): string {
  return answer.ok ? "OK" : answer.error.code;
}
