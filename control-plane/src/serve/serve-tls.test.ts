import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect } from "node:tls";
import { type ChannelCredentials, Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type Clock, systemClock } from "@heddle/base";
import { Certificate, certificateRequest, privateKeyPem, type SpiffeId, trustBundlePem } from "@heddle/identity";
import { Authority } from "@heddle/identity/ca";
import { bytesOf, decodeMessage, encodeMessage, type Message, messageOf, messagesOf, numberOf } from "@heddle/proto";
import { eventually } from "@heddle/xds/testing";
import { valueOfResult } from "../api/testing.ts";
import { MESSAGES, SERVICE } from "../ca/identity-messages.ts";
import { CA_OPTIONS, HOUR_MS, newRequest, ORDERS, openTestCa, type TestCa, TRUST_DOMAIN, WEB } from "../ca/testing.ts";
import { formatHostPort } from "./address.ts";
import { MessageBudget, NODES_BUDGET } from "./message-budget.ts";
import { type StrangerLimits, serveTls } from "./serve-tls.ts";
import type { ServedXds } from "./serve-xds.ts";

test("a workload joins over one-way TLS, and renews with what it got", async (t) => {
  const { ca, client, credentialsOf } = await open(t);
  const { token } = valueOfResult(await ca.joinTokens.create(WEB, 3600, "admin"));
  const first = newRequest(WEB);
  const joined = await client().issue(first.csr, token);
  const chain = messageChain(joined);
  assert.equal(new Certificate(chain[0]!).uriSans[0], "spiffe://cluster.local/ns/shop/sa/web");
  const bundle = messagesOf(messageOf(joined, "bundles") ?? {}, "bundles")[0]!;
  assert.deepEqual([bundle["trust_domain"], numberOf(bundle, "sequence_number")], [TRUST_DOMAIN, 1]);

  const renewed = await client(credentialsOf(chain, privateKeyPem(first.key))).issue(newRequest(WEB).csr);
  assert.equal(messageChain(renewed).length, 1);
  const other = await failure(client(credentialsOf(chain, privateKeyPem(first.key))).issue(newRequest(ORDERS).csr));
  assert.equal(other.code, status.PERMISSION_DENIED);
});

test("without a certificate and without a token nobody gets anything", async (t) => {
  const { client } = await open(t);
  assert.equal((await failure(client().issue(newRequest(WEB).csr))).code, status.UNAUTHENTICATED);
});

for (const [what, make] of [
  ["another authority of that name", async () => ({ authority: await Authority.createRoot(TRUST_DOMAIN, now()) })],
  ["another trust domain", async () => ({ authority: await Authority.createRoot("example.org", now()), id: STRANGER })],
  ["a time before", async ({ ca }: TestCa) => ({ authority: signer(ca), endedMs: 2 * HOUR_MS })],
  [
    "a time to come",
    async ({ ca }: TestCa) => ({ authority: signer(ca), endedMs: -26 * HOUR_MS, backdateMs: -HOUR_MS }),
  ],
] as const)
  test(`a certificate of ${what} gets no call through`, async (t) => {
    const made = await open(t);
    const svid = await issueBy(await make(made));
    const error = await failure(made.client(made.credentialsOf(svid.chain, svid.key)).issue(newRequest(WEB).csr));
    assert.equal(error.code, status.UNAVAILABLE);
    assert.equal(made.log.with("TLS client refused").length > 0, true);
  });

test("a certificate that has ended within the grace is renewed, and is good for nothing else", async (t) => {
  const made = await open(t);
  const svid = await issueBy({ authority: signer(made.ca), endedMs: HOUR_MS / 2 });
  const client = made.client(made.credentialsOf(svid.chain, svid.key));
  assert.equal(messageChain(await client.issue(newRequest(WEB).csr)).length, 1);
  const other = await failure(client.issue(newRequest(ORDERS).csr));
  assert.equal(other.code, status.PERMISSION_DENIED);
});

test("clocks that differ by five minutes keep nobody out", async (t) => {
  for (const skewMs of [-300_000, 300_000]) {
    const skewed: Clock = { ...systemClock, wallNow: () => systemClock.wallNow() + skewMs };
    const made = await open(t, skewed);
    const { token } = valueOfResult(await made.ca.joinTokens.create(WEB, 3600, "admin"));
    const { key, csr } = newRequest(WEB);
    const chain = messageChain(await made.client().issue(csr, token));
    const again = made.client(made.credentialsOf(chain, privateKeyPem(key)));
    assert.equal(messageChain(await again.issue(newRequest(WEB).csr)).length, 1);
  }
});

test("watchers hear of a new root before it signs, and of the old one's end", async (t) => {
  const { ca, client } = await open(t);
  const counts: number[] = [];
  const watch = client().watch((bundles) => {
    counts.push(messagesOf(messagesOf(bundles, "bundles")[0]!, "x509_authorities").length);
  });
  await eventually(() => counts.length === 1, "the first bundles");
  valueOfResult(await ca.stored!.beginRotation());
  await eventually(() => counts.length === 2, "the bundle with the next root");
  valueOfResult(await ca.stored!.hurryRotation());
  valueOfResult(await ca.stored!.hurryRotation());
  await eventually(() => counts.at(-1) === 1, "the bundle without the old root");
  assert.deepEqual(counts.slice(0, 2), [1, 2]);
  watch.cancel();
});

test("who does not speak HTTP/2 is sent away", async (t) => {
  const { served } = await open(t);
  const socket = connect({ ...served.address, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
  await new Promise((resolve) => {
    socket.on("error", resolve);
    socket.on("close", resolve);
    socket.on("end", resolve);
  });
  socket.destroy();
});

test("who has shown no certificate has few connections, and who has shown one is not kept out by them", {
  timeout: 60_000,
}, async (t) => {
  const { served, ca, client, credentialsOf, log } = await open(t, systemClock, { connectionsPerSource: 2 });
  const dial = () => connect({ ...served.address, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  const strangers = [dial(), dial()];
  for (const socket of strangers) await once(socket, "data");
  const third = dial();
  third.on("error", () => undefined); // it is cut
  await new Promise((resolve) => third.on("close", resolve).resume());
  assert.equal(log.with("2 connections without a certificate from its address are open").length, 1);
  const svid = await issueBy({ authority: signer(ca) });
  const known = client(credentialsOf(svid.chain, svid.key));
  assert.equal(messageChain(await known.issue(newRequest(WEB).csr)).length, 1);
  strangers[0]!.destroy();
  // There is room when the port has heard of it.
  let code: status | undefined;
  for (let tries = 0; code !== status.UNAUTHENTICATED && tries < 1000; tries++)
    ({ code } = await failure(client().issue(newRequest(WEB).csr)));
  assert.equal(code, status.UNAUTHENTICATED);
  strangers[1]!.destroy();
});

test("who has shown no certificate sends no large messages, and keeps no connection for nothing", {
  timeout: 60_000,
}, async (t) => {
  const { served, client } = await open(t, systemClock, { idleMs: 50 });
  const { code } = await failure(client().issue(Buffer.alloc(200 * 1024)));
  assert.equal(code, status.RESOURCE_EXHAUSTED);
  const idle = connect({ ...served.address, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
  idle.on("error", () => undefined); // it is cut
  await new Promise((resolve) => idle.on("close", resolve).resume());
});

test("a client that does not come to the end of its handshake does not keep the port from closing", async (t) => {
  const { served } = await open(t);
  const socket = connectTcp(served.address);
  await once(socket, "connect");
  socket.on("error", () => undefined); // it is cut
  const cut = new Promise((resolve) => socket.on("close", () => resolve("cut")).resume());
  const closed = served.close();
  // By itself it would be cut when the time for a handshake is over, which is ten seconds.
  const late = new Promise((resolve) => setTimeout(resolve, 8000, "late").unref());
  assert.equal(await Promise.race([cut, late]), "cut");
  await closed;
});

for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const)
  test(`CVE-2022-21654: no session of ${maxVersion} is resumed, so none outlives who vouched for it`, async (t) => {
    const { served } = await open(t);
    const dial = (session?: Buffer) =>
      connect({ ...served.address, rejectUnauthorized: false, ALPNProtocols: ["h2"], maxVersion, session });
    const first = dial();
    const sessions: Buffer[] = [];
    first.on("session", (session) => sessions.push(session));
    await once(first, "data"); // HTTP/2's settings: what TLS has to say of sessions came before
    const held = sessions.at(-1) ?? first.getSession();
    first.destroy();
    const second = dial(held);
    await once(second, "data");
    assert.equal(second.isSessionReused(), false);
    second.destroy();
  });

test("a renegotiation, which could bring another certificate, is refused", async (t) => {
  const { served } = await open(t);
  const socket = connect({
    ...served.address,
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
    maxVersion: "TLSv1.2",
  });
  await once(socket, "data");
  socket.on("error", () => undefined); // the alert
  const outcome = await new Promise((resolve) => {
    socket.on("close", () => resolve("closed"));
    socket.renegotiate({ rejectUnauthorized: false }, (error) => resolve(error === null ? "renegotiated" : "refused"));
  });
  assert.notEqual(outcome, "renegotiated");
  socket.destroy();
});

test("after the root has changed, new handshakes are made with a certificate of the new one", async (t) => {
  const { ca, served } = await open(t);
  const shown = async (): Promise<string> => {
    const socket = connect({ ...served.address, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    await new Promise((resolve) => socket.once("secureConnect", resolve));
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };
  const before = await shown();
  assert.equal(await shown(), before);
  valueOfResult(await ca.stored!.beginRotation());
  valueOfResult(await ca.stored!.hurryRotation());
  await ca.ownSvid.close(); // it has what it was about to get
  assert.notEqual(await shown(), before);
});

const STRANGER: SpiffeId = { trustDomain: "example.org", path: WEB.path };

function now() {
  return { nowMs: systemClock.wallNow() };
}

function signer(ca: TestCa["ca"]): Authority {
  return ca.authority.current.current!.authority;
}

/** A certificate for the web workload that has ended so long ago. */
async function issueBy({
  authority,
  id = WEB,
  endedMs = -HOUR_MS,
  backdateMs = HOUR_MS / 2,
}: {
  authority: Authority;
  id?: SpiffeId;
  endedMs?: number;
  backdateMs?: number;
}) {
  const { key } = newRequest(id);
  const nowMs = systemClock.wallNow() - endedMs - HOUR_MS;
  const issued = await authority.issue(certificateRequest(key, id), id, { nowMs, validityMs: HOUR_MS, backdateMs });
  return { chain: valueOfResult(issued).certificates, key: privateKeyPem(key) };
}

interface Opened extends TestCa {
  readonly served: ServedXds;
  readonly client: (security?: ChannelCredentials) => CaClient;
  readonly credentialsOf: (chain: readonly Uint8Array[], key: string) => ChannelCredentials;
}

async function open(
  t: TestContext,
  clock: Clock = systemClock,
  strangers: Partial<StrangerLimits> = {},
): Promise<Opened> {
  // Its root is a week old, so that there can be certificates that have ended.
  const folder = mkdtempSync(join(tmpdir(), "heddle-tls-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const passphraseFile = join(folder, "passphrase");
  writeFileSync(passphraseFile, "0".repeat(64));
  const lastWeek: Clock = { ...systemClock, wallNow: () => systemClock.wallNow() - 7 * 24 * HOUR_MS };
  const { ca: before, store } = await openTestCa(t, { clock: lastWeek, options: { passphraseFile } });
  await before.close();
  const made = await openTestCa(t, { clock, store, options: { passphraseFile } });
  const { ca, log, counters } = made;
  const served = await serveTls({
    budget: new MessageBudget(NODES_BUDGET),
    services: [ca.grpc(true)],
    address: CA_OPTIONS.tlsAddress,
    identity: ca.ownSvid.current,
    trustDomain: TRUST_DOMAIN,
    bundles: ca.authority.bundles,
    renewalGraceMs: HOUR_MS,
    clock,
    log: log.log,
    metrics: counters.scope(),
    strangers,
  });
  t.after(() => served.close());
  const roots = (): Buffer => Buffer.from(trustBundlePem(ca.authority.bundles.current.all[0]!));
  const credentialsOf = (chain: readonly Uint8Array[], key: string): ChannelCredentials =>
    credentials.createSsl(
      roots(),
      Buffer.from(key),
      Buffer.from(chain.map((der) => new Certificate(der).pem).join("")),
    );
  const client = (security = credentials.createSsl(roots())): CaClient => {
    const opened = new CaClient(formatHostPort(served.address), security);
    t.after(() => opened.close());
    return opened;
  };
  return { ...made, served, client, credentialsOf };
}

class CaClient {
  readonly #client: Client;

  constructor(target: string, security: ChannelCredentials) {
    this.#client = new Client(target, security, {
      "grpc.ssl_target_name_override": "localhost",
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  issue(csr: Uint8Array, token?: string): Promise<Message> {
    const metadata = new Metadata();
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    const request = Buffer.from(encodeMessage(MESSAGES.issueRequest, { csr }));
    return new Promise((resolve, reject) => {
      const deadline = systemClock.wallNow() + 60_000;
      this.#client.makeUnaryRequest(
        `/${SERVICE}/IssueCertificate`,
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        request,
        metadata,
        { deadline },
        (error, answer) => {
          if (error === null && answer !== undefined)
            resolve(valueOfResult(decodeMessage(MESSAGES.issueResponse, answer)));
          else reject(error);
        },
      );
    });
  }

  watch(onBundles: (bundles: Message) => void) {
    const call = this.#client.makeServerStreamRequest(
      `/${SERVICE}/WatchTrustBundles`,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      Buffer.alloc(0),
    );
    call.on("data", (bytes: Buffer) => onBundles(valueOfResult(decodeMessage(MESSAGES.bundles, bytes))));
    call.on("error", () => undefined); // it is cancelled
    return call;
  }

  close(): void {
    this.#client.close();
  }
}

function messageChain(message: Message): readonly Uint8Array[] {
  const chain = message["certificates"] as readonly Uint8Array[];
  assert.ok(chain.length > 0 && bytesOf({ leaf: chain[0] }, "leaf").length > 0);
  return chain;
}

async function failure(call: Promise<unknown>): Promise<ServiceError> {
  return call.then(
    () => assert.fail("it was answered"),
    (error: ServiceError) => error,
  );
}
