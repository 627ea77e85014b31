import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type ServiceError, status } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import type { SpiffeId } from "@heddle/identity";
import { type HeldSvid, newSvidRequest, requestSvid } from "../harness/ca-client.ts";
import { ControlPlaneProcess } from "../harness/control-plane-process.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";

/* The authority's program dies in the middle, and stays away until certificates have ended. */

const WEB: SpiffeId = { trustDomain: "cluster.local", path: "/ns/shop/sa/web" };
const ADMIN = "an-administrators-token";

test("an authority that is killed comes back as the same one, and everybody goes on with what they had", async (t) => {
  const owner = lastFirst(t);
  const folder = mkdtempSync(join(tmpdir(), "heddle-e2e-ca-"));
  owner.after(() => rmSync(folder, { recursive: true }));
  const tokens = join(folder, "tokens.yaml");
  const sha256 = createHash("sha256").update(ADMIN).digest("hex");
  writeFileSync(tokens, JSON.stringify([{ name: "admin", role: "admin", sha256 }]));
  const store = join(folder, "store");
  const life = ["--svid-ttl", "2s", "--renewal-grace", "10m"];
  const controlPlane = new ControlPlaneProcess(
    owner,
    ["--store", store, "--api-tokens", tokens, "--trust-domain", "cluster.local"].concat(life),
  );
  await controlPlane.start();
  const bundle = await controlPlane.page("/ca/bundle");
  const ask = (request: ReturnType<typeof newSvidRequest>, proof: { token?: string; svid?: HeldSvid }) =>
    requestSvid(controlPlane.tlsPort, bundle, request, proof);

  const first = newSvidRequest(WEB);
  const token = await joinToken(controlPlane);
  let svid = await ask(first, { token });
  assert.deepEqual(svid.leaf.uriSans, ["spiffe://cluster.local/ns/shop/sa/web"]);
  svid = await ask(newSvidRequest(WEB), { svid });

  await controlPlane.kill();
  assert.equal((await failure(ask(newSvidRequest(WEB), { svid }))).code, status.UNAVAILABLE);
  await eventually("the certificate has ended", () => systemClock.wallNow() > svid.leaf.validToMs);
  await controlPlane.start();

  assert.equal(await controlPlane.page("/ca/bundle"), bundle);
  // What was used up before the end stays so; its owner may have lost the answer.
  assert.equal((await failure(ask(newSvidRequest(WEB), { token }))).code, status.UNAUTHENTICATED);
  assert.deepEqual((await ask(first, { token })).leaf.uriSans, svid.leaf.uriSans);
  // And who has nothing but a certificate that has ended heals by it.
  const healed = await ask(newSvidRequest(WEB), { svid });
  assert.ok(healed.leaf.validToMs > svid.leaf.validToMs);
  const other = await failure(ask(newSvidRequest({ ...WEB, path: "/ns/shop/sa/orders" }), { svid }));
  assert.equal(other.code, status.PERMISSION_DENIED);
  assert.ok(!controlPlane.log.includes(token) && !controlPlane.log.includes(ADMIN));
});

async function joinToken(controlPlane: ControlPlaneProcess): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${controlPlane.apiPort}/v1/ca/join-tokens`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${ADMIN}`, connection: "close" },
    body: JSON.stringify({ namespace: "shop", account: "web" }),
  });
  assert.equal(response.status, 200);
  return ((await response.json()) as { readonly token: string }).token;
}

async function failure(call: Promise<unknown>): Promise<ServiceError> {
  return call.then(
    () => assert.fail("it was answered"),
    (error: ServiceError) => error,
  );
}
