import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RequestHead, ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { AnsweringServer, entries, ScriptedClient, ScriptedServer, summary } from "../testing/index.ts";

const RUNS = { seed: 9112, numRuns: 200 } as const;

/** One of these characters. */
const anyOf = (characters: string) => fc.constantFrom(...characters.split(""));
const token = fc.string({ unit: anyOf("abcxyz019-_.!~"), minLength: 1, maxLength: 12 });
const value = fc
  .string({ unit: anyOf('aZ09 \t,;="%:\xe9\xff'), maxLength: 30 })
  .map((text) => text.replace(/^[ \t]+|[ \t]+$/g, ""));
const headers = fc
  .array(
    fc.tuple(
      token.map((name) => `x-${name}`),
      value,
    ),
    { maxLength: 12 },
  )
  .map((pairs) => pairs.flat());
const body = fc.array(fc.string({ unit: anyOf("ab\r\n0;\0\xff"), minLength: 1, maxLength: 40 }), {
  maxLength: 6,
});
const framing = fc.constantFrom("length", "chunked", "trailers");
const method = fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD");
const path = fc.string({ unit: anyOf('az09/?&=%|{}"\\'), maxLength: 40 }).map((text) => `/${text}`);
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 });
const request = fc.record({ method, path, headers, body, framing });
const response = fc.record({ status: fc.constantFrom(200, 201, 404, 500, 599), headers, body, framing });

function cut(text: string, lengths: readonly number[]): string[] {
  const pieces: string[] = [];
  for (let at = 0, i = 0; at < text.length; i++) {
    const length = lengths[i % lengths.length]!; // never empty
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}

interface Message {
  readonly headers: readonly string[];
  readonly body: readonly string[];
  readonly framing: string;
}

interface Encoder<Head> {
  sendHead(head: Head, endStream: boolean): void;
  sendData(chunk: Uint8Array, endStream: boolean): boolean;
  sendTrailers(trailers: HeaderMap): void;
}

function fieldsOf(message: Message): HeaderMap {
  const fields = new HeaderMap([...message.headers]);
  if (message.framing === "length") fields.append("content-length", String(message.body.join("").length));
  return fields;
}

function send<Head>(encoder: Encoder<Head>, head: Head, message: Message): void {
  const chunks = message.body.map((chunk) => Buffer.from(chunk, "latin1"));
  if (message.framing === "trailers") {
    encoder.sendHead(head, false);
    for (const chunk of chunks) encoder.sendData(chunk, false);
    encoder.sendTrailers(HeaderMap.from({ "x-sum": "1" }));
    return;
  }
  encoder.sendHead(head, chunks.length === 0);
  for (const [i, chunk] of chunks.entries()) encoder.sendData(chunk, i === chunks.length - 1);
}

test("requests that are sent arrive as they were, pipelined and cut at any place", () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 4 }), cuts, (messages, lengths) => {
      let wire = "";
      for (const message of messages) {
        const client = new ScriptedClient();
        const head = new RequestHead(message.method, "http", "shop:80", message.path, fieldsOf(message));
        send(client.start().encoder, head, message);
        wire += client.transport.take();
      }
      const server = new AnsweringServer().receive(...cut(wire, lengths));
      assert.equal(server.requests.length, messages.length);
      for (const [i, message] of messages.entries()) {
        const arrived = server.requests[i]!; // as many as there are messages
        assert.deepEqual(
          [arrived.head?.method, arrived.head?.path, arrived.head?.authority],
          [message.method, message.path, "shop:80"],
        );
        const others = arrived.head?.headers.fields.filter((_, at, all) => all[at - (at % 2)] !== "content-length");
        assert.deepEqual(others, message.headers);
        assert.deepEqual([arrived.body, arrived.ended], [message.body.join(""), true]);
        assert.deepEqual(arrived.trailers, message.framing === "trailers" ? { "x-sum": "1" } : undefined);
      }
    }),
    RUNS,
  );
});

test("responses that are sent arrive as they were, cut at any place", () => {
  fc.assert(
    fc.property(response, cuts, (message, lengths) => {
      const server = new ScriptedServer().receive("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      send(server.last.encoder, new ResponseHead(message.status, fieldsOf(message)), message);
      const client = new ScriptedClient();
      const { encoder, response: arrived } = client.start();
      encoder.sendHead(new RequestHead("GET", "http", "a", "/", new HeaderMap()), true);
      client.receive(...cut(server.transport.take(), lengths));
      assert.equal(arrived.head?.status, message.status);
      const expected = entries(new HeaderMap([...message.headers]));
      const { "content-length": _, ...others } = entries(arrived.head?.headers ?? new HeaderMap());
      assert.deepEqual(others, expected);
      assert.deepEqual([arrived.body, arrived.ended], [message.body.join(""), true]);
      assert.deepEqual(arrived.trailers, message.framing === "trailers" ? { "x-sum": "1" } : undefined);
      assert.equal(client.connection.capacity, 1);
    }),
    RUNS,
  );
});

const REQUESTS =
  'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: x-y\r\n\r\n5;a="b"\r\nhello\r\n0\r\nx: 1\r\n\r\n' +
  "PUT http://b/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcdGET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
const RESPONSES =
  "HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n";

/** Bytes of `text` with some of them replaced, removed or doubled: nearly messages. */
function mutations(text: string) {
  const edit = fc.tuple(
    fc.integer({ min: 0, max: text.length - 1 }),
    fc.integer({ min: 0, max: 2 }),
    fc.string({ unit: anyOf("\r\n\t :;,0a\0\x7f\x80"), minLength: 1, maxLength: 3 }),
  );
  return fc.array(edit, { minLength: 1, maxLength: 4 }).map((edits) => {
    let result = text;
    for (const [at, removed, added] of edits) result = result.slice(0, at) + added + result.slice(at + removed);
    return result;
  });
}

test("broken requests have the same outcome however they are cut", () => {
  fc.assert(
    fc.property(mutations(REQUESTS), cuts, (wire, lengths) => {
      const outcome = (pieces: readonly string[]) => {
        const server = new AnsweringServer().receive(...pieces);
        return [
          summary(server.requests),
          server.protocolErrors,
          server.transport.take(),
          server.transport.ended,
          server.connection.idle,
        ];
      };
      assert.deepEqual(outcome(cut(wire, lengths)), outcome([wire]));
    }),
    { ...RUNS, numRuns: 1500 },
  );
});

test("broken responses have the same outcome however they are cut", () => {
  fc.assert(
    fc.property(mutations(RESPONSES), cuts, (wire, lengths) => {
      const outcome = (pieces: readonly string[]) => {
        const client = new ScriptedClient();
        client.start().encoder.sendHead(new RequestHead("GET", "http", "a", "/", new HeaderMap()), true);
        client.receive(...pieces);
        return [summary(client.responses), client.closed.length, client.connection.capacity];
      };
      assert.deepEqual(outcome(cut(wire, lengths)), outcome([wire]));
    }),
    { ...RUNS, numRuns: 1500 },
  );
});

test("pausing between any two reads changes nothing but the time", () => {
  const pauses = fc.array(fc.boolean(), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(cuts, pauses, (lengths, pattern) => {
      const plain = new AnsweringServer().receive(REQUESTS);
      const server = new AnsweringServer();
      for (const [i, piece] of cut(REQUESTS, lengths).entries()) {
        const encoder = server.requests.at(-1)?.encoder;
        const pause = pattern[i % pattern.length] === true;
        if (pause) encoder?.pauseRequest();
        server.receive(piece);
        if (pause) encoder?.resumeRequest();
      }
      assert.deepEqual(summary(server.requests), summary(plain.requests));
      assert.deepEqual([server.transport.paused, server.connection.idle, server.idles > 0], [false, true, true]);
      assert.equal(server.transport.take(), plain.transport.take());
    }),
    RUNS,
  );
});

test("pausing a response between any two reads changes nothing but the time", () => {
  const pauses = fc.array(fc.boolean(), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(cuts, pauses, (lengths, pattern) => {
      const client = new ScriptedClient();
      const { encoder, response: arrived } = client.start();
      encoder.sendHead(new RequestHead("GET", "http", "a", "/", new HeaderMap()), true);
      for (const [i, piece] of cut(RESPONSES, lengths).entries()) {
        const pause = pattern[i % pattern.length] === true;
        if (pause) encoder.pauseResponse();
        client.receive(piece);
        if (pause) encoder.resumeResponse();
      }
      assert.deepEqual([arrived.body, arrived.ended, arrived.informational.length], ["0123456789", true, 1]);
      assert.deepEqual([client.transport.paused, client.connection.capacity, client.capacityChanges], [false, 1, 1]);
    }),
    RUNS,
  );
});
