import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { readSealSecret, type SealSecret, seal, unseal } from "./seal.ts";

const KEY: SealSecret = { type: "key", key: randomBytes(32) };
const PASSPHRASE: SealSecret = { type: "passphrase", passphrase: "correct horse battery" };

test("what is sealed comes out as it was, under a key and under a passphrase", async () => {
  for (const secret of [KEY, PASSPHRASE]) {
    const envelope = await seal("the secret ä", secret);
    assert.doesNotMatch(envelope, /the secret/);
    assert.deepEqual(await unseal(envelope, secret), { ok: true, value: "the secret ä" });
  }
});

test("no two envelopes of one secret are alike", async () => {
  assert.notEqual(await seal("a", KEY), await seal("a", KEY));
});

test("another key, another passphrase, and the other kind open nothing", async () => {
  const byKey = await seal("a", KEY);
  const byPassphrase = await seal("a", PASSPHRASE);
  await refused(byKey, { type: "key", key: randomBytes(32) }, /not sealed under this secret/);
  await refused(
    byPassphrase,
    { type: "passphrase", passphrase: "wrong horse battery" },
    /not sealed under this secret/,
  );
  await refused(byKey, PASSPHRASE, /sealed under a key/);
  await refused(byPassphrase, KEY, /sealed under a passphrase/);
});

test("an envelope of which a bit is changed is not opened, wherever the bit is", async () => {
  const envelope = JSON.parse(await seal("a secret", KEY));
  for (const field of ["iv", "data"]) {
    const bytes = Buffer.from(envelope[field], "base64");
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at]! ^= 1;
      await refused(JSON.stringify({ ...envelope, [field]: changed.toString("base64") }), KEY, /not sealed under/);
    }
  }
  await refused(JSON.stringify({ note: "x", ...envelope }), KEY, /not sealed under/);
});

test("an envelope that is cut, of another version, or no envelope is refused with the reason", async () => {
  const envelope = JSON.parse(await seal("a", KEY));
  await refused("", KEY, /no JSON/);
  await refused("[]", KEY, /no object/);
  await refused(JSON.stringify({ ...envelope, version: 2 }), KEY, /another version than 1/);
  await refused(JSON.stringify({ ...envelope, cipher: "aes-256-cbc" }), KEY, /another cipher/);
  await refused(JSON.stringify({ ...envelope, data: "AAAA" }), KEY, /cut/);
  await refused(" ".repeat(300 * 1024), KEY, /more than 262144 bytes/);
});

test("an envelope may not ask for an scrypt that takes all memory", async () => {
  const envelope = JSON.parse(await seal("a", PASSPHRASE));
  for (const change of [{ N: 2 ** 30 }, { N: 3 }, { N: 0 }, { r: 2 ** 20 }, { p: 1000 }, { salt: "" }, { N: "1" }]) {
    const changed = { ...envelope, scrypt: { ...envelope.scrypt, ...change } };
    await refused(JSON.stringify(changed), PASSPHRASE, /beyond every bound/);
  }
});

test("the file of a secret holds a key in hexadecimal or base64, or a passphrase", () => {
  const key = randomBytes(32);
  for (const text of [key.toString("hex"), key.toString("base64"), `${key.toString("hex")}\n`]) {
    const read = readSealSecret(text);
    assert.ok(read.ok && read.value.type === "key" && Buffer.from(read.value.key).equals(key));
  }
  assert.deepEqual(readSealSecret("correct horse battery\n"), { ok: true, value: PASSPHRASE });
  for (const text of ["", "short", "   spaces    "]) assert.equal(readSealSecret(text).ok, false);
});

async function refused(envelope: string, secret: SealSecret, why: RegExp): Promise<void> {
  const opened = await unseal(envelope, secret);
  assert.ok(!opened.ok, "it is opened");
  assert.match(opened.error, why);
}
