import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "@heddle/base";
import { parseTrustBundle, trustBundleFromPem } from "@heddle/identity";
import { Authority } from "@heddle/identity/ca";
import { quietLog, quietMetrics } from "@heddle/xds/testing";
import { adminUrl } from "../admin/serve-admin.ts";
import { valueOfResult } from "../api/testing.ts";
import { type ControlPlane, startControlPlane } from "../control-plane.ts";
import { formatHostPort, StartError } from "../serve/address.ts";
import { DiskFolder } from "../store/log/disk-folder.ts";
import { LogStore } from "../store/log-store.ts";
import type { CaOptions } from "./ca-options.ts";
import { SEAL_KEY_FILE } from "./seal-key.ts";
import { CA_OPTIONS, TRUST_DOMAIN } from "./testing.ts";

test("the root outlives the control plane, sealed in the store under a key that is its owner's alone", async (t) => {
  const place = await newPlace(t);
  const first = await place.start();
  const bundle = await bundleOf(first);
  await place.stop();
  const keyFile = join(place.folder, "store", SEAL_KEY_FILE);
  assert.equal(statSync(keyFile).mode & 0o777, 0o600);
  const everything = storedText(place.folder);
  assert.ok(everything.includes("aes-256-gcm") && !everything.includes("PRIVATE"));
  assert.equal(await bundleOf(await place.start()), bundle);
});

test("a trust domain that differs from the stored root's is an error at start", async (t) => {
  const place = await newPlace(t);
  await place.start();
  await place.stop();
  await assert.rejects(place.start({ trustDomain: "example.org" }), (error: Error) => {
    assert.ok(error instanceof StartError);
    assert.match(
      error.message,
      /has that of the trust domain "cluster\.local", and --trust-domain says "example\.org"/,
    );
    return true;
  });
});

test("where the key of the stored root is lost or another one, the control plane says so, and makes no new root", async (t) => {
  const place = await newPlace(t);
  const bundle = await bundleOf(await place.start());
  await place.stop();
  const keyFile = join(place.folder, "store", SEAL_KEY_FILE);
  const key = readFileSync(keyFile, "utf8");
  rmSync(keyFile);
  await assert.rejects(place.start(), /authority-key is missing, and the stored root is sealed under what it held/);
  assert.ok(!existsSync(keyFile));
  writeFileSync(keyFile, "0".repeat(64));
  await assert.rejects(place.start(), /the stored key is not sealed under this secret/);
  writeFileSync(keyFile, "short");
  await assert.rejects(
    place.start(),
    (error: Error) => /is neither a key/.test(error.message) && !error.message.includes("short"),
  );
  writeFileSync(keyFile, key);
  assert.equal(await bundleOf(await place.start()), bundle);
});

test("with a passphrase no key is made", async (t) => {
  const place = await newPlace(t);
  const passphraseFile = join(place.folder, "passphrase");
  await assert.rejects(place.start({ passphraseFile }), /passphrase is missing/);
  writeFileSync(passphraseFile, "a passphrase that is long\n");
  const bundle = await bundleOf(await place.start({ passphraseFile }));
  assert.ok(!existsSync(join(place.folder, "store", SEAL_KEY_FILE)));
  await place.stop();
  assert.equal(await bundleOf(await place.start({ passphraseFile })), bundle);
});

test("an operator's authority is taken from files, and nothing is stored", async (t) => {
  const place = await newPlace(t);
  const root = await Authority.createRoot(TRUST_DOMAIN, { nowMs: systemClock.wallNow() });
  const [certificateFile, keyFile] = [join(place.folder, "ca.pem"), join(place.folder, "ca.key")];
  writeFileSync(certificateFile, root.certificatesPem());
  writeFileSync(keyFile, root.exportKey());
  const controlPlane = await place.start({ files: { certificateFile, keyFile, rootFile: undefined } });
  assert.equal(await bundleOf(controlPlane), root.rootsPem());
  assert.ok(!storedText(place.folder).includes("sealedKey"));
  const rotated = await place.post(controlPlane, "rotate", {}, "admin");
  assert.equal(rotated.status, 400);
  await place.stop();
  writeFileSync(keyFile, (await Authority.createRoot(TRUST_DOMAIN, { nowMs: systemClock.wallNow() })).exportKey());
  await assert.rejects(
    place.start({ files: { certificateFile, keyFile, rootFile: undefined } }),
    /the private key is not that of the certificate/,
  );
});

test("admins make join tokens, for the namespaces that are theirs", async (t) => {
  const place = await newPlace(t);
  const controlPlane = await place.start();
  const ask = (by: string, body: object) => place.post(controlPlane, "join-tokens", body, by);
  const made = await ask("admin", { namespace: "shop", account: "web", ttlSeconds: 60 });
  assert.equal(made.status, 200);
  assert.match(JSON.stringify(made.json["token"]), /^"hjt_/);
  assert.equal(made.json["spiffeId"], "spiffe://cluster.local/ns/shop/sa/web");
  assert.equal((await ask("shop", { namespace: "shop" })).status, 200);
  for (const [by, body, status] of [
    ["shop", { namespace: "kube-system" }, 403],
    ["writer", {}, 403],
    ["nobody", {}, 401],
    ["admin", { namespace: "a/../b" }, 400],
    ["admin", { account: "../admin" }, 400],
    ["admin", { ttlSeconds: 0 }, 400],
    ["admin", { ttlSeconds: 700_000 }, 400],
    ["admin", { role: "x" }, 400],
  ] as const)
    assert.equal((await ask(by, body)).status, status, `${by} ${JSON.stringify(body)}`);
});

test("an open API makes no join tokens, since everybody on the machine reaches it", async (t) => {
  const place = await newPlace(t, false);
  const refused = await place.post(await place.start(), "join-tokens", {}, "");
  assert.deepEqual([refused.status, refused.json["error"]?.["code"]], [403, "PERMISSION_DENIED"]);
});

test("a root is replaced step by step, and a bundle says so in both its forms", async (t) => {
  const place = await newPlace(t);
  const controlPlane = await place.start();
  const count = async (): Promise<number> =>
    valueOfResult(trustBundleFromPem(TRUST_DOMAIN, await bundleOf(controlPlane))).x509Authorities.length;
  const rotate = async (step: string): Promise<unknown> => {
    const { status, json } = await place.post(controlPlane, "rotate", { step }, "admin");
    return status === 200 ? json["state"] : status;
  };
  assert.equal(await rotate("next"), 409);
  assert.deepEqual([await rotate("begin"), await count()], ["publishing", 2]);
  assert.equal(await rotate("begin"), 409);
  await place.stop();
  const again = await place.start();
  const [publishing, second] = [await place.post(again, "rotate", { step: "next" }, "admin"), await bundleOf(again)];
  assert.deepEqual([publishing.json["state"], second.split("BEGIN").length - 1], ["retiring", 2]);
  assert.equal((await place.post(again, "rotate", { step: "next" }, "admin")).json["state"], "steady");
  const spiffe = await (await fetch(`${adminUrl(again.adminAddress)}/ca/bundle?format=spiffe`)).text();
  const bundle = valueOfResult(parseTrustBundle(TRUST_DOMAIN, spiffe));
  assert.deepEqual([bundle.x509Authorities.length, bundle.sequenceNumber], [1, 3]);
  const status = await (await fetch(`${adminUrl(again.adminAddress)}/ca`)).text();
  assert.ok(!status.includes("sealed") && !status.includes("PRIVATE"));
});

/** A folder for a control plane, which is started there as often as one likes. */
async function newPlace(t: TestContext, withTokens = true) {
  const folder = mkdtempSync(join(tmpdir(), "heddle-ca-"));
  const tokensFile = join(folder, "tokens.yaml");
  writeFileSync(
    tokensFile,
    [
      { name: "admin", role: "admin" },
      { name: "writer", role: "write" },
      { name: "shop", role: "admin", namespaces: ["shop"] },
    ]
      .map((entry) => `- ${JSON.stringify({ ...entry, sha256: sha256(entry.name) })}\n`)
      .join(""),
  );
  let running: { readonly controlPlane: ControlPlane; readonly store: LogStore } | undefined;
  const stop = async (): Promise<void> => {
    await running?.controlPlane.stop();
    await running?.store.close();
    running = undefined;
  };
  t.after(async () => {
    await stop();
    rmSync(folder, { recursive: true });
  });
  const start = async (ca: Partial<CaOptions> = {}): Promise<ControlPlane> => {
    const store = new LogStore({ folder: new DiskFolder(join(folder, "store")), log: quietLog });
    await store.start();
    try {
      const controlPlane = await startControlPlane({
        folders: [],
        store,
        api: { address: ANY, isAsked: true, tokensFile: withTokens ? tokensFile : undefined, tls: undefined },
        ca: { ...CA_OPTIONS, ...ca },
        xdsAddress: ANY,
        adminAddress: ANY,
        identifier: "test",
        clock: systemClock,
        log: quietLog,
        metrics: quietMetrics,
        collectMetrics: () => [],
      });
      running = { controlPlane, store };
      return controlPlane;
    } catch (error) {
      await store.close();
      throw error;
    }
  };
  const post = async (controlPlane: ControlPlane, what: string, body: object, as: string) => {
    const response = await fetch(`http://${formatHostPort(controlPlane.apiAddress!)}/v1/ca/${what}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(as !== "" && { authorization: `Bearer ${as}` }) },
      body: JSON.stringify(body),
    });
    return { status: response.status, json: (await response.json()) as Record<string, Record<string, unknown>> };
  };
  return { folder, start, stop, post };
}

const ANY = { host: "127.0.0.1", port: 0 };

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

async function bundleOf(controlPlane: ControlPlane): Promise<string> {
  const response = await fetch(`${adminUrl(controlPlane.adminAddress)}/ca/bundle`);
  assert.equal(response.status, 200);
  return response.text();
}

function storedText(folder: string): string {
  const names = readdirSync(join(folder, "store")).filter((name) => /^(log|snapshot)/.test(name));
  return names.map((name) => readFileSync(join(folder, "store", name), "latin1")).join();
}
