import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type Clock, err, Live, ManualClock, ok, type Result, systemClock } from "@heddle/base";
import { type Certificate, certificatesInPem, type SpiffeId, trustBundlePem } from "@heddle/identity";
import { TestAuthority } from "@heddle/identity/testing";
import { quietMetrics } from "@heddle/xds/testing";
import { valueOfResult } from "../api/testing.ts";
import { CA_OPTIONS, HOUR_MS, openTestCa, TestLog, TRUST_DOMAIN } from "../ca/testing.ts";
import { MessageBudget, NODES_BUDGET } from "../serve/message-budget.ts";
import { serveTls } from "../serve/serve-tls.ts";
import { type AuthorityAnswer, type AuthorityCall, askAuthority } from "./ask-authority.ts";
import { IssuedCertificate } from "./issued-certificate.ts";
import { certificateOfAuthority, certificateOfFiles, type ServingCertificate } from "./serving-certificate.ts";
import { podReview } from "./testing.ts";
import { ask, keptConnection, newServingPair, openTestWebhooks, SERVICE_NAME } from "./testing-server.ts";

const INJECTOR: SpiffeId = { trustDomain: TRUST_DOMAIN, path: "/ns/heddle-system/sa/injector" };
const NAMES = { dnsNames: [SERVICE_NAME, `${SERVICE_NAME}.cluster.local`], ipAddresses: [] };
const REVIEW = JSON.stringify(podReview({ metadata: {}, spec: { containers: [] } }));

function leafOf({ identity }: ServingCertificate): Certificate {
  return certificatesInPem(identity.current?.certificateChain ?? "")[0]!;
}

test("the mesh's authority issues the serving certificate, with the Service's names and a key of its own", async (t) => {
  const { ca, log } = await openTestCa(t, { clock: systemClock });
  const certificate = await certificateOfAuthority(ca.authority, NAMES, parts(log));
  t.after(() => certificate.close());
  assert.deepEqual(leafOf(certificate).dnsSans, NAMES.dnsNames);
  assert.notEqual(certificate.identity.current?.privateKey, ca.ownSvid.current.current?.privateKey);
  const { port } = await openTestWebhooks(t, { identity: certificate.identity });
  for (const servername of NAMES.dnsNames) {
    const { status } = await ask(port, "/inject", { body: REVIEW, servername, ca: certificate.roots.current });
    assert.equal(status, 200);
  }
});

test("W5: it is renewed at half of its life, and connections stay", async (t) => {
  const clock = new AdvancingClock();
  const { ca, log } = await openTestCa(t, { clock, options: { svidTtlMs: HOUR_MS } });
  const certificate = await certificateOfAuthority(ca.authority, NAMES, { ...parts(log), clock });
  t.after(() => certificate.close());
  const { port } = await openTestWebhooks(t, { identity: certificate.identity });
  const question = { body: REVIEW, ca: certificate.roots.current };
  const agent = keptConnection(t);
  const before = await ask(port, "/inject", { ...question, agent });
  const renewed = Promise.withResolvers<void>();
  certificate.identity.watch(() => renewed.resolve());
  clock.advance(HOUR_MS / 2);
  await renewed.promise;
  assert.equal((await ask(port, "/inject", { ...question, agent })).fingerprint, before.fingerprint);
  assert.notEqual((await ask(port, "/inject", question)).fingerprint, before.fingerprint);
});

test("W5: both roots are known while one replaces the other", async (t) => {
  const { ca, log } = await openTestCa(t, { clock: systemClock });
  const certificate = await certificateOfAuthority(ca.authority, NAMES, parts(log));
  t.after(() => certificate.close());
  const first = certificate.roots.current ?? "";
  const changed = Promise.withResolvers<void>();
  certificate.roots.watch(() => changed.resolve());
  await ca.stored?.beginRotation();
  await changed.promise;
  const both = certificate.roots.current ?? "";
  assert.deepEqual([certificatesInPem(first).length, certificatesInPem(both).length], [1, 2]);
  assert.ok(both.includes(first.trim()));
});

test("files that are renewed are taken, and what cannot be used changes nothing", async (t) => {
  const authority = new TestAuthority("Own");
  const folder = folderOf(t);
  const files = { certificateFile: join(folder, "tls.crt"), keyFile: join(folder, "tls.key") };
  const caFile = join(folder, "ca.crt");
  const write = (): string => {
    const { certificateChain, privateKey } = newServingPair(authority);
    writeFileSync(files.certificateFile, certificateChain);
    writeFileSync(files.keyFile, privateKey);
    return certificateChain;
  };
  const [first, clock, log] = [write(), new ManualClock(), new TestLog()];
  writeFileSync(caFile, authority.certificate);
  const certificate = await certificateOfFiles(files, caFile, { ...parts(log), clock });
  assert.equal(certificate.identity.current?.certificateChain, first);
  assert.equal(certificate.roots.current?.trim(), authority.certificate.trim());
  writeFileSync(caFile, "no PEM");
  const second = write();
  const renewed = Promise.withResolvers<void>();
  certificate.identity.watch(() => renewed.resolve());
  clock.advance(10_000);
  await renewed.promise;
  assert.equal(certificate.identity.current.certificateChain, second);
  assert.equal(certificate.roots.current?.trim(), authority.certificate.trim());
  assert.equal(log.with("cannot be read anew").length, 1);
  await certificate.close();
  assert.equal(clock.pending, 0);
});

test("files that are not there, or do not fit, are an error at start", async (t) => {
  const folder = folderOf(t);
  const [certificateFile, keyFile] = [join(folder, "a"), join(folder, "b")];
  await assert.rejects(certificateOfFiles({ certificateFile, keyFile }, undefined, parts(new TestLog())), /ENOENT/);
  writeFileSync(certificateFile, newServingPair().certificateChain);
  writeFileSync(keyFile, newServingPair().privateKey);
  await assert.rejects(
    certificateOfFiles({ certificateFile, keyFile }, undefined, parts(new TestLog())),
    /cannot be used/,
  );
});

test("an injector of its own has its certificate issued by the control plane, by a token, with the names given there", async (t) => {
  const { ca, served } = await openControlPlane(t);
  const folder = folderOf(t);
  const [caFile, tokenFile] = [join(folder, "root.pem"), join(folder, "token")];
  writeFileSync(caFile, trustBundlePem(ca.authority.bundles.current.all[0]!));
  writeFileSync(tokenFile, `${valueOfResult(await ca.joinTokens.create(INJECTOR, 3600, "admin")).token}\n`);
  const log = new TestLog();
  const certificate = new IssuedCertificate({
    controlPlane: served.address,
    caFile,
    tokenFile,
    ask: askAuthority,
    clock: systemClock,
    log: log.log,
  });
  t.after(() => certificate.close());
  await certificate.start();
  assert.deepEqual(log.lines, []);
  assert.deepEqual(leafOf(certificate).dnsSans, ["heddle-injector.heddle-system.svc"]);
  assert.deepEqual(leafOf(certificate).uriSans, ["spiffe://cluster.local/ns/heddle-system/sa/injector"]);
  const { port } = await openTestWebhooks(t, { identity: certificate.identity });
  const servername = "heddle-injector.heddle-system.svc";
  assert.equal((await ask(port, "/inject", { body: REVIEW, servername, ca: certificate.roots.current })).status, 200);
});

test("an account without names is given none, whoever it asks for", async (t) => {
  const { ca, served } = await openControlPlane(t);
  const { token } = valueOfResult(await ca.joinTokens.create({ ...INJECTOR, path: "/ns/shop/sa/web" }, 3600, "admin"));
  const answer = await askAuthority({ ...(await callOf(ca, served.address)), token });
  assert.ok(answer.ok, JSON.stringify(answer));
  assert.deepEqual(certificatesInPem(answer.value.certificateChain)[0]?.dnsSans, []);
});

test("W7: a server that these authorities do not vouch for, or that is another workload, is told nothing", async (t) => {
  const { ca, served } = await openControlPlane(t);
  const { ca: other } = await openTestCa(t, { clock: systemClock });
  const call = await callOf(other, served.address);
  const refused = await askAuthority({ ...call, token: "secret-token" });
  assert.ok(!refused.ok);
  assert.doesNotMatch(refused.error, /secret-token/);
  const web = await certificateOfWorkload(ca);
  const { served: impostor } = await openControlPlane(t, web);
  const again = await askAuthority({ ...(await callOf(ca, impostor.address)), token: "secret-token" });
  assert.ok(!again.ok && /this is not our control plane/.test(again.error), JSON.stringify(again));
});

test("while nobody answers it is asked again, and what is there serves until it ends", async (t) => {
  const clock = new ManualClock();
  const folder = folderOf(t);
  const [caFile, tokenFile] = [join(folder, "root.pem"), join(folder, "token")];
  writeFileSync(caFile, new TestAuthority().certificate);
  const calls: AuthorityCall[] = [];
  let answer: Result<AuthorityAnswer, string> = err("away");
  const askScripted = async (call: AuthorityCall) => {
    calls.push(call);
    return answer;
  };
  const log = new TestLog();
  const certificate = new IssuedCertificate({
    controlPlane: { host: "127.0.0.1", port: 1 },
    caFile,
    tokenFile,
    ask: askScripted,
    clock,
    log: log.log,
  });
  await certificate.start();
  assert.equal(calls.length, 0);
  assert.match(log.lines[0] ?? "", /no new certificate.*token: cannot be read/);
  writeFileSync(tokenFile, "one");
  await settled(clock, 30_000);
  assert.equal(calls.at(-1)?.token, "one");
  answer = ok({ certificateChain: "CHAIN", roots: "ROOTS", notAfterMs: clock.wallNow() + HOUR_MS });
  writeFileSync(tokenFile, "two");
  await settled(clock, 30_000);
  assert.deepEqual([calls.at(-1)?.token, certificate.roots.current], ["two", "ROOTS"]);
  answer = err("away");
  await settled(clock, HOUR_MS / 2 + 1);
  assert.equal(certificate.identity.current?.certificateChain, "CHAIN");
  await settled(clock, HOUR_MS);
  await settled(clock, 30_000);
  assert.equal(certificate.identity.current, undefined);
  await certificate.close();
  assert.equal(clock.pending, 0);
});

/** The clock goes on, and what that has set off is done. */
async function settled(clock: ManualClock, byMs: number): Promise<void> {
  clock.advance(byMs);
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
}

/** Half an hour before the system's time, and can be turned forward. */
class AdvancingClock extends ManualClock {
  constructor() {
    super(systemClock.wallNow() - HOUR_MS / 2);
  }
}

function parts(log: TestLog): { clock: Clock; log: TestLog["log"]; metrics: typeof quietMetrics } {
  return { clock: systemClock, log: log.log, metrics: quietMetrics };
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "heddle-webhook-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

type TestCa = Awaited<ReturnType<typeof openTestCa>>;

async function openControlPlane(t: TestContext, shown?: ServingCertificate["identity"]) {
  const servingNames = new Map([[INJECTOR.path, ["heddle-injector.heddle-system.svc"]]]);
  const { ca, log, counters } = await openTestCa(t, { clock: systemClock, options: { servingNames } });
  const served = await serveTls({
    budget: new MessageBudget(NODES_BUDGET),
    services: [ca.grpc(true)],
    address: CA_OPTIONS.tlsAddress,
    identity: (shown ?? ca.ownSvid.current) as typeof ca.ownSvid.current,
    trustDomain: TRUST_DOMAIN,
    bundles: ca.authority.bundles,
    renewalGraceMs: HOUR_MS,
    clock: systemClock,
    log: log.log,
    metrics: counters.scope(),
  });
  t.after(() => served.close());
  return { ca, served };
}

async function callOf(ca: TestCa["ca"], address: AuthorityCall["address"]): Promise<AuthorityCall> {
  const { certificateRequest, newWorkloadKey } = await import("@heddle/identity");
  const authorities = trustBundlePem(ca.authority.bundles.current.all[0]!);
  const csr = certificateRequest(newWorkloadKey(), undefined);
  return { address, authorities, token: "", csr, wallNowMs: systemClock.wallNow() };
}

/** Somebody else's of that mesh. */
async function certificateOfWorkload(ca: TestCa["ca"]): Promise<ServingCertificate["identity"]> {
  const { OwnSvid } = await import("../ca/own-svid.ts");
  const own = new OwnSvid({
    authority: ca.authority,
    spiffeId: { ...INJECTOR, path: "/ns/shop/sa/web" },
    names: { dnsNames: [], ipAddresses: ["127.0.0.1"] },
    ...parts(new TestLog()),
  });
  await own.start();
  await own.close();
  return new Live(own.current.current);
}
