import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { Authority } from "@heddle/identity/ca";
import { eventually } from "@heddle/xds/testing";
import { FileAuthority } from "./file-authority.ts";
import { hashJoinToken, makeJoinToken } from "./join-token.ts";
import { JoinTokenFile, readJoinTokens } from "./join-token-file.ts";
import { TestLog, TRUST_DOMAIN } from "./testing.ts";

test("files of an authority are followed; those that cannot be used change nothing, and are told of once", async (t) => {
  const folder = folderOf(t);
  const files = { certificateFile: join(folder, "ca.pem"), keyFile: join(folder, "ca.key"), rootFile: undefined };
  const [clock, log] = [new ManualClock(), new TestLog()];
  const put = async (): Promise<Authority> => {
    const root = await Authority.createRoot(TRUST_DOMAIN, { nowMs: clock.wallNow() });
    writeFileSync(files.certificateFile, root.certificatesPem());
    writeFileSync(files.keyFile, root.exportKey());
    return root;
  };
  const first = await put();
  const authority = await FileAuthority.open({ trustDomain: TRUST_DOMAIN, files, clock, log: log.log });
  t.after(() => authority.close());
  const signs = (): string | undefined => authority.current.current?.authority.certificate.fingerprintSha256;
  assert.equal(signs(), first.certificate.fingerprintSha256);

  writeFileSync(files.keyFile, "half a key");
  await authority.look();
  await authority.look();
  assert.equal(signs(), first.certificate.fingerprintSha256);
  assert.equal(log.with("stays as it was").length, 1);
  assert.ok(!log.lines.join().includes("half a key"));

  const second = await put();
  clock.advance(10_000);
  await eventually(() => signs() === second.certificate.fingerprintSha256, "the new authority");
});

test("a file of join tokens is followed; one that is wrong changes nothing", async (t) => {
  const path = join(folderOf(t), "join.yaml");
  const [clock, log, token] = [new ManualClock(), new TestLog(), makeJoinToken()];
  writeFileSync(path, "[]");
  const file = await JoinTokenFile.open({ path, trustDomain: TRUST_DOMAIN, clock, log: log.log });
  t.after(() => file.close());
  writeFileSync(path, entryOf(token));
  await file.look();
  assert.equal(file.tokens.get(hashJoinToken(token)!)?.spiffeId.path, "/ns/shop/sa/web");
  writeFileSync(path, "- {sha256: x}");
  await file.look();
  assert.equal(file.tokens.size, 1);
  assert.ok(log.with("stay as they were").length === 1);
});

test("every fault of a file of join tokens is told with its place, and no hash is repeated", () => {
  const good = entryOf(makeJoinToken());
  const text = [
    good,
    good, // twice
    "- {sha256: secretsecret, spiffeId: 'spiffe://cluster.local/ns/a/sa/b', expires: 2026-01-01T00:00:00Z}",
    `- {sha256: '${"a".repeat(64)}', spiffeId: 'spiffe://example.org/ns/a/sa/b', expires: '2026-01-01T00:00:00Z'}`,
    `- {sha256: '${"b".repeat(64)}', spiffeId: 'spiffe://cluster.local/ns/a/sa/b', expires: soon, role: x}`,
  ].join("\n");
  const read = readJoinTokens("join.yaml", text, TRUST_DOMAIN);
  assert.ok(!read.ok);
  assert.deepEqual(
    read.error.map(({ path, line }) => `${line} ${path}`),
    ["2 [1].sha256", "3 [2].sha256", "4 [3].spiffeId", "5 [4].role", "5 [4].expires"],
  );
  assert.ok(!JSON.stringify(read.error).includes("secretsecret"));
});

function entryOf(token: string): string {
  return `- {sha256: '${hashJoinToken(token)}', spiffeId: 'spiffe://cluster.local/ns/shop/sa/web', expires: '2026-01-02T00:00:00Z'}`;
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-ca-files-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}
