import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { lastFirst } from "../harness/owner.ts";
import type { RawPeer } from "../harness/raw-peer.ts";
import { type SidecarSlots, startSlots } from "../harness/sidecar-slots.ts";

const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

describe("a sidecar and HTTP/1.1", { concurrency: 8 }, () => {
  const suite = lastFirst({ after });
  let slots: SidecarSlots;
  before(async () => {
    slots = await startSlots(suite, {
      http: { http_protocol_options: { accept_http_10: true }, stream_idle_timeout: "10s" },
      slots: {
        "keep-alive": {},
        pipelining: {},
        "length-up": {},
        "chunked-up": {},
        "length-down": {},
        "chunked-down": {},
        "close-delimited": {},
        "trailers-up": {},
        "trailers-down": {},
        head: {},
        "no-content": {},
        "continue-asked": {},
        "continue-early": {},
        "early-hints": {},
        "http10-client": {},
        "http10-upstream": {},
        "early-answer": {},
        upgrade: { route: { upgrade_configs: [{ upgrade_type: "websocket" }], timeout: "0s" } },
        "half-close": { route: { upgrade_configs: [{ upgrade_type: "websocket" }], timeout: "0s" } },
        "no-upgrade": {},
        "upgrade-declined": { route: { upgrade_configs: [{ upgrade_type: "websocket" }] } },
        absolute: {},
        "half-closed-client": {},
        "client-gone": {},
        "cut-answer": {},
        "bad-answer": {},
        "hop-by-hop": {},
        refused: {},
      },
    });
  });

  test("a connection carries one request after another, and so does the one behind it", async (t) => {
    const { host, upstream, client } = slots.slot("keep-alive", t);
    upstream.answerAll(OK);
    const peer = await client();
    for (let round = 0; round < 20; round++) {
      await peer.send(`GET /${round} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const answer = await peer.message();
      assert.equal(answer.status, 200);
      assert.equal(String(answer.body), "ok");
      assert.equal(answer.headers.has("connection"), false);
    }
    assert.equal(upstream.accepted, 1);
  });

  test("pipelined requests are answered in their order, also when they come cut into bytes", async (t) => {
    const { host, upstream, client } = slots.slot("pipelining", t);
    upstream.serve(async (peer) => {
      for (;;) {
        const { startLine, body } = await peer.message();
        const text = `${startLine.split(" ")[1]} ${body}`;
        await peer.send(`HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
      }
    });
    const peer = await client();
    const requests = Array.from({ length: 30 }, (_, i) =>
      i % 3 === 0
        ? `POST /${i} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4\r\n\r\nbody`
        : i % 3 === 1
          ? `GET /${i} HTTP/1.1\r\nHost: ${host}\r\n\r\n`
          : `PUT /${i} HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n`,
    ).join("");
    await peer.send(requests);
    for (let i = 0; i < 30; i++)
      assert.equal(String((await peer.message()).body), `/${i} ${i % 3 === 1 ? "" : "body"}`);
    for (const byte of requests.slice(0, 400)) await peer.send(byte);
    await peer.send(requests.slice(400));
    for (let i = 0; i < 30; i++)
      assert.equal(String((await peer.message()).body), `/${i} ${i % 3 === 1 ? "" : "body"}`);
  });

  test("a body with content-length keeps it on its way up", async (t) => {
    const { host, upstream, client } = slots.slot("length-up", t);
    const peer = await client();
    await peer.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\n\r\nhello`);
    const behind = await upstream.next();
    const request = await behind.message();
    assert.equal(request.headers.get("content-length"), "5");
    assert.equal(request.chunked, false);
    assert.equal(String(request.body), "hello");
    await behind.send(OK);
    assert.equal((await peer.message()).status, 200);
  });

  test("a chunked body is forwarded chunk by chunk, before it is complete", async (t) => {
    const { host, upstream, client } = slots.slot("chunked-up", t);
    const peer = await client();
    await peer.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`);
    const behind = await upstream.next();
    assert.match(await behind.readUntil("\r\n\r\n"), /\r\ntransfer-encoding: chunked\r\n/i);
    assert.equal(await behind.readUntil("hello\r\n"), "5\r\nhello\r\n");
    await peer.send("6;ext=1\r\n world\r\n0\r\n\r\n");
    assert.equal(await behind.readUntil("0\r\n\r\n"), "6\r\n world\r\n0\r\n\r\n");
    await behind.send(OK);
    assert.equal((await peer.message()).status, 200);
  });

  test("an answer with content-length keeps it", async (t) => {
    const { host, upstream, client } = slots.slot("length-down", t);
    upstream.answerAll(OK);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const answer = await peer.message();
    assert.equal(answer.headers.get("content-length"), "2");
    assert.equal(answer.chunked, false);
  });

  test("a chunked answer is forwarded chunk by chunk, before it is complete", async (t) => {
    const { host, upstream, client } = slots.slot("chunked-down", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.message();
    await behind.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    await peer.readUntil("3\r\none\r\n");
    await behind.send("3\r\ntwo\r\n0\r\n\r\n");
    assert.equal(await peer.readUntil("0\r\n\r\n"), "3\r\ntwo\r\n0\r\n\r\n");
  });

  test("an answer that ends with its connection is chunked for the client, who keeps his", async (t) => {
    const { host, upstream, client } = slots.slot("close-delimited", t);
    const peer = await client();
    for (let round = 0; round < 2; round++) {
      await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const behind = await upstream.next();
      await behind.message();
      await behind.send("HTTP/1.1 200 OK\r\n\r\nuntil the end");
      behind.end();
      const answer = await peer.message();
      assert.equal(answer.chunked, true);
      assert.equal(String(answer.body), "until the end");
    }
  });

  test("trailers of a request reach the upstream", async (t) => {
    const { host, upstream, client } = slots.slot("trailers-up", t);
    const peer = await client();
    await peer.send(
      `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n`,
    );
    const behind = await upstream.next();
    const request = await behind.message();
    assert.equal(String(request.body), "hi");
    assert.deepEqual([...request.trailers], [["x-sum", "7"]]);
    await behind.send(OK);
    assert.equal((await peer.message()).status, 200);
  });

  test("trailers of an answer reach the client", async (t) => {
    const { host, upstream, client } = slots.slot("trailers-down", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nTE: trailers\r\nConnection: TE\r\n\r\n`);
    const behind = await upstream.next();
    await behind.message();
    await behind.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n");
    const answer = await peer.message();
    assert.deepEqual([...answer.trailers], [["x-sum", "7"]]);
  });

  test("an answer to HEAD has the length of what it does not send", async (t) => {
    const { host, upstream, client } = slots.slot("head", t);
    upstream.serve(async (peer) => {
      for (;;) {
        const { startLine } = await peer.message();
        const chunked = startLine.includes("/chunked");
        await peer.send(
          `HTTP/1.1 200 OK\r\n${chunked ? "transfer-encoding: chunked" : "content-length: 1000"}\r\n\r\n`,
        );
      }
    });
    const peer = await client();
    await peer.send(`HEAD /length HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal((await peer.message({ bodyless: true })).headers.get("content-length"), "1000");
    await peer.send(`HEAD /chunked HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal((await peer.message({ bodyless: true })).status, 200);
    await peer.send(`HEAD /last HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    await peer.message({ bodyless: true });
    assert.equal(await peer.readToEnd(), "");
    assert.equal(upstream.accepted, 1);
  });

  test("204 and 304 have no body, and the connection goes on", async (t) => {
    const { host, upstream, client } = slots.slot("no-content", t);
    upstream.serve(async (peer) => {
      for (;;) {
        const { startLine } = await peer.message();
        await peer.send(
          startLine.includes("204")
            ? "HTTP/1.1 204 No Content\r\n\r\n"
            : 'HTTP/1.1 304 Not Modified\r\netag: "a"\r\ncontent-length: 12\r\n\r\n',
        );
      }
    });
    const peer = await client();
    await peer.send(`GET /204 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const first = await peer.message();
    assert.equal(first.status, 204);
    assert.equal(first.headers.has("content-length") || first.chunked, false, "RFC 9110 §8.6, RFC 9112 §6.1");
    await peer.send(`GET /304 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal((await peer.message()).status, 304);
    await peer.send(`GET /204 HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal((await peer.message()).status, 204);
    assert.equal(upstream.accepted, 1);
  });

  test("a client that waits for 100 gets one, then sends, and gets its answer", async (t) => {
    const { host, upstream, client } = slots.slot("continue-asked", t);
    const peer = await client();
    await peer.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`);
    assert.equal((await peer.message()).startLine, "HTTP/1.1 100 Continue");
    await peer.send("hello");
    const behind = await upstream.next();
    assert.equal(String((await behind.message()).body), "hello");
    await behind.send(OK);
    assert.equal((await peer.message()).status, 200, "and no second 100 before it");
  });

  test("a client that expects 100 and does not wait for it is served all the same", async (t) => {
    const { host, upstream, client } = slots.slot("continue-early", t);
    const peer = await client();
    await peer.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello`);
    const behind = await upstream.next();
    assert.equal(String((await behind.message()).body), "hello");
    await behind.send(OK);
    let answer = await peer.message();
    if (answer.status === 100) answer = await peer.message();
    assert.equal(answer.status, 200);
  });

  test("103 is passed on to HTTP/1.1", async (t) => {
    const { host, upstream, client } = slots.slot("early-hints", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.message();
    await behind.send("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    const hints = await peer.message();
    assert.equal(hints.status, 103);
    assert.equal(hints.headers.get("link"), "</a.css>");
    await behind.send(OK);
    assert.equal((await peer.message()).status, 200);
  });

  test("an HTTP/1.0 client gets no chunks and no 103, and its connection ends with the answer", async (t) => {
    const { host, upstream, client } = slots.slot("http10-client", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`);
    const behind = await upstream.next();
    assert.match((await behind.message()).startLine, /HTTP\/1\.1$/);
    await behind.send("HTTP/1.1 103 Early Hints\r\n\r\n");
    await behind.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    const answer = await peer.message();
    assert.equal(answer.status, 200);
    assert.equal(answer.chunked, false);
    assert.equal(String(answer.body), "hello");
    assert.equal(peer.error, undefined);
  });

  test("an HTTP/1.0 upstream is understood: its answer ends with its connection", async (t) => {
    const { host, upstream, client } = slots.slot("http10-upstream", t);
    const peer = await client();
    for (let round = 1; round <= 2; round++) {
      await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      const behind = await upstream.next();
      await behind.message();
      await behind.send("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok");
      assert.equal(String((await peer.message()).body), "ok");
      assert.equal(upstream.accepted, round, "a connection without keep-alive is used once");
    }
  });

  test("an answer that comes before the request is complete reaches the client at once", async (t) => {
    const { host, upstream, client } = slots.slot("early-answer", t);
    const peer = await client();
    await peer.send(`POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000000\r\n\r\n${"x".repeat(1000)}`);
    const behind = await upstream.next();
    await behind.readUntil("\r\n\r\n");
    await behind.send("HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig");
    behind.end();
    const answer = await peer.message();
    assert.equal(answer.status, 413);
    assert.equal(String(answer.body), "big");
  });

  test("an upgrade that the route allows becomes a tunnel", async (t) => {
    const { host, upstream, client } = slots.slot("upgrade", t);
    const { peer, behind } = await openTunnel(host, await client(), upstream.next());
    for (const text of ["ping", "\0\x01\xff raw bytes", "x".repeat(100_000)]) {
      await peer.send(text);
      assert.equal((await behind.read(text.length)).toString("latin1"), text);
      await behind.send(text);
      assert.equal((await peer.read(text.length)).toString("latin1"), text);
    }
    behind.end();
    assert.equal(await peer.readToEnd(), "");
  });

  test("a tunnel can be closed on one side and still carry on the other", async (t) => {
    const { host, upstream, client } = slots.slot("half-close", t);
    const { peer, behind } = await openTunnel(host, await client(), upstream.next());
    await peer.send("last words");
    peer.end();
    assert.equal(await behind.readToEnd(), "last words");
    await behind.send("the answer to them");
    behind.end();
    assert.equal(await peer.readToEnd(), "the answer to them");
    assert.equal(peer.error, undefined);
  });

  test("an upgrade that nothing allows is answered with 403 and goes nowhere", async (t) => {
    const { host, upstream, client } = slots.slot("no-upgrade", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    assert.equal((await peer.message()).status, 403);
    assert.equal(upstream.accepted, 0);
  });

  test("an upgrade that the upstream declines is an ordinary exchange", async (t) => {
    const { host, upstream, client } = slots.slot("upgrade-declined", t);
    upstream.answerAll(OK);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
    assert.equal((await peer.message()).status, 200);
  });

  test("a target in absolute form counts before Host, and goes on in origin form", async (t) => {
    const { host, upstream, client } = slots.slot("absolute", t);
    const peer = await client();
    await peer.send(`GET http://${host}/path?q=1 HTTP/1.1\r\nHost: elsewhere\r\n\r\n`);
    const behind = await upstream.next();
    const request = await behind.message();
    assert.equal(request.startLine, "GET /path?q=1 HTTP/1.1");
    assert.equal(request.headers.get("host"), host);
    await behind.send(OK);
    assert.equal((await peer.message()).status, 200);
  });

  test("a client that closes its side behind its request still gets the answer", async (t) => {
    const { host, upstream, client } = slots.slot("half-closed-client", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    peer.end();
    const behind = await upstream.next();
    await behind.message();
    await behind.send(OK);
    assert.match(await peer.readToEnd(), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nok$/s);
  });

  test("when the client is gone the upstream's request is given up", async (t) => {
    const { host, upstream, client, logged } = slots.slot("client-gone", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.message();
    peer.reset();
    assert.equal(await behind.readToEnd(), "");
    const [line] = await logged();
    assert.equal(line?.flags, "DC");
  });

  test("an answer that the upstream cuts short is cut short for the client", async (t) => {
    const { host, upstream, client, logged } = slots.slot("cut-answer", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.message();
    await behind.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    await peer.readUntil("hello\r\n");
    behind.end();
    assert.equal(await peer.readToEnd(), "", "no last chunk");
    const [line] = await logged();
    assert.equal(line?.flags, "UC");
  });

  test("an answer that is no HTTP becomes 502 with UPE", async (t) => {
    const { host, upstream, client, logged } = slots.slot("bad-answer", t);
    const peer = await client();
    await peer.send(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    const behind = await upstream.next();
    await behind.message();
    await behind.send("220 smtp.example.com ready\r\n\r\n");
    assert.equal((await peer.message()).status, 502);
    assert.equal((await logged())[0]?.flags, "UPE");
    assert.equal(await behind.readToEnd(), "");
  });

  test("what belongs to one connection does not go to the next", async (t) => {
    const { host, upstream, client } = slots.slot("hop-by-hop", t);
    const peer = await client();
    await peer.send(
      `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive, x-mine\r\nKeep-Alive: timeout=9\r\nX-Mine: 1\r\nProxy-Connection: keep-alive\r\nX-Yours: 2\r\n\r\n`,
    );
    const behind = await upstream.next();
    const { headers } = await behind.message();
    for (const name of ["connection", "keep-alive", "x-mine", "proxy-connection"])
      assert.equal(headers.has(name), false, name);
    assert.equal(headers.get("x-yours"), "2");
    await behind.send(
      "HTTP/1.1 200 OK\r\nConnection: x-theirs\r\nX-Theirs: 1\r\nKeep-Alive: timeout=5\r\ncontent-length: 0\r\n\r\n",
    );
    const answer = await peer.message();
    for (const name of ["connection", "keep-alive", "x-theirs"]) assert.equal(answer.headers.has(name), false, name);
  });

  const refusals: readonly (readonly [what: string, status: number, bytes: string])[] = [
    ["a header without colon", 400, "GET / HTTP/1.1\r\nHost: refused\r\nbroken\r\n\r\n"],
    ["space before the colon", 400, "GET / HTTP/1.1\r\nHost : refused\r\n\r\n"],
    ["no Host", 400, "GET / HTTP/1.1\r\n\r\n"],
    ["two Hosts", 400, "GET / HTTP/1.1\r\nHost: refused\r\nHost: other\r\n\r\n"],
    ["folded header", 400, "GET / HTTP/1.1\r\nHost: refused\r\nX-A: 1\r\n 2\r\n\r\n"],
    [
      "length and chunks",
      400,
      "POST / HTTP/1.1\r\nHost: refused\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["two lengths", 400, "POST / HTTP/1.1\r\nHost: refused\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"],
    ["a length that is no number", 400, "POST / HTTP/1.1\r\nHost: refused\r\nContent-Length: +5\r\n\r\nhello"],
    ["NUL in a header", 400, "GET / HTTP/1.1\r\nHost: refused\r\nX-A: a\0b\r\n\r\n"],
    ["bare CR in a header", 400, "GET / HTTP/1.1\r\nHost: refused\r\nX-A: a\rb\r\n\r\n"],
    ["a large header", 431, `GET / HTTP/1.1\r\nHost: refused\r\nX-A: ${"a".repeat(70_000)}\r\n\r\n`],
    ["too many headers", 431, `GET / HTTP/1.1\r\nHost: refused\r\n${"x: 1\r\n".repeat(200)}\r\n`],
    [
      "a coding nobody knows",
      501,
      "POST / HTTP/1.1\r\nHost: refused\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ],
    ["HTTP/2.0 in the request line", 505, "GET / HTTP/2.0\r\nHost: refused\r\n\r\n"],
  ];
  for (const [what, status, bytes] of refusals) {
    test(`${what} is refused with ${status}, not forwarded, and the connection closed`, async (t) => {
      const { upstream, client } = slots.slot("refused", t);
      const peer = await client();
      await peer.send(`${bytes}GET /smuggled HTTP/1.1\r\nHost: refused\r\n\r\n`);
      const text = await peer.readToEnd();
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.equal(text.split("HTTP/1.1 ").length, 2, "one answer");
      assert.equal(upstream.accepted, 0);
    });
  }
});

async function openTunnel(
  host: string,
  peer: RawPeer,
  accepted: Promise<RawPeer>,
): Promise<{ peer: RawPeer; behind: RawPeer }> {
  await peer.send(`GET /socket HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  const behind = await accepted;
  const request = await behind.message();
  assert.equal(request.headers.get("upgrade"), "websocket");
  assert.match(request.headers.get("connection") ?? "", /upgrade/i);
  await behind.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  const answer = await peer.message();
  assert.equal(answer.status, 101);
  assert.equal(answer.headers.get("upgrade"), "websocket");
  return { peer, behind };
}
