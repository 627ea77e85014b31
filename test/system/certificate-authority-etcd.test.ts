import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { SpiffeId } from "@heddle/identity";
import { newSvidRequest, requestSvid } from "../harness/ca-client.ts";
import { ControlPlaneProcess } from "../harness/control-plane-process.ts";
import { etcdctl, noEtcd, startEtcd } from "../harness/etcd.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";

/* Two control planes on one etcd are one authority. */

const WEB: SpiffeId = { trustDomain: "cluster.local", path: "/ns/shop/sa/web" };
const ADMIN = "an-administrators-token";

test("replicas on an etcd have one root, take a join token once between them, and replace the root together", {
  skip: noEtcd,
}, async (t) => {
  const owner = lastFirst(t);
  const [member] = await startEtcd(owner);
  const folder = mkdtempSync(join(tmpdir(), "heddle-etcd-ca-"));
  owner.after(() => rmSync(folder, { recursive: true }));
  const [tokens, passphrase] = [join(folder, "tokens.yaml"), join(folder, "passphrase")];
  const sha256 = createHash("sha256").update(ADMIN).digest("hex");
  writeFileSync(tokens, JSON.stringify([{ name: "admin", role: "admin", sha256 }]));
  writeFileSync(passphrase, "a passphrase for both\n");
  const store = ["--store", `etcd://${member!.endpoint}/mesh`, "--trust-domain", "cluster.local"];
  const flags = [...store, "--api-tokens", tokens, "--ca-passphrase-file", passphrase];

  const without = new ControlPlaneProcess(owner, store);
  await assert.rejects(without.start(), /--ca-passphrase-file names one, the same for every control plane/);

  const replicas = [new ControlPlaneProcess(owner, flags), new ControlPlaneProcess(owner, flags)] as const;
  await Promise.all(replicas.map((replica) => replica.start()));
  const [one, other] = replicas;
  const bundle = await one.page("/ca/bundle");
  assert.equal(await other.page("/ca/bundle"), bundle);
  const stored = etcdctl(member!.endpoint, "get", "--prefix", "/mesh/").output;
  assert.ok(stored.includes("/mesh/@ca/state") && stored.includes("scrypt") && !stored.includes("PRIVATE"));

  const { token } = (await post(one, "join-tokens", { namespace: "shop", account: "web" })) as { token: string };
  await eventually("the other knows the token", () => isTaken(other, bundle, token));
  const { token: contested } = (await post(one, "join-tokens", { namespace: "shop", account: "web" })) as {
    token: string;
  };
  const uses = await Promise.allSettled(
    Array.from({ length: 60 }, (_, index) =>
      requestSvid(replicas[index % 2]!.tlsPort, bundle, newSvidRequest(WEB), { token: contested }),
    ),
  );
  assert.equal(uses.filter((use) => use.status === "fulfilled").length, 1);

  await post(other, "rotate", { step: "begin" });
  await eventually("both publish two roots", async () => {
    const bundles = await Promise.all(replicas.map((replica) => replica.page("/ca/bundle")));
    return bundles.every((text) => text === bundles[0] && text.split("BEGIN").length === 3);
  });
});

/** Uses the token up at that replica; it may not have heard of it yet. */
async function isTaken(replica: ControlPlaneProcess, bundle: string, token: string): Promise<boolean> {
  return requestSvid(replica.tlsPort, bundle, newSvidRequest(WEB), { token }).then(
    () => true,
    () => false,
  );
}

async function post(controlPlane: ControlPlaneProcess, what: string, body: object): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${controlPlane.apiPort}/v1/ca/${what}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${ADMIN}`, connection: "close" },
    body: JSON.stringify(body),
  });
  const answer = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer;
}
