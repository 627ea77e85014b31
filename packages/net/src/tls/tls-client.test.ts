import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { createServer as createPlainServer } from "node:net";
import { afterEach, test } from "node:test";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { systemClock } from "@heddle/base";
import { TrustBundles, trustBundleFromPem } from "@heddle/identity";
import { TestAuthority } from "@heddle/identity/testing";
import type { Connection } from "../connection.ts";
import { dial } from "../dial.ts";
import { SocketConnection } from "../socket-connection.ts";
import { assertNothingLeft, Recorder } from "../testing-sockets.ts";
import { depthLimit } from "./chain-depth.ts";
import type { HandshakeFailure } from "./handshake.ts";
import { ANYBODY } from "./peer-rules.ts";
import { SERVER_DEFAULTS } from "./testing-tls.ts";
import { TlsClient, type TlsClientSettings, type TlsTarget } from "./tls-client.ts";

const authority = new TestAuthority();
const intermediate = new TestAuthority("Intermediate", authority);
const back = intermediate.issue({ commonName: "back", dns: ["back.example", "*.wild.example"], ips: ["127.0.0.1"] });

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const one of opened.splice(0)) one.close();
  return assertNothingLeft();
});

/** A server of Node's, with the sockets that it has accepted. */
async function serve(options: TlsOptions = {}): Promise<{ port: number; accepted: () => Promise<TLSSocket> }> {
  const sockets: TLSSocket[] = [];
  const all: Socket[] = [];
  const server = createServer({ cert: back.chain, key: back.key, ...options }, (socket) => sockets.push(socket));
  server.on("connection", (socket) => all.push(socket));
  server.on("secureConnection", (socket) => socket.on("error", () => undefined));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  opened.push({
    close() {
      server.close();
      for (const socket of [...sockets, ...all]) socket.destroy();
    },
  });
  return {
    port: (server.address() as AddressInfo).port,
    // The client's handshake is over before the server's.
    async accepted() {
      if (sockets.length === 0) await once(server, "secureConnection");
      return sockets[0]!; // just come
    },
  };
}

function client(settings: Partial<TlsClientSettings> = {}): TlsClient {
  return new TlsClient({ ...SERVER_DEFAULTS, maxSessionKeys: 0, ...settings });
}

const TRUSTING: Partial<TlsClientSettings> = {
  authorities: { trusted: authority.certificate, trustsSystem: false, revoked: undefined },
  rules: { ...ANYBODY, checksChain: true },
};

function handshake(
  tls: TlsClient,
  port: number,
  wanted: Partial<TlsTarget> = {},
  timeoutMs = 10_000,
): Promise<Connection | HandshakeFailure> {
  const target = { serverName: "", verifiedName: undefined, peer: `${port}`, alpnFallback: [], ...wanted };
  const options = { clock: systemClock, timeoutMs, highWatermarkBytes: 64 * 1024 };
  return new Promise((resolve, reject) => {
    dial({ type: "socket", address: "127.0.0.1", port }, options, {
      onFailed: (failure) => reject(new Error(failure.detail)),
      onConnected: (connection) => {
        assert.ok(connection instanceof SocketConnection);
        tls.connect(connection, target, options, { onSecured: resolve, onFailed: resolve });
      },
    });
  });
}

async function secured(...parameters: Parameters<typeof handshake>): Promise<Connection> {
  const outcome = await handshake(...parameters);
  assert.ok("id" in outcome, JSON.stringify(outcome));
  opened.push({ close: () => outcome.destroy() });
  return outcome;
}

async function refused(...parameters: Parameters<typeof handshake>): Promise<HandshakeFailure> {
  const outcome = await handshake(...parameters);
  assert.ok("reason" in outcome, "it was accepted");
  return outcome;
}

test("a server that is trusted is spoken to, by name and by protocol", async () => {
  const { port, accepted } = await serve({ ALPNProtocols: ["h2", "http/1.1"] });
  const connection = await secured(client(TRUSTING), port, {
    serverName: "back.example",
    verifiedName: "back.example",
    alpnFallback: ["http/1.1", "h2"],
  });
  assert.equal(connection.alpnProtocol, "h2");
  const other = await secured(client({ ...TRUSTING, alpnProtocols: ["h2"] }), port, { alpnOverride: ["http/1.1"] });
  assert.equal(other.alpnProtocol, "http/1.1");
  assert.equal(connection.tls?.peerVerified, true);
  assert.equal(connection.tls?.peer?.subject, "CN=back");
  assert.equal(connection.tls?.group, "X25519MLKEM768"); // what it settles on where nothing is configured
  const socket = await accepted();
  assert.equal((socket as { readonly servername?: unknown }).servername, "back.example");
  const recorder = new Recorder(connection);
  connection.writeLatin1("ping");
  socket.on("data", (bytes: Buffer) => socket.end(bytes));
  await recorder.until(() => recorder.ended === 1);
  assert.equal(recorder.bytes.toString(), "ping");
});

test("the name that the certificate has to stand for may be a wildcard's or an address", async () => {
  const { port } = await serve();
  for (const verifiedName of ["back.example", "BACK.example", "a.wild.example", "127.0.0.1"]) {
    await secured(client(TRUSTING), port, { verifiedName });
  }
  for (const verifiedName of ["other.example", "wild.example", "a.b.wild.example", "back.example.", "127.0.0.2", ""]) {
    const { kind, fault } = await refused(client(TRUSTING), port, { verifiedName });
    assert.deepEqual([kind, fault], ["peer", "name"], verifiedName);
  }
});

test("a server whose authority is not trusted is refused, unless nobody is asked", async () => {
  const { port } = await serve();
  const others = { trusted: new TestAuthority("Others").certificate, trustsSystem: false, revoked: undefined };
  const { fault } = await refused(client({ ...TRUSTING, authorities: others }), port);
  assert.equal(fault, "chain");
  const connection = await secured(client(), port);
  assert.equal(connection.tls?.peerVerified, false);
});

test("an authority between the root and the server may be the one that is trusted", async () => {
  const { port } = await serve();
  const authorities = { trusted: intermediate.certificate, trustsSystem: false, revoked: undefined };
  await secured(client({ ...TRUSTING, authorities }), port);
});

test("an expired server is refused", async () => {
  const old = authority.issue({ dns: ["back.example"], validTo: new Date(systemClock.wallNow() - 1000) });
  const { port } = await serve({ cert: old.chain, key: old.key });
  assert.equal((await refused(client(TRUSTING), port)).reason, "CERT_HAS_EXPIRED");
});

test("a session is resumed with the same server for the same name, and with no other", async () => {
  const { port, accepted } = await serve();
  const tls = client({ ...TRUSTING, maxSessionKeys: 9 });
  const one = await secured(tls, port, { serverName: "back.example" });
  const recorder = new Recorder(one);
  (await accepted()).write("x"); // with it come the tickets
  await recorder.until(() => recorder.bytes.length === 1);
  assert.equal((await secured(tls, port, { serverName: "a.wild.example" })).tls?.resumed, false);
  assert.equal(
    (await secured(tls, port, { serverName: "back.example", verifiedName: "x" }).catch(() => undefined))?.tls,
    undefined,
  );
  const again = await secured(tls, port, { serverName: "back.example" });
  assert.equal(again.tls?.resumed, true);
  assert.equal(again.tls?.peer?.subject, "CN=back");
  assert.equal(again.tls?.peerVerified, true);
});

test("who does not answer, answers something else, or goes away is told apart", async () => {
  const answers: Record<string, (socket: Socket) => void> = {
    silent: () => undefined,
    plain: (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"),
    gone: (socket) => socket.destroy(),
  };
  for (const [what, kind] of [
    ["silent", "timeout"],
    ["plain", "protocol"],
    ["gone", "gone"],
  ] as const) {
    const accepted: Socket[] = [];
    const server = createPlainServer((socket) => {
      accepted.push(socket.on("error", () => undefined));
      answers[what]?.(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const failure = await refused(client(TRUSTING), port, {}, what === "silent" ? 50 : 10_000);
    assert.equal(failure.kind, kind, what);
    server.close();
    for (const socket of accepted) socket.destroy();
  }
});

test("an upstream that closes without close_notify has not ended in order", async () => {
  const { port, accepted } = await serve();
  const recorder = new Recorder(await secured(client(TRUSTING), port));
  const socket = await accepted();
  socket.write("half of a body", () => {
    const { _parent: beneath } = socket as unknown as { readonly _parent: Socket };
    beneath.destroySoon();
  });
  await recorder.untilClosed();
  assert.equal(recorder.bytes.toString(), "half of a body");
  assert.equal(recorder.ended, 0);
  assert.match(recorder.closed[0]?.failure?.detail ?? "", /close_notify/);
});

test("an upstream has to show an SVID of the trust domain that its authority speaks for, resumed or not", async () => {
  const partners = new TestAuthority("Partners");
  const between = new TestAuthority("Between", partners);
  const bundles = [
    trustBundleFromPem("own.example", authority.certificate),
    trustBundleFromPem("partner.example", partners.certificate),
  ].flatMap((bundle) => (bundle.ok ? [bundle.value] : []));
  const authorities = {
    trusted: authority.certificate + partners.certificate,
    trustsSystem: false,
    revoked: undefined,
  };
  const rules = { ...ANYBODY, checksChain: true, trust: new TrustBundles(bundles) };
  const [own, partner] = ["spiffe://own.example/ns/a/sa/b", "spiffe://partner.example/ns/a/sa/b"];
  for (const wrong of [
    between.issue({ uris: [own] }),
    intermediate.issue({ uris: [partner] }),
    authority.issue({ dns: ["own.example"] }),
    authority.issue({ uris: [own], isAuthority: true }),
    authority.issue({ uris: [own], usage: "client" }),
  ]) {
    const { port } = await serve({ cert: wrong.chain, key: wrong.key });
    assert.equal((await refused(client({ authorities, rules }), port)).fault, "chain");
  }
  const good = between.issue({ uris: [partner] });
  const { port, accepted } = await serve({ cert: good.chain, key: good.key });
  const tls = client({ authorities, rules, maxSessionKeys: 2 });
  const recorder = new Recorder(await secured(tls, port));
  (await accepted()).write("x"); // with it come the tickets
  await recorder.until(() => recorder.bytes.length === 1);
  // What led to its authority the session has forgotten; it has been judged here, by the same authorities.
  assert.equal((await secured(tls, port)).tls?.resumed, true);
});

test("enforce_rsa_key_usage: an RSA key that is not for signatures is refused, where that is asked for", async () => {
  const wrong = authority.issue({ keyType: "rsa", keyUsageBits: 0x20 }); // keyEncipherment
  const right = authority.issue({ keyType: "rsa" });
  const unsaid = authority.issue({ keyType: "rsa", keyUsageBits: "none" });
  const elliptic = authority.issue({ keyUsageBits: 0x08 }); // keyAgreement
  for (const [shown, isRight] of [
    [wrong, false],
    [right, true],
    [unsaid, true],
    [elliptic, true],
  ] as const) {
    const { port } = await serve({ cert: shown.chain, key: shown.key });
    const rules = { ...ANYBODY, checksChain: true };
    const enforcing = client({ ...TRUSTING, rules: { ...rules, enforcesRsaKeyUsage: true } });
    if (isRight) await secured(enforcing, port);
    else assert.equal((await refused(enforcing, port)).reason, "KEY_USAGE_BIT_INCORRECT");
    await secured(client(TRUSTING), port);
  }
});

test("max_verify_depth counts what is above the certificate, its authority included", async () => {
  const lower = new TestAuthority("Lower", intermediate).issue({});
  const { port } = await serve({ cert: lower.chain, key: lower.key });
  for (const [trusted, needed] of [
    [authority.certificate, 3],
    [intermediate.certificate, 2],
    [lower.certificate, 0],
  ] as const) {
    const authorities = { trusted, trustsSystem: false, revoked: undefined };
    for (let most = 0; most <= 4; most++) {
      const rules = { ...ANYBODY, checksChain: true, depth: depthLimit(most, [trusted]) };
      if (most >= needed) await secured(client({ authorities, rules }), port);
      else assert.equal((await refused(client({ authorities, rules }), port)).reason, "CERT_CHAIN_TOO_LONG");
    }
  }
});
