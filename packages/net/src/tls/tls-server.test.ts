import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, test } from "node:test";
import type { ConnectionOptions } from "node:tls";
import { ManualClock, systemClock } from "@heddle/base";
import { Certificate } from "@heddle/identity";
import { TestAuthority, type TestCertificate } from "@heddle/identity/testing";
import { assertNothingLeft } from "../testing-sockets.ts";
import { LeafRevocation } from "./leaf-revocation.ts";
import { ANYBODY, type PeerRules } from "./peer-rules.ts";
import { SERVER_DEFAULTS, TestTlsListener } from "./testing-tls.ts";
import { TlsServer, type TlsServerSettings } from "./tls-server.ts";

const authority = new TestAuthority();
const leaf = authority.issue({ commonName: "shop", dns: ["shop.example.com"] });
const shop = { chain: leaf.chain, key: leaf.key, password: undefined };

afterEach(() => {
  TestTlsListener.closeAll();
  return assertNothingLeft();
});

/** However it closes: a client that is refused may say that as an error or as an end. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

test("a rule that breaks lets nobody in, and whoever has the connection hears of its end", async () => {
  const broken = {
    type: "URI",
    oid: "",
    host: undefined,
    matches: () => {
      throw new Error("a mistake of ours");
    },
  } as const;
  const listener = await TestTlsListener.open(asking(authority.certificate, { names: [broken] }));
  const thrown: unknown[] = [];
  listener.onThrow = (error) => thrown.push(error);
  const own = authority.issue({ uris: ["spiffe://cluster.local/ns/a/sa/b"] });
  const client = listener.connect({ cert: own.chain, key: own.key });
  const failure = await listener.firstFailure();
  assert.deepEqual([failure.kind, failure.fault, failure.reason], ["peer", "chain", "NOT_JUDGED"]);
  assert.match(String(thrown[0]), /a mistake of ours/);
  assert.equal(listener.secured.length, 0);
  await closed(client);
});

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  test(`${version}: bytes go both ways, and both ends close in order`, async () => {
    const listener = await TestTlsListener.open({ certificates: [shop], alpnProtocols: ["h2", "http/1.1"] });
    const client = listener.connect({
      minVersion: version,
      maxVersion: version,
      servername: "shop.example.com",
      ca: authority.certificate,
      rejectUnauthorized: true,
      ALPNProtocols: ["http/1.1", "h2"],
      allowHalfOpen: true,
    } as never);
    client.write("question");
    const recorder = await listener.firstSecured();
    const { connection } = recorder;
    await recorder.until(() => recorder.bytes.length === 8);
    assert.equal(connection.alpnProtocol, "h2");
    assert.equal(connection.tls?.version, version);
    assert.equal(connection.tls?.serverName, "shop.example.com");
    assert.equal(connection.tls?.peer, undefined);
    assert.equal(connection.tls?.local?.subject, "CN=shop");
    connection.writeLatin1("answer");
    const [answer] = await once(client, "data");
    assert.equal(String(answer), "answer");
    client.end();
    await recorder.until(() => recorder.ended === 1);
    connection.end();
    await recorder.untilClosed();
    assert.deepEqual(recorder.closed, [{ failure: undefined }]);
  });

  test(`${version}: a FIN without close_notify is no end in order`, async () => {
    const listener = await TestTlsListener.open({ certificates: [shop] });
    const beneath = listener.connectPlain();
    const client = listener.connect({ socket: beneath, minVersion: version, maxVersion: version });
    client.write("half a");
    const recorder = await listener.firstSecured();
    await recorder.until(() => recorder.bytes.length === 6);
    beneath.end(); // beneath TLS
    await recorder.untilClosed();
    assert.equal(recorder.ended, 0);
    assert.match(recorder.closed[0]?.failure?.detail ?? "", /close_notify/);
  });
}

/** Settings of a server that trusts these, and asks every client. */
function asking(trusted: string, rules: Partial<PeerRules> = {}): Partial<TlsServerSettings> {
  return {
    certificates: [shop],
    authorities: { trusted, trustsSystem: false, revoked: undefined },
    rules: { ...ANYBODY, checksChain: true, ...rules },
    trustKey: trusted,
    asksClient: true,
    requireClientCertificate: true,
  };
}

const DAY_MS = 86_400_000;
const strangers = new TestAuthority("Strangers");
const spiffe = "spiffe://example/ns/default/sa/client";
const clients = {
  good: authority.issue({ commonName: "good", organization: "A, B", uris: [spiffe], usage: "client" }),
  untrusted: strangers.issue({ commonName: "untrusted", uris: [spiffe] }),
  expired: authority.issue({ uris: [spiffe], validTo: new Date(systemClock.wallNow() - DAY_MS / 24) }),
  early: authority.issue({ uris: [spiffe], validFrom: new Date(systemClock.wallNow() + DAY_MS) }),
  otherUse: authority.issue({ uris: [spiffe], usage: "server" }),
  otherName: authority.issue({ uris: [`${spiffe}2`] }),
  wrongKind: authority.issue({ dns: ["client"], emails: [spiffe] }),
  nul: authority.issue({ uris: [spiffe, `${spiffe}\0.evil`] }),
};
const onlyClient: Partial<PeerRules> = {
  names: [{ type: "URI", oid: "", host: undefined, matches: (name) => name === spiffe }],
};

function shown(certificate: TestCertificate): ConnectionOptions {
  return { cert: certificate.chain, key: certificate.key };
}

for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
  const only = { minVersion: version, maxVersion: version };

  test(`${version}: a client that is trusted is served, and told`, async () => {
    const listener = await TestTlsListener.open(asking(authority.certificate, onlyClient));
    const client = listener.connect({ ...only, ...shown(clients.good) });
    client.write("hello");
    const recorder = await listener.firstSecured();
    await recorder.until(() => recorder.bytes.length === 5);
    const { tls } = recorder.connection;
    assert.equal(tls?.peerVerified, true);
    assert.equal(tls?.peer?.subject, "CN=good,O=A\\, B");
    assert.equal(tls?.peer?.issuer, "CN=Test Authority");
    assert.deepEqual(tls?.peer?.uriSans, [spiffe]);
    assert.equal(tls?.peer?.serialNumber, clients.good.serialNumber);
    assert.equal(tls?.peer?.pem, clients.good.certificate);
    assert.deepEqual(
      tls?.peerChain.map(({ pem }) => pem),
      [clients.good.certificate],
    );
  });

  test(`${version}: what a client shows beside its own certificate is told, in its order`, async () => {
    const between = new TestAuthority("Between", new TestAuthority("Above", authority));
    const shownBy = between.issue({ uris: [spiffe], usage: "client" });
    const listener = await TestTlsListener.open(asking(authority.certificate, onlyClient));
    listener.connect({ ...only, ...shown(shownBy) });
    const { connection } = await listener.firstSecured();
    assert.equal(connection.tls?.peerChain.map(({ pem }) => pem).join(""), shownBy.chain);
    assert.equal(connection.tls?.peerChain.length, 3);
  });

  for (const [who, why] of [
    ["untrusted", "chain"],
    ["expired", "chain"],
    ["early", "chain"],
    ["otherUse", "chain"],
    ["otherName", "name"],
    ["wrongKind", "name"],
    ["nul", "chain"],
  ] as const) {
    test(`${version}: a client whose certificate is ${who} is refused before any byte of it is read`, async () => {
      const listener = await TestTlsListener.open(asking(authority.certificate, onlyClient));
      const client = listener.connect({ ...only, ...shown(clients[who]) });
      client.write("let me in");
      const failure = await listener.firstFailure();
      assert.equal(failure.kind, "peer");
      assert.equal(failure.fault, why);
      assert.equal(listener.secured.length, 0);
      await closed(client);
    });
  }

  test(`${version}: a client without a certificate is refused where one is required, and served where it is not`, async () => {
    const listener = await TestTlsListener.open(asking(authority.certificate));
    const client = listener.connect(only);
    client.write("x");
    const failure = await listener.firstFailure();
    assert.equal(failure.reason, "PEER_DID_NOT_RETURN_A_CERTIFICATE");
    listener.server = new TlsServer({
      ...SERVER_DEFAULTS,
      ...asking(authority.certificate),
      requireClientCertificate: false,
    });
    const other = listener.connect(only);
    other.write("x");
    const recorder = await listener.firstSecured();
    assert.equal(recorder.connection.tls?.peer, undefined);
    assert.equal(recorder.connection.tls?.peerVerified, false);
    client.destroy();
  });

  test(`${version}: a client that was revoked is refused`, async () => {
    const revoked = authority.revoke([clients.good]);
    const trusting = asking(authority.certificate);
    const listener = await TestTlsListener.open({
      ...trusting,
      authorities: { trusted: authority.certificate, trustsSystem: false, revoked },
    });
    listener.connect({ ...only, ...shown(clients.good) });
    const failure = await listener.firstFailure();
    assert.equal(failure.reason, "CERT_REVOKED");
  });

  test(`${version}: sessions are resumed, but not past what the client was believed for`, async () => {
    const ticketKeys = Buffer.alloc(48, 7); // the same for all servers here, so that nothing else stops a session
    const server = (settings: Partial<TlsServerSettings>): TlsServer =>
      new TlsServer({ ...SERVER_DEFAULTS, ...settings, ticketKeys });
    const trusting = asking(authority.certificate, onlyClient);
    const listener = await TestTlsListener.open({});
    listener.server = server(trusting);
    const first = listener.connect({ ...only, ...shown(clients.good) });
    const [session] = (await Promise.all([once(first, "session"), listener.firstSecured()]))[0];
    first.end();

    const again = async (): Promise<void> => {
      const met = listener.secured.length + listener.failures.length;
      const client = listener.connect({ ...only, ...shown(clients.good), session });
      await listener.until(() => listener.secured.length + listener.failures.length > met);
      client.destroy();
    };
    await again();
    assert.equal(listener.secured.at(-1)?.connection.tls?.resumed, true);
    assert.deepEqual(listener.secured.at(-1)?.connection.tls?.peer?.uriSans, [spiffe]);

    // The names that are asked for have changed, in the same context.
    const stricter = { names: [{ type: "URI", oid: "", host: undefined, matches: () => false }] } as const;
    listener.server = server(asking(authority.certificate, stricter));
    await again();
    assert.equal(listener.failures.at(-1)?.fault, "name");

    // The authority is gone.
    listener.server = server(asking(strangers.certificate, onlyClient));
    await again();
    assert.equal(listener.failures.at(-1)?.fault, "chain");
    assert.equal(listener.failures.length, 2);

    // Both are trusted now: the client is believed again, by a full handshake.
    listener.server = server(asking(authority.certificate + strangers.certificate, onlyClient));
    await again();
    assert.equal(listener.secured.at(-1)?.connection.tls?.resumed, false);
  });

  test(`${version}: a session is not resumed once its certificate has expired`, async () => {
    const clock = new ManualClock(systemClock.wallNow());
    const listener = await TestTlsListener.open(asking(authority.certificate));
    listener.clock = { ...systemClock, wallNow: () => clock.wallNow() };
    const first = listener.connect({ ...only, ...shown(clients.good) });
    const [session] = (await Promise.all([once(first, "session"), listener.firstSecured()]))[0];
    first.end();
    clock.advance(400 * DAY_MS);
    listener.connect({ ...only, ...shown(clients.good), session });
    const failure = await listener.firstFailure();
    assert.equal(failure.reason, "CERT_HAS_EXPIRED");
  });
}

test("a client that is not trusted is served where that is asked for, and not called verified", async () => {
  const listener = await TestTlsListener.open(asking(authority.certificate, { acceptsUntrusted: true }));
  listener.connect(shown(clients.untrusted));
  const recorder = await listener.firstSecured();
  assert.equal(recorder.connection.tls?.peerVerified, false);
  assert.equal(recorder.connection.tls?.peer?.subject, "CN=untrusted");
});

test("a client may be known by the hash of its certificate or of its key, without any authority", async () => {
  const listener = await TestTlsListener.open({});
  const der = new X509Certificate(clients.good.certificate).raw;
  const good = new Certificate(der);
  for (const rules of [{ certificateHashes: [good.fingerprintSha256] }, { keyHashes: [good.spkiSha256] }]) {
    listener.server = new TlsServer({
      ...SERVER_DEFAULTS,
      ...asking("", { ...rules, checksChain: false }),
      authorities: { trusted: undefined, trustsSystem: false, revoked: undefined },
    });
    const known = listener.connect(shown(clients.good));
    const unknown = listener.connect(shown(clients.otherName));
    const { length } = listener.failures;
    await listener.until(() => listener.failures.length > length && listener.secured.length > length);
    assert.equal(listener.secured.at(-1)?.connection.tls?.peerVerified, true);
    assert.equal(listener.failures.at(-1)?.fault, "hash");
    known.destroy();
    unknown.destroy();
  }
});

test("each client gets the certificate of the name that it asks for", async () => {
  const issue = (name: string, keyType: "ec" | "rsa" = "ec") => {
    const { chain, key } = authority.issue({ commonName: name, dns: [name], keyType });
    return { chain, key, password: undefined };
  };
  const listener = await TestTlsListener.open({
    certificates: [issue("first.example"), issue("*.example"), issue("b.example"), issue("b.example", "rsa")],
  });
  for (const [asked, got] of [
    ["b.example", "CN=b.example"],
    ["B.Example", "CN=b.example"],
    ["c.example", "CN=*.example"],
    ["x.c.example", "CN=first.example"],
    ["other", "CN=first.example"],
    [undefined, "CN=first.example"],
  ] as const) {
    const client = listener.connect(asked === undefined ? {} : { servername: asked });
    await once(client, "secureConnect");
    assert.equal(client.getPeerX509Certificate()?.subject, got, String(asked));
    client.destroy();
  }
  const rsaOnly = listener.connect({ servername: "b.example", sigalgs: "rsa_pss_rsae_sha256" });
  await once(rsaOnly, "secureConnect");
  assert.equal(rsaOnly.getPeerX509Certificate()?.publicKey.asymmetricKeyType, "rsa");
  rsaOnly.destroy();
});

test("what cannot be a handshake ends the connection, and nobody waits for it", async () => {
  const listener = await TestTlsListener.open({ certificates: [shop], alpnProtocols: ["h2"] });
  const garbage = listener.connectPlain();
  garbage.write("GET / HTTP/1.1\r\n\r\n");
  assert.equal((await listener.firstFailure()).kind, "protocol");

  const cut = listener.connectPlain();
  cut.end(Buffer.from([22, 3, 1, 2, 0, 1]));
  await listener.until(() => listener.failures.length === 2);
  assert.equal(listener.failures[1]?.kind, "gone");

  const reset = listener.connectPlain();
  reset.on("connect", () => reset.resetAndDestroy());
  await listener.until(() => listener.failures.length === 3);
  assert.equal(listener.failures[2]?.kind, "gone");

  const old = listener.connect({ maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" });
  await listener.until(() => listener.failures.length === 4);
  assert.equal(listener.failures[3]?.reason, "UNSUPPORTED_PROTOCOL");

  const otherProtocol = listener.connect({ ALPNProtocols: ["smtp"] });
  await listener.until(() => listener.failures.length === 5);
  assert.equal(listener.failures[4]?.reason, "NO_APPLICATION_PROTOCOL");
  for (const socket of [garbage, cut, reset, old, otherProtocol]) socket.destroy();
});

test("a client that says nothing is given up after the time for the handshake", async () => {
  const clock = new ManualClock();
  const listener = await TestTlsListener.open({ certificates: [shop] });
  listener.clock = clock;
  const silent = listener.connectPlain();
  silent.write(Buffer.from([22]));
  await listener.untilAccepted();
  clock.advance(9999);
  assert.equal(listener.failures.length, 0);
  clock.advance(1);
  assert.equal(listener.failures[0]?.kind, "timeout");
  await closed(silent);
});

test("bytes that were looked at before come back, and big bodies wait for whoever reads slowly", async () => {
  const listener = await TestTlsListener.open({ certificates: [shop] });
  listener.peek = true;
  const client = listener.connect();
  const size = 8 * 1024 * 1024;
  client.write(Buffer.alloc(size, "a"));
  const recorder = await listener.firstSecured();
  const { connection } = recorder;
  let received = 0;
  recorder.onBytes = (bytes) => {
    received += bytes.byteLength;
    connection.pause();
    setImmediate(() => connection.resume());
  };
  await recorder.until(() => received + recorder.bytes.length === size);

  // The other way: nobody reads, so our queue is bounded by what `writeBytes` says.
  const chunk = Buffer.alloc(64 * 1024, "b");
  let sent = 0;
  while (connection.writeBytes(chunk)) sent += chunk.length;
  sent += chunk.length;
  assert.ok(connection.bytesQueued > 0);
  let read = 0;
  client.on("data", (bytes: Buffer) => (read += bytes.length));
  await recorder.until(() => recorder.drained > 0);
  connection.end();
  await once(client, "end");
  assert.equal(read, sent);
});

test("pieces of every size arrive in order while the reader stands still now and then", async () => {
  const listener = await TestTlsListener.open({ certificates: [shop] });
  const client = listener.connect();
  client.write("x");
  const { connection } = await listener.firstSecured();
  const got: Buffer[] = [];
  client.on("data", (bytes: Buffer) => {
    got.push(bytes);
    client.pause();
    setImmediate(() => client.resume());
  });
  const sent: Buffer[] = [];
  for (let turn = 0; turn < 40; turn++) {
    for (const size of [9, 16_384, 1, 8192, 15_000, 33_000, 24_000]) {
      const piece = Buffer.alloc(size, turn * 7 + sent.length);
      sent.push(Buffer.from(piece));
      connection.writeBytes(piece);
      piece.fill(0); // it is the caller's again
    }
    if (turn % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  connection.end();
  await once(client, "end");
  assert.ok(Buffer.concat(got).equals(Buffer.concat(sent)));
});

test("a connection that is reset tells nobody that it ended in order", async () => {
  const listener = await TestTlsListener.open({ certificates: [shop] });
  const client = listener.connect();
  client.write("x");
  const recorder = await listener.firstSecured();
  const ended = closed(client);
  recorder.connection.reset();
  await recorder.untilClosed();
  await ended;
  assert.deepEqual(recorder.closed, [{ failure: undefined }]);
});

test("hundreds of handshakes leave nothing behind", async () => {
  const listener = await TestTlsListener.open({ certificates: [shop] });
  for (let round = 0; round < 12; round++) {
    const sockets = Array.from({ length: 25 }, (_, i) => (i % 5 === 0 ? listener.connectPlain() : listener.connect()));
    for (const socket of sockets) socket.write("hello");
    const all = (round + 1) * 25;
    await listener.until(() => listener.secured.length + listener.failures.length === all);
    for (const socket of sockets) socket.destroy();
  }
  assert.equal(listener.failures.length, 60);
  await Promise.all(listener.secured.map((recorder) => recorder.untilClosed()));
});

test("only_verify_leaf_cert_crl: who was revoked by the authority right above is refused, and those above it need no list", async () => {
  const between = new TestAuthority("Between", authority);
  const [good, bad] = [between.issue({}), between.issue({})];
  const revocation = new LeafRevocation(between.revoke([bad]), [authority.certificate]);
  const listener = await TestTlsListener.open(asking(authority.certificate, { revocation }));
  listener.connect(shown(bad));
  assert.equal((await listener.firstFailure()).reason, "CERT_REVOKED");
  listener.connect(shown(good));
  assert.equal((await listener.firstSecured()).connection.tls?.peerVerified, true);
});

/** A connection on which the client has said one byte, and that has been read. */
async function withOneByte() {
  const listener = await TestTlsListener.open({ certificates: [shop] });
  const client = listener.connect();
  client.write("x");
  const recorder = await listener.firstSecured();
  const { connection } = recorder;
  await recorder.until(() => recorder.bytes.length === 1);
  return { client, recorder, connection };
}

test("a reader that stands still gets the rest of what was read later, and the end behind it", async () => {
  const { client, recorder, connection } = await withOneByte();
  connection.end(); // so that nothing but what is unread keeps the socket
  const got: Buffer[] = [];
  recorder.onBytes = (bytes) => {
    got.push(Buffer.from(bytes));
    connection.pause();
  };
  client.setMaxSendFragment(512);
  const sent = Buffer.from(Array.from({ length: 6000 }, (_, i) => i >> 3));
  client.end(sent); // twelve records that are read at once
  while (Buffer.concat(got).length < sent.length) {
    const calls = got.length;
    await recorder.until(() => got.length > calls || connection.closed);
    assert.equal(got.length, calls + 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(got.length, calls + 1, "it stands still");
    if (Buffer.concat(got).length < sent.length) assert.equal(recorder.ended + recorder.closed.length, 0);
    connection.resume();
  }
  await recorder.untilClosed();
  assert.equal(got[0]?.length, 512, "the reader stood still within one read");
  assert.ok(Buffer.concat(got).equals(sent));
  assert.equal(connection.bytesRead, 1 + sent.length);
  assert.equal(recorder.ended, 1);
  assert.deepEqual(recorder.closed, [{ failure: undefined }]);
});

test("a connection that is reset in the turn of its end is closed", async () => {
  const { recorder, connection } = await withOneByte();
  connection.end();
  connection.reset();
  await recorder.untilClosed();
  assert.deepEqual(recorder.closed, [{ failure: undefined }]);
});

test("a client that resets its connection has not ended in order", async () => {
  const listener = await TestTlsListener.open({ certificates: [shop] });
  const beneath = listener.connectPlain();
  const client = listener.connect({ socket: beneath });
  client.write("half a");
  const recorder = await listener.firstSecured();
  await recorder.until(() => recorder.bytes.length === 6);
  beneath.resetAndDestroy();
  await recorder.untilClosed();
  assert.equal(recorder.ended, 0);
  assert.equal(recorder.closed[0]?.failure?.kind, "downstream-reset");
});

test("what waits for a client that resets its connection was never written", async () => {
  const listener = await TestTlsListener.open({ certificates: [shop] });
  const beneath = listener.connectPlain();
  const client = listener.connect({ socket: beneath });
  client.pause();
  client.write("x");
  const recorder = await listener.firstSecured();
  const { connection } = recorder;
  let sent = 0;
  for (const size of [9, 24_000, 70_000]) {
    const chunk = Buffer.alloc(size);
    do sent += size;
    while (connection.writeBytes(chunk) && size > 9);
  }
  assert.ok(connection.bytesQueued > 0);
  assert.equal(connection.bytesWritten + connection.bytesQueued, sent);
  connection.end(); // behind what waits
  beneath.resetAndDestroy();
  await recorder.untilClosed();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(recorder.closed.length, 1);
  assert.equal(recorder.closed[0]?.failure?.kind, "downstream-reset");
  assert.ok(connection.bytesWritten < sent);
  assert.equal(connection.bytesWritten + connection.bytesQueued, sent);
});
