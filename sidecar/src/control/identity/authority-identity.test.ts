import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { err, ManualClock, ok, type Result } from "@heddle/base";
import { parseSpiffeId } from "@heddle/identity";
import { Authority } from "@heddle/identity/ca";
import type { Log } from "@heddle/telemetry";
import { eventually } from "@heddle/xds/testing";
import type { CallerProof, IssueFailure } from "./authority-client.ts";
import { AuthorityIdentity, type AuthorityIdentityOptions } from "./authority-identity.ts";
import type { Issued } from "./authority-wire.ts";
import { IdentityFile } from "./identity-file.ts";

const HOUR = 3_600_000;
const WEB = "spiffe://cluster.local/ns/shop/sa/web";

/** An authority that does as it is told, and an identity that asks it. */
async function world(more: Partial<AuthorityIdentityOptions> = {}, clock = new ManualClock()) {
  const authority = await Authority.createRoot("cluster.local", { nowMs: clock.wallNow() - 24 * HOUR });
  const lines: string[] = [];
  const asked: { readonly proof: CallerProof; readonly csr: Uint8Array }[] = [];
  const script = {
    refuses: undefined as string | undefined,
    isRefused: false,
    /** Of the certificates. */
    id: WEB,
    hours: 24,
    bundleOf: authority,
  };
  const bundles = () => [
    {
      trustDomain: script.bundleOf.trustDomain,
      x509Authorities: script.bundleOf.roots.map(({ der }) => der),
      jwtAuthorities: [],
      sequenceNumber: 1,
      refreshHintSeconds: 0,
    },
  ];
  const issue = async (csr: Uint8Array, proof: CallerProof): Promise<Result<Issued, IssueFailure>> => {
    asked.push({ proof, csr });
    if (script.refuses !== undefined) return err({ reason: script.refuses, isRefused: script.isRefused });
    const id = parseSpiffeId(script.id);
    assert.ok(id.ok);
    const options = { nowMs: clock.wallNow(), validityMs: script.hours * HOUR };
    const issued = await authority.issue(csr, id.value, options);
    return issued.ok
      ? ok({ chain: issued.value.certificates, bundles: bundles() })
      : err({ reason: issued.error, isRefused: false });
  };
  const identity = new AuthorityIdentity({
    clock,
    log: recordingLog(lines),
    random: () => 0.5,
    issue,
    token: () => ok("hjt_one"),
    kept: undefined,
    ...more,
  });
  return { clock, authority, identity, asked, script, lines, bundles };
}

function recordingLog(lines: string[]): Log {
  const write =
    (level: string) =>
    (message: string, fields?: object): void =>
      void lines.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
  const log: Log = {
    trace: write("trace"),
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    with: () => log,
  } as unknown as Log;
  return log;
}

/** Until what was asked has been answered: signing goes through the thread pool. */
function answered(met: () => boolean): Promise<void> {
  return eventually(met);
}

test("the first certificate is had by a token, those after it by the one before, each for a new key", async () => {
  const { clock, identity, asked } = await world();
  identity.start();
  await answered(() => identity.live.current.svid !== undefined);
  const first = identity.live.current.svid;
  assert.equal(first?.id, WEB);
  assert.equal(asked[0]?.proof.type, "token");
  clock.advance(12 * HOUR);
  await answered(() => identity.live.current.svid !== first);
  const second = identity.live.current.svid;
  assert.deepEqual(
    asked.map(({ proof }) => proof.type),
    ["token", "svid"],
  );
  assert.notEqual(second?.key, first?.key);
  assert.equal(identity.state.renewals, 2);
  identity.close();
  assert.equal(clock.pending, 0);
});

test("while one token is tried again, it is for the same key: its answer may have been lost", async () => {
  const { clock, identity, asked, script } = await world();
  script.refuses = "unavailable";
  identity.start();
  await answered(() => identity.state.failures === 1);
  clock.advance(200);
  await answered(() => identity.state.failures === 2);
  script.refuses = undefined;
  clock.advance(1000);
  await answered(() => identity.live.current.svid !== undefined);
  const keys = asked.map(({ csr }) => Buffer.from(csr).indexOf(publicPointOf(asked[0]!.csr)) !== -1);
  assert.deepEqual(keys, [true, true, true]);
  identity.close();
});

/** The uncompressed point behind the header of P-256 keys. */
function publicPointOf(csr: Uint8Array): Buffer {
  const header = Buffer.from("03420004", "hex");
  const at = Buffer.from(csr).indexOf(header);
  return Buffer.from(csr).subarray(at + header.length, at + header.length + 64);
}

test("CA down until expiry: warns from half life, fails closed at the end, and heals by itself", async () => {
  const { clock, identity, script, lines } = await world();
  const seen: (string | undefined)[] = [];
  identity.live.watch(({ svid }) => seen.push(svid?.id));
  identity.start();
  await answered(() => identity.live.current.svid !== undefined);
  script.refuses = "14 UNAVAILABLE";
  const warnings = (): number =>
    lines.filter((line) => line.startsWith("warn the certificate cannot be renewed")).length;
  clock.advance(11.9 * HOUR);
  assert.equal(warnings(), 0);
  for (let hours = 12; hours < 25; hours += 0.01) {
    clock.advance(0.01 * HOUR);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(warnings() > 20 && warnings() < 200, `${warnings()} warnings in 12 hours`);
  assert.deepEqual(seen, [WEB, undefined]);
  assert.equal(identity.state.state, "expired");
  assert.equal(lines.filter((line) => line.startsWith("error the certificate has expired")).length, 1);
  assert.equal(identity.live.current.bundles.length, 1, "whom to believe stays known");
  script.refuses = undefined;
  clock.advance(10_000);
  await answered(() => identity.live.current.svid !== undefined);
  assert.equal(identity.state.state, "valid");
  identity.close();
});

test("where the certificate is refused the token is tried in turn: the authority may have forgotten us", async () => {
  const { clock, identity, asked, script } = await world();
  identity.start();
  await answered(() => identity.live.current.svid !== undefined);
  script.refuses = "16 UNAUTHENTICATED";
  clock.advance(12 * HOUR);
  for (let i = 2; i <= 5; i++) {
    await answered(() => identity.state.failures === i - 1);
    clock.advance(60_000);
  }
  assert.deepEqual(
    asked.slice(1, 5).map(({ proof }) => proof.type),
    ["svid", "token", "svid", "token"],
  );
  identity.close();
});

test("X1: a certificate for another identity than before, another key or another trust domain is not used", async () => {
  const { clock, identity, script, lines } = await world();
  identity.start();
  await answered(() => identity.live.current.svid !== undefined);
  const first = identity.live.current.svid;
  script.id = "spiffe://cluster.local/ns/shop/sa/other";
  clock.advance(12 * HOUR);
  await answered(() => identity.state.failures === 1);
  assert.equal(identity.live.current.svid, first);
  assert.match(lines.at(-1) ?? "", /names another identity|has been spiffe:/);
  script.id = WEB;
  script.bundleOf = await Authority.createRoot("evil.example", { nowMs: clock.wallNow() });
  clock.advance(60_000);
  await answered(() => identity.state.failures === 2);
  assert.match(identity.state.lastError, /not trusted here/);
  assert.equal(identity.live.current.svid, first);
  identity.close();
});

test("bundles that the authority tells of by itself are used; those of another trust domain are not", async () => {
  const { identity, bundles, script, lines, clock } = await world();
  identity.start();
  await answered(() => identity.live.current.svid !== undefined);
  const { svid } = identity.live.current;
  let told = 0;
  identity.live.watch(() => {
    told += 1;
  });
  identity.receiveBundles(bundles());
  assert.equal(told, 0, "nothing is new");
  const next = await Authority.createRoot("cluster.local", { nowMs: clock.wallNow() });
  const both = [
    { ...bundles()[0]!, x509Authorities: [...bundles()[0]!.x509Authorities, ...next.roots.map((r) => r.der)] },
  ];
  identity.receiveBundles(both);
  assert.equal(identity.live.current.bundles[0]?.x509Authorities.length, 2);
  assert.equal(identity.live.current.svid, svid);
  script.bundleOf = await Authority.createRoot("evil.example", { nowMs: clock.wallNow() });
  identity.receiveBundles(bundles());
  assert.equal(identity.live.current.bundles[0]?.trustDomain, "cluster.local");
  assert.match(lines.at(-1) ?? "", /of another trust domain than ours/);
  identity.close();
});

test("without anything to prove itself with it says so, and goes on looking", async () => {
  const { clock, identity, asked } = await world({ token: () => err("/run/token: cannot be read (ENOENT)") });
  identity.start();
  await answered(() => identity.state.failures === 1);
  assert.match(identity.state.lastError, /ENOENT/);
  assert.equal(asked.length, 0);
  clock.advance(1000);
  await answered(() => identity.state.failures === 2);
  identity.close();
});

test("no key and no token is in any line of the log", async () => {
  const { clock, identity, script, lines } = await world();
  identity.start();
  await answered(() => identity.live.current.svid !== undefined);
  script.refuses = "14 UNAVAILABLE";
  clock.advance(25 * HOUR);
  await answered(() => identity.state.failures > 0);
  const key = identity.live.current.svid?.key ?? "";
  const all = lines.join("\n");
  assert.doesNotMatch(all, /hjt_|PRIVATE/);
  assert.ok(key === "" || !all.includes(key.split("\n")[1]!));
  identity.close();
});

test("a folder keeps the identity across restarts, for its owner alone; it serves at once and is renewed", async (t) => {
  const folder = temporaryFolder(t);
  const file = new IdentityFile(join(folder, "identity"));
  const clock = new ManualClock();
  const first = await world({ keep: (identity, token) => file.save(identity, token) }, clock);
  first.identity.start();
  await answered(() => first.identity.live.current.svid !== undefined);
  first.identity.close();
  const path = join(folder, "identity", "identity.json");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder, "identity")).mode & 0o777, 0o700);
  assert.match(readFileSync(path, "utf8"), /PRIVATE KEY/);

  const loaded = file.load(clock.wallNow());
  assert.ok(loaded.ok);
  const kept = loaded.value;
  const had = first.identity.live.current.svid;
  assert.deepEqual([kept?.svid?.id, kept?.svid?.key, kept?.svid?.validToMs], [had?.id, had?.key, had?.validToMs]);
  assert.ok(kept?.svid?.chain.every((der, index) => Buffer.compare(der, had!.chain[index]!) === 0));
  const again = await world({ kept }, clock);
  assert.equal(again.identity.live.current.svid?.id, WEB);
  again.identity.start();
  assert.equal(again.identity.state.state, "renewing");
  assert.equal(again.asked[0]?.proof.type, "svid");
  again.identity.close();

  clock.advance(25 * HOUR);
  const later = file.load(clock.wallNow());
  assert.ok(later.ok);
  const expired = await world({ kept: later.value }, clock);
  assert.equal(expired.identity.live.current.svid, undefined, "it is shown to nobody");
  expired.identity.start();
  assert.deepEqual(
    expired.asked.map(({ proof }) => proof.type),
    ["svid"],
    "but to the authority, which may take it for a while",
  );
  expired.identity.close();
});

/** What the world's identity has kept, to begin with. */
async function keptFrom(t: TestContext, clock: ManualClock, token = "hjt_one") {
  const file = new IdentityFile(temporaryFolder(t));
  const first = await world({ keep: (identity, digest) => file.save(identity, digest), token: () => ok(token) }, clock);
  first.identity.start();
  await answered(() => first.identity.live.current.svid !== undefined);
  first.identity.close();
  const loaded = file.load(clock.wallNow());
  assert.ok(loaded.ok && loaded.value !== undefined);
  return loaded.value;
}

test("a kept identity gives way to a new token, whosever that is, and serves until then", async (t) => {
  const clock = new ManualClock();
  const kept = await keptFrom(t, clock);
  const { identity, asked, script, lines } = await world({ kept, token: () => ok("hjt_two") }, clock);
  script.id = "spiffe://cluster.local/ns/shop/sa/orders";
  identity.start();
  assert.equal(identity.live.current.svid?.id, WEB);
  await answered(() => identity.live.current.svid?.id === script.id);
  assert.deepEqual(
    asked.map(({ proof }) => proof.type),
    ["token"],
  );
  assert.ok(!Buffer.from(asked[0]!.csr).includes(WEB), "a request for another identity would be refused");
  assert.match(lines.join("\n"), /warn the token is of another identity .*sa\/web.*sa\/orders/);
  clock.advance(12 * HOUR);
  await answered(() => identity.state.renewals === 2);
  assert.equal(asked[1]?.proof.type, "svid", "from there on it is that one");
  identity.close();
});

test("a new token that the authority refuses leaves the kept identity, and is not tried again before that", async (t) => {
  const clock = new ManualClock();
  const kept = await keptFrom(t, clock);
  const digests: (string | undefined)[] = [];
  const keep = (_: unknown, digest: string | undefined): Result<void, string> => {
    digests.push(digest);
    return ok(undefined);
  };
  const { identity, asked, script } = await world({ kept, keep, token: () => ok("hjt_two") }, clock);
  script.refuses = "it is used up";
  script.isRefused = true;
  identity.start();
  await answered(() => identity.state.failures === 1);
  script.refuses = undefined;
  clock.advance(1000);
  await answered(() => identity.state.renewals === 1);
  assert.deepEqual(
    asked.map(({ proof }) => proof.type),
    ["token", "svid"],
  );
  assert.equal(identity.live.current.svid?.id, WEB);
  assert.notEqual(digests[0], kept.tokenDigest, "nor after a restart");
  identity.close();
});

test("while nobody says what becomes of a new token, the kept certificate is renewed before it ends", async (t) => {
  const clock = new ManualClock();
  const kept = await keptFrom(t, clock);
  const { identity, asked, script } = await world({ kept, token: () => ok("hjt_two") }, clock);
  script.refuses = "nobody answers";
  identity.start();
  for (let failures = 1; failures <= 7; failures++) {
    await answered(() => identity.state.failures === failures);
    clock.advance(60_000);
  }
  await answered(() => asked.length === 8);
  assert.deepEqual(
    asked.map(({ proof }) => proof.type),
    [...Array(5).fill("token"), "svid", "token", "svid"],
  );
  identity.close();
});

test("a kept identity that others could read, that is not whole or not of its key, is as if it were not there", (t) => {
  const folder = temporaryFolder(t);
  const file = new IdentityFile(folder);
  const path = join(folder, "identity.json");
  assert.deepEqual(file.load(0), ok(undefined));
  const error = (text: string, mode = 0o600): string => {
    rmSync(path, { force: true });
    writeFileSync(path, text, { mode });
    const loaded = file.load(Date.UTC(2026, 0, 1));
    return loaded.ok ? "" : loaded.error;
  };
  assert.match(error("{}", 0o644), /others may read it/);
  assert.match(error("{"), /is no JSON/);
  assert.match(error("{}"), /no version that is known/);
  assert.match(error('{"version":1}'), /is not whole/);
  const secret = error('{"version":1,"certificates":"","key":"-----BEGIN PRIVATE KEY-----\\nSECRET","bundles":[]}');
  assert.match(secret, /a key that cannot be read/);
  assert.doesNotMatch(secret, /SECRET/);
});

test("a kept identity that is a link, a pipe or another user's is as if it were not there", async (t) => {
  const folder = temporaryFolder(t);
  const file = new IdentityFile(folder);
  const path = join(folder, "identity.json");
  const reason = (): string => {
    const loaded = file.load(0);
    return loaded.ok ? "" : loaded.error;
  };
  writeFileSync(join(folder, "elsewhere.json"), "{}", { mode: 0o600 });
  symlinkSync("elsewhere.json", path);
  assert.match(reason(), /is a link/);
  rmSync(path);
  mkdirSync(path, { mode: 0o700 });
  assert.match(reason(), /is no file/);
  rmSync(path, { recursive: true });
  execFileSync("mkfifo", ["-m", "600", path]);
  assert.match(reason(), /is no file/);
  rmSync(path);
  if (process.getuid?.() !== 0) return; // only root gives files away
  writeFileSync(path, "{}", { mode: 0o600 });
  chownSync(path, 65_534, 65_534);
  assert.match(reason(), /belongs to another user/);
});

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-identity-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
