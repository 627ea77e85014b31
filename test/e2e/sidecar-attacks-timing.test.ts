import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarSlots, startSlots } from "../harness/sidecar-slots.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const POISON = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
const upgrades = { upgrade_configs: [{ upgrade_type: "websocket" }] };

/** Each answer comes in one piece, and all together are more than both kernels and the sidecar may hold. */
const FLOOD_REQUESTS = 2_400;
const FLOOD_BODY = "f".repeat(16 * 1024);

/* Attacks that lie in when bytes come rather than in what they are. */
describe("a sidecar whose peers send at the wrong moment", { concurrency: 8 }, () => {
  const suite = lastFirst({ after });
  let slots: SidecarSlots;
  before(async () => {
    slots = await startSlots(suite, {
      http: { proxy_100_continue: true, http_protocol_options: { accept_http_10: true } },
      slots: {
        early: {},
        expect: {},
        "expect-late": {},
        declined: { route: upgrades },
        "tunnel-early": { route: upgrades },
        idle: {},
        "idle-many": {},
        "half-answer": {},
        "tiny-chunks": {},
        "late-chunk": {},
        flood: {},
        "cut-1.0": {},
      },
    });
  });

  test("the rest of a body that was answered early is nobody's request", async (t) => {
    const { host, upstream, client } = slots.slot("early", t);
    const smuggled = `GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    const peer = await client();
    await peer.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${smuggled.length}\r\n\r\n`);
    const first = await upstream.next();
    await first.readUntil("\r\n\r\n");
    await first.send(OK);
    assert.equal((await peer.message()).status, 200);
    assert.equal(await first.readToEnd(), "", "this connection is not used again");
    await peer.send(`${smuggled}GET /own HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const second = await upstream.next();
    assert.equal((await second.message()).startLine, "GET /own HTTP/1.1");
    await second.send(OK);
    assert.equal((await peer.message()).status, 200);
    assert.deepEqual([peer.waiting, upstream.accepted], [0, 2]);
  });

  for (const [name, when] of [
    ["expect", "before"],
    ["expect-late", "after"],
  ] as const) {
    test(`an expectation that is answered at once, ${when} its body came, leaves no connection behind`, async (t) => {
      const { host, upstream, client } = slots.slot(name, t);
      const smuggled = `GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
      const head = `POST / HTTP/1.1\r\nHost: ${host}\r\nExpect: 100-continue\r\nContent-Length: ${smuggled.length}\r\n\r\n`;
      const peer = await client();
      await peer.send(when === "after" ? head + smuggled : head);
      const first = await upstream.next();
      await first.readUntil("\r\n\r\n");
      if (when === "after") await first.readUntil("\r\n\r\n"); // an upstream that has answered would read it as a request
      await first.send(OK);
      assert.equal((await peer.message()).status, 200);
      assert.equal(await first.readToEnd(), "");
      const other = await client();
      await other.send(`GET /own HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const second = await upstream.next();
      assert.equal((await second.message()).startLine, "GET /own HTTP/1.1");
      await second.send(OK);
      assert.equal((await other.message()).status, 200);
    });
  }

  test("bytes behind a request for a tunnel reach the upstream only once it has agreed", async (t) => {
    const { host, upstream, client } = slots.slot("tunnel-early", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly`);
    const behind = await upstream.next();
    await behind.readUntil("\r\n\r\n");
    assert.equal(behind.waiting, 0);
    await behind.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert.equal(String(await behind.read(5)), "early");
    assert.equal((await peer.message()).status, 101);
    behind.end();
    peer.end();
  });

  test("200 to a request for a tunnel opens none: what the client sends next is read as a request", async (t) => {
    const { host, upstream, client, logged } = slots.slot("declined", t);
    const peer = await client();
    await peer.send(
      `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nthese are frames\r\n\r\n`,
    );
    const behind = await upstream.next();
    await behind.readUntil("\r\n\r\n");
    await behind.send(OK);
    const text = await peer.readToEnd();
    assert.match(text, /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nokHTTP\/1\.1 400 Bad Request\r\n/s);
    assert.equal(behind.waiting, 0, "no byte of it has reached the upstream");
    assert.equal((await logged())[0]?.status, 200);
  });

  test("an answer that comes while nobody has asked takes its connection along, not the next request", async (t) => {
    const { host, upstream, client } = slots.slot("idle", t);
    for (const unasked of [POISON, "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n", "\r\n", "x"]) {
      const peer = await client();
      await peer.send(`GET /one HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const first = await upstream.next();
      await first.message();
      await first.send(OK);
      assert.equal(String((await peer.message()).body), "ok");
      await first.send(unasked);
      assert.equal(await first.readToEnd(), "", "the sidecar has closed it");
      await peer.send(`GET /two HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const second = await upstream.next();
      assert.equal((await second.message()).startLine, "GET /two HTTP/1.1");
      await second.send("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nown");
      assert.equal(String((await peer.message()).body), "own");
    }
  });

  test("when all idle connections are poisoned at once, each of the requests behind them gets its own answer", async (t) => {
    const { host, upstream, client } = slots.slot("idle-many", t);
    const peers = await Promise.all(Array.from({ length: 8 }, () => client()));
    const ask = (path: string) =>
      Promise.all(peers.map((peer, i) => peer.send(`GET ${path}${i} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)));
    await ask("/first-");
    const connections = await Promise.all(peers.map(() => upstream.next()));
    // All before the first answer: it would free a connection for a request whose own is still being made.
    for (const connection of connections) await connection.message();
    for (const connection of connections) await connection.send(OK);
    for (const peer of peers) assert.equal((await peer.message()).status, 200);
    await Promise.all(connections.map((connection) => connection.send(POISON)));
    await eventually("all of them are closed", () => connections.every(({ ended }) => ended));
    upstream.serve(async (peer) => {
      const { startLine } = await peer.message();
      await peer.send(
        `HTTP/1.1 200 OK\r\ncontent-length: ${startLine.length}\r\nconnection: close\r\n\r\n${startLine}`,
      );
    });
    await ask("/second-");
    for (const [i, peer] of peers.entries())
      assert.equal(String((await peer.message()).body), `GET /second-${i} HTTP/1.1`);
  });

  test("a client that leaves in the middle of an answer leaves none of it to the next", async (t) => {
    const { host, upstream, client } = slots.slot("half-answer", t);
    const leaving = await client();
    await leaving.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const first = await upstream.next();
    await first.message();
    await first.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    await leaving.readUntil("half");
    leaving.reset();
    assert.equal(await first.readToEnd(), "");
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const second = await upstream.next();
    await second.message();
    await second.send(OK);
    assert.equal(String((await peer.message()).body), "ok");
  });

  test("a hundred thousand chunks of one byte are one body", async (t) => {
    const { host, upstream, client } = slots.slot("tiny-chunks", t);
    const peer = await client();
    const sent = peer.send(
      `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n${"1\r\nx\r\n".repeat(100_000)}0\r\n\r\n`,
    );
    const behind = await upstream.next();
    const { body } = await behind.message();
    await sent;
    assert.equal(body.length, 100_000);
    await behind.send(OK);
    assert.equal((await peer.message()).status, 200);
  });

  test("a client that only sends requests is not listened to until it reads its answers, and then gets each", async (t) => {
    const { host, upstream, client } = slots.slot("flood", t);
    let answered = 0;
    upstream.serve(async (behind) => {
      for (;;) {
        await behind.message();
        answered += 1;
        await behind.send(`HTTP/1.1 200 OK\r\ncontent-length: ${FLOOD_BODY.length}\r\n\r\n${FLOOD_BODY}`);
      }
    });
    const peer = await client();
    peer.socket.pause();
    const sent = peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`.repeat(FLOOD_REQUESTS));
    let last = 0;
    let unchanged = 0;
    await eventually(
      "the sidecar has stopped",
      () => {
        unchanged = answered === last ? unchanged + 1 : 0;
        last = answered;
        return last > 0 && unchanged === 10;
      },
      60_000,
    );
    assert.ok(last < FLOOD_REQUESTS, `${last} requests were read`);
    peer.socket.resume();
    for (let i = 0; i < FLOOD_REQUESTS; i++) assert.equal((await peer.message()).body.length, FLOOD_BODY.length);
    await sent;
  });

  test("three hundred requests that come in one piece are each answered, though not in one turn", async (t) => {
    const { client } = slots.slot("flood", t);
    const peer = await client();
    await peer.send("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n".repeat(300));
    for (let i = 0; i < 300; i++) assert.equal((await peer.message()).status, 404);
    assert.equal(peer.waiting, 0);
  });

  test("an HTTP/1.0 client sees by RST that its answer was cut, where FIN would be its end", async (t) => {
    const { host, upstream, client } = slots.slot("cut-1.0", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.message();
    await behind.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    await peer.readUntil("hello");
    behind.end();
    await peer.readToEnd();
    assert.equal(peer.error, "ECONNRESET");
  });

  test("a chunk that turns out broken later ends both sides, and the upstream's request stays incomplete", async (t) => {
    const { host, upstream, client } = slots.slot("late-chunk", t);
    const peer = await client();
    await peer.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`);
    const behind = await upstream.next();
    await behind.readUntil("hello\r\n");
    await peer.send("0\r\n\n\r\nGET /smuggled HTTP/1.1\r\n\r\n");
    assert.match(await peer.readToEnd(), /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.equal(await behind.readToEnd(), "", "no last chunk");
  });
});
