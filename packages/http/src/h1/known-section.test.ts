import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { RequestHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { defaultHttpLimits } from "../limits.ts";
import { ScriptedClient, ScriptedServer } from "../testing/index.ts";
import { MessageFields } from "./fields.ts";
import { LatestLine, LineMemo } from "./known-line.ts";
import { type LatestSection, SectionMemo } from "./known-section.ts";

const bytes = (text: string): DataView => {
  const of = Buffer.from(text, "latin1");
  return new DataView(of.buffer, of.byteOffset, of.length);
};

/** What a server makes of one request on a new connection: the head that came, or the refusal. */
function read(request: string): unknown {
  const server = new ScriptedServer().receive(request);
  const head = server.requests.at(-1)?.head;
  const text = server.transport.take();
  if (head === undefined) return text;
  const { method, scheme, authority, path, httpVersion, upgrade, headers } = head;
  const line = { method, scheme, authority, path, httpVersion, upgrade };
  return { line, headers: headers.fields, ended: server.transport.ended, text };
}

describe("a section that comes again", () => {
  const heads = [
    "host: a\r\naccept: */*\r\nuser-agent: some/1\r\n",
    "host: a b\r\naccept: */*\r\n",
    "accept: */*\r\n",
    "host: a\r\nhost: a\r\n",
    "host: a\r\nconnection: host, x\r\n",
    "host: a\r\nconnection: x-one\r\nx-one: 1\r\nx-two: 2\r\n",
    "host: a\r\nconnection: close\r\n",
    "host: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n",
    "host: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n",
    "host: a\r\ncontent-length: 3\r\n",
    "host: a\r\ncontent-length: 03\r\n",
    "host: a\r\ntransfer-encoding: chunked\r\n",
    "host: a\r\ntransfer-encoding: gzip\r\n",
    "host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n",
    "host: a\r\n folded\r\n",
    "host: a\r\nno colon\r\n",
    "host: a\r\nname : b\r\n",
    "host: \xe4\r\n",
    "",
  ];
  for (const version of ["1.1", "1.0"]) {
    for (const head of heads) {
      test(`says the same each time: HTTP/${version} ${JSON.stringify(head)}`, () => {
        const request = (target: string) => `GET ${target} HTTP/${version}\r\n${head}\r\n`;
        const first = read(request("/"));
        for (let i = 0; i < 6; i++) assert.deepEqual(read(request("/")), first);
        // What is known of a section says nothing about the line before it, nor about the other version.
        for (const line of [
          "GET / HTTP/1.1",
          "GET / HTTP/1.0",
          "GET /\x01 HTTP/1.1",
          "G(T / HTTP/1.1",
          "GET /a b HTTP/1.1",
        ]) {
          const known = read(`${line}\r\n${head}\r\n`);
          read("GET / HTTP/1.1\r\nhost: somebody-else\r\n\r\n");
          read("GET / HTTP/1.1\r\nhost: somebody-elsa\r\n\r\n");
          assert.deepEqual(known, read(`${line}\r\n${head}\r\n`));
        }
      });
    }
  }

  test("gives each exchange a list of its own", () => {
    const server = new ScriptedServer();
    for (let i = 0; i < 5; i++) {
      server.receive("GET / HTTP/1.1\r\nhost: a\r\nx-mine: 1\r\n\r\n");
      const { headers } = server.requests.at(-1)!.head!;
      assert.deepEqual(headers.fields, ["x-mine", "1"]);
      headers.set("x-mine", "2");
      headers.append("x-more", "3");
      server.answer(204);
    }
  });

  test("is known in responses too, however they are cut into reads", () => {
    const response = "HTTP/1.1 200 OK\r\nserver: s\r\ncontent-length: 2\r\n\r\nhi";
    for (let i = 0; i < 8; i++) {
      const client = new ScriptedClient();
      const { encoder, response: got } = client.start();
      encoder.sendHead(new RequestHead("GET", "http", "a", "/", new HeaderMap()), true);
      client.receive(...(i < 4 ? [response] : [response.slice(0, i * 8), response.slice(i * 8)]));
      assert.deepEqual(got.head?.headers.fields, ["server", "s", "content-length", "2"]);
      assert.equal(got.body, "hi");
    }
  });

  test("does not hide that a head is larger than allowed, or has more fields", () => {
    const fields = "host: a\r\nx-a: 1\r\nx-b: 2\r\n";
    const request = `GET / HTTP/1.1\r\n${fields}\r\n`;
    for (let i = 0; i < 4; i++) assert.ok(new ScriptedServer().receive(request).last.ended);
    const limits = { ...defaultHttpLimits, maxHeadBytes: request.length };
    const sized = (maxHeadBytes: number) =>
      new ScriptedServer({ limits: { ...limits, maxHeadBytes } }).receive(request);
    assert.match(sized(request.length - 1).transport.take(), /^HTTP\/1.1 431 /);
    assert.equal(sized(request.length).transport.take(), "");
    const counted = (maxHeaderCount: number) =>
      new ScriptedServer({ limits: { ...limits, maxHeaderCount } }).receive(request).transport.take();
    assert.match(counted(2), /^HTTP\/1.1 431 /);
    assert.equal(counted(3), "");
  });
});

describe("a first line that comes again", () => {
  test("does not bring a method past a listener that another one allows", () => {
    const request = "BREW / HTTP/1.1\r\nhost: a\r\n\r\n";
    for (let i = 0; i < 5; i++) {
      const lenient = new ScriptedServer({ allowCustomMethods: true });
      for (let j = 0; j < 5; j++) {
        lenient.receive(request);
        assert.equal(lenient.requests.length, j + 1);
        lenient.answer(204);
      }
      assert.match(new ScriptedServer().receive(request).transport.take(), /^HTTP\/1.1 501 /);
    }
  });

  test("says the same each time, also between others", () => {
    const server = new ScriptedServer();
    const targets = ["/a", "/a", "/a", "/b", "/a", "/a b", "/a"];
    for (const target of targets.slice(0, 5)) {
      server.receive(`GET ${target} HTTP/1.1\r\nhost: a\r\n\r\n`);
      assert.equal(server.requests.at(-1)!.head!.path, target);
      server.answer(204);
      server.transport.take();
    }
    assert.match(server.receive("GET /a HTTP/1.2\r\nhost: a\r\n\r\n").transport.take(), /^HTTP\/1.1 505 /);
  });

  test("is kept when it has come twice in a row, if it is short", () => {
    const memo = new LineMemo(new LatestLine<string>());
    const long = `GET /${"x".repeat(256)} HTTP/1.1\r\n`;
    for (const [line, kept] of [
      ["a\r\n", false],
      ["b\r\n", false],
      ["b\r\n", true],
      ["c\r\n", true],
      [long, true],
      [long, true],
    ] as const) {
      memo.missed(line, line);
      assert.equal(memo.find(bytes("b\r\nx"), 0)?.line, kept ? "b\r\n" : undefined);
      assert.equal(memo.find(bytes(`${long}y`), 0), undefined);
    }
  });
});

test("heads that are alike, at random: a connection that knows them reads as one that knows nothing", () => {
  const line = fc.constantFrom("a: 1", "a: 2", "b: 1", "host: h", "host: g", "connection: close", "content-length: 0");
  const heads = fc.array(fc.tuple(fc.constantFrom("/", "/x"), fc.array(line, { maxLength: 4 })), { maxLength: 12 });
  fc.assert(
    fc.property(heads, (requests) => {
      const texts = requests.map(
        ([target, lines]) => `GET ${target} HTTP/1.1\r\n${lines.map((l) => `${l}\r\n`).join("")}\r\n`,
      );
      const once = texts.map(read);
      assert.deepEqual(texts.map(read), once);
    }),
    { numRuns: 300, seed: 1 },
  );
});

describe("the memo", () => {
  const latest = (): LatestSection => ({ section: undefined });
  const miss = (memo: SectionMemo, section: string): void => {
    const message = new MessageFields(memo);
    if (memo.looks()) assert.equal(memo.find(bytes(section), 0, 100), undefined);
    memo.missed(section, 0, ["a", "b"], message);
  };

  test("keeps a section when the one before it was as long, and other connections know it too", () => {
    const shared = latest();
    const memo = new SectionMemo(shared);
    miss(memo, "a: b\r\n\r\n");
    assert.equal(shared.section, undefined);
    miss(memo, "a: c\r\n\r\n");
    const found = new SectionMemo(shared).find(bytes("xa: c\r\n\r\ny"), 1, 100);
    assert.equal(found?.text.length, 8);
    assert.deepEqual(found?.restore(new MessageFields()), ["a", "b"]);
  });

  test("stops looking for a while where nothing comes again, longer each time, until something does", () => {
    const memo = new SectionMemo(latest());
    const pauses: number[] = [];
    for (let i = 0; pauses.length < 8; i++) {
      let paused = 0;
      while (!memo.looks()) paused++;
      if (paused > 0) pauses.push(paused);
      memo.missed(`a: ${"x".repeat(i % 7)}\r\n\r\n`, 0, [], new MessageFields(memo));
    }
    assert.deepEqual(pauses, [16, 32, 64, 128, 256, 512, 1024, 1024]);
    for (let i = 0; i < 2000 && memo.find(bytes("a: b\r\n\r\n"), 0, 9) === undefined; i++) {
      memo.looks();
      memo.missed("a: b\r\n\r\n", 0, ["a", "b"], new MessageFields(memo));
    }
    assert.ok(memo.find(bytes("a: b\r\n\r\n"), 0, 9) !== undefined);
  });

  test("does not keep a large section", () => {
    const shared = latest();
    const memo = new SectionMemo(shared);
    for (let i = 0; i < 3; i++) miss(memo, `a: ${"b".repeat(1024)}\r\n\r\n`);
    assert.equal(shared.section, undefined);
  });
});
