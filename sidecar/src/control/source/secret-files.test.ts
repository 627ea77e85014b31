import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { AssembledResource } from "@heddle/config";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import type { Log } from "@heddle/telemetry";
import type { SecretConfig } from "@heddle/traffic";
import { makeSecretType, type ResourceUpdate, resourceFromJson, systemDataReader } from "@heddle/xds";
import { SecretFiles } from "./secret-files.ts";

const authority = new TestAuthority();
const [first, second] = [authority.issue({ commonName: "first" }), authority.issue({ commonName: "second" })];
const LOOK_MS = 500;

/** A secret whose certificate and key lie in files. */
function world(t: TestContext, watched?: "folder") {
  const folder = mkdtempSync(join(tmpdir(), "secret-files-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const put = (name: string, text: string): void => {
    writeFileSync(join(folder, `.${name}`), text);
    renameSync(join(folder, `.${name}`), join(folder, name));
  };
  const putPair = ({ chain, key }: TestCertificate): void => {
    put("cert.pem", chain);
    put("cert.key", key);
  };
  putPair(first);
  const type = makeSecretType(systemDataReader({}));
  const resource = resourceFromJson({
    "@type": type.typeUrl,
    name: "web",
    tls_certificate: {
      certificate_chain: { filename: join(folder, "cert.pem") },
      private_key: { filename: join(folder, "cert.key") },
      ...(watched && { watched_directory: { path: folder } }),
    },
  });
  assert.ok(resource.ok);
  const decoded = type.decode(resource.value.bytes);
  assert.ok(decoded.ok);
  const clock = new ManualClock();
  const updates: ResourceUpdate[] = [];
  const failed: string[] = [];
  const logged: string[] = [];
  const note = (message: string, fields?: object): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
  const files = new SecretFiles({
    type,
    clock,
    log: { info: note, error: note } as unknown as Log,
    onUpdate: (update) => updates.push(update),
    onFailed: (name) => failed.push(name),
  });
  const inForce = (config: SecretConfig, source: "static" | "dynamic" = "dynamic"): AssembledResource => ({
    kind: "secret",
    name: "web",
    source,
    active: { config, version: "7", acceptedMs: 0 },
    warming: undefined,
    waitingFor: [],
  });
  const shown = (): string | undefined => {
    const config = updates.at(-1)?.changed.get("web")?.config as SecretConfig | undefined;
    return config?.type === "certificate" ? config.certificate.certificateChain.content : undefined;
  };
  return { put, putPair, clock, files, updates, failed, logged, inForce, shown, config: decoded.value.config };
}

for (const watched of [undefined, "folder"] as const) {
  test(`a secret is read again when its files have changed (${watched ?? "files"} watched)`, (t) => {
    const { putPair, clock, files, updates, inForce, shown, config } = world(t, watched);
    files.follow([inForce(config)]);
    clock.advance(10 * LOOK_MS);
    assert.equal(updates.length, 0);
    putPair(second);
    clock.advance(LOOK_MS);
    assert.equal(updates.length, 1);
    assert.equal(shown(), second.chain);
    assert.equal(updates[0]?.changed.get("web")?.version, "7");
    files.follow([inForce(updates[0]?.changed.get("web")?.config as SecretConfig)]); // it is in force now
    clock.advance(10 * LOOK_MS);
    assert.equal(updates.length, 1);
  });
}

test("a key that is not the certificate's changes nothing and is told without showing it; the next change is read", (t) => {
  const { put, clock, files, updates, failed, logged, inForce, shown, config } = world(t);
  files.follow([inForce(config)]);
  put("cert.pem", second.chain);
  clock.advance(LOOK_MS);
  assert.deepEqual([updates.length, failed], [0, ["web"]]);
  assert.match(logged.join(), /cert\.key\\" does not belong to the certificate/);
  assert.ok(!logged.join().includes(first.key.split("\n")[1] ?? "?"));
  clock.advance(10 * LOOK_MS);
  assert.equal(failed.length, 1, "once for each change");
  put("cert.key", second.key);
  clock.advance(LOOK_MS);
  assert.equal(shown(), second.chain);
});

test("the bootstrap's secrets, and those that nobody asks for any more, are not followed; no timer is left", (t) => {
  const { putPair, clock, files, updates, inForce, config } = world(t);
  files.follow([inForce(config, "static")]);
  assert.equal(clock.pending, 0);
  files.follow([inForce(config)]);
  assert.equal(clock.pending, 1);
  files.follow([]);
  assert.equal(clock.pending, 0);
  putPair(second);
  clock.advance(LOOK_MS);
  assert.equal(updates.length, 0);
});
