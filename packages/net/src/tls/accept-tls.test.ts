import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { connect, createSecureContext, type TLSSocket } from "node:tls";
import { ManualClock, type Result } from "@heddle/base";
import { TestAuthority } from "@heddle/identity/testing";
import { type AcceptedTls, acceptTls } from "./accept-tls.ts";

const root = new TestAuthority("Root");
const between = new TestAuthority("Between", root);
const own = root.issue({ dns: ["localhost"] });
const context = createSecureContext({ cert: own.chain, key: own.key, ca: root.certificate });

/** A server that keeps whatever comes of its handshakes, and its connections. */
async function open(t: TestContext) {
  const clock = new ManualClock();
  const outcomes: Result<AcceptedTls, string>[] = [];
  const changes = new EventEmitter();
  const connections = new Set<Socket>();
  const server: Server = createServer((beneath: Socket) => {
    connections.add(beneath);
    beneath.on("close", () => {
      connections.delete(beneath);
      changes.emit("change");
    });
    acceptTls(beneath, { context, alpnProtocols: ["h2"], timeoutMs: 1000, clock }, (outcome) => {
      outcomes.push(outcome);
      if (outcome.ok) outcome.value.socket.resume();
      changes.emit("change");
    });
    changes.emit("change");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const until = async (met: () => boolean): Promise<void> => {
    while (!met()) await once(changes, "change");
  };
  const client = (cert?: { readonly chain: string; readonly key: string }): TLSSocket => {
    const socket = connect({
      port,
      ca: root.certificate,
      servername: "localhost",
      ALPNProtocols: ["h2"],
      ...(cert && { cert: cert.chain, key: cert.key }),
    });
    t.after(() => socket.destroy());
    return socket.on("error", () => undefined); // what becomes of it the server says
  };
  return { clock, outcomes, port, connections, client, until };
}

for (const [what, cert, issuers, chainError] of [
  ["no certificate", undefined, undefined, ""],
  ["a certificate of the root", root.issue({ dns: ["a"] }), 1, ""], // OpenSSL adds the root, which it knows
  ["one of an authority between, and that authority", between.issue({ dns: ["a"] }), 1, ""],
  ["one of a stranger", new TestAuthority("Stranger").issue({ dns: ["a"] }), 0, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
] as const)
  test(`a client that shows ${what} is told of with all that it has shown`, async (t) => {
    const { clock, outcomes, client, until } = await open(t);
    client(cert);
    await until(() => outcomes.length === 1);
    const [outcome] = outcomes;
    assert.ok(outcome?.ok);
    assert.equal(outcome.value.peer?.issuers?.length, issuers);
    if (cert !== undefined) assert.equal(outcome.value.chainError, chainError);
    assert.equal(outcome.value.socket.alpnProtocol, "h2");
    assert.equal(clock.pending, 0);
  });

test("each connection that ends, before its handshake or after it, is gone from the server too", async (t) => {
  const { clock, outcomes, port, connections, client, until } = await open(t);
  const [good, silent, garbled] = [client(), dial(port, "127.0.0.1"), dial(port, "127.0.0.1")];
  t.after(() => silent.destroy());
  garbled.on("error", () => undefined).resume(); // it is cut
  garbled.write("GET / HTTP/1.1\r\n\r\n");
  await until(() => outcomes.length === 2);
  const failed = outcomes.find(({ ok }) => !ok);
  assert.match(failed?.ok === false ? failed.error : "", /HTTP_REQUEST/);
  await until(() => clock.pending === 1);
  silent.on("error", () => undefined).resume();
  clock.advance(1000);
  assert.deepEqual(outcomes[2], { ok: false, error: "HANDSHAKE_TIMEOUT" });
  good.destroy();
  await until(() => connections.size === 0);
  const gone = dial(port, "127.0.0.1");
  await once(gone, "connect");
  await until(() => clock.pending === 1);
  gone.resetAndDestroy();
  await until(() => outcomes.length === 4);
  assert.equal(outcomes[3]?.ok, false);
  assert.equal(clock.pending, 0);
});
