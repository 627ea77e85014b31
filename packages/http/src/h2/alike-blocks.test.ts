import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ScriptedH2Client, ScriptedH2Server } from "../testing/scripted-h2.ts";
import { FrameType } from "./frame/index.ts";

/*
 * Blocks that differ in nothing but values that lie in them as they are (ids) are not decoded and read again as a whole. Whatever
 * such blocks say in whatever order, each has to be taken as if it came alone.
 */

/** As literals without indexing whose names and values are not coded (RFC 7541 §6.2.2), the same table before and after. */
function plainBlock(fields: readonly string[]): Buffer {
  return Buffer.concat(
    fields.flatMap((text, i) => {
      const bytes = Buffer.from(text, "latin1");
      return [Buffer.from(i % 2 === 0 ? [0x00, bytes.length] : [bytes.length]), bytes];
    }),
  );
}

/** Values of one length, so that the blocks have one: good ones, and such as no field may have. */
const value = fc.constantFrom("aaaa", "bbbb", "0004", "0000", "c\x00dd", "dd\x7fd", " eee", "ffff", "gg\tg", "hé h");
const name = fc.constantFrom("x-id", "x-to", "cookie", "content-length", "te", "host", "connection", "date");
const request = fc.record({
  method: fc.constantFrom("GET", "PUT", "G T"),
  path: fc.constantFrom("/aaa", "/bbb", "/c c", "dddd"),
  authority: fc.constantFrom("a.test", "b.test", "c t st"),
});
const stories = fc.record({
  names: fc.array(name, { maxLength: 4 }),
  steps: fc.array(fc.record({ request, values: fc.array(value, { minLength: 4, maxLength: 4 }) }), {
    minLength: 2,
    maxLength: 12,
  }),
});

test("requests whose blocks are alike are each taken as if it came alone", () => {
  const taken = (server: ScriptedH2Server, streamId: number, block: Buffer): unknown => {
    const before = server.requests.length;
    server.receive(server.client.frame(FrameType.Headers, 0x05, streamId, block));
    const { head, ended, failure } = server.requests[before] ?? {};
    const frames = server.sent().map(({ type, errorCode, fields }) => ({ type, errorCode, fields }));
    return { head, ended, failure, frames, over: server.connection.ended };
  };
  let alike = 0;
  fc.assert(
    fc.property(stories, ({ names, steps }) => {
      const server = new ScriptedH2Server({ streamErrorOnInvalidHttpMessage: true }).begin();
      let streamId = -1;
      for (const { request: of, values } of steps) {
        const fields = names.flatMap((text, i) => [text, values[i]!]);
        const { method, path, authority } = of;
        const block = plainBlock(
          [":method", method, ":scheme", "http", ":authority", authority, ":path", path].concat(fields),
        );
        const alone = new ScriptedH2Server({ streamErrorOnInvalidHttpMessage: true }).begin();
        const expected = taken(alone, 1, block) as { readonly head?: unknown };
        assert.deepEqual(taken(server, (streamId += 2), block), expected);
        if (expected.head !== undefined) alike++;
        if (server.connection.ended) return;
        if (server.requests.at(-1)?.failure === undefined && expected.head !== undefined) server.answer();
        server.sent();
      }
    }),
    { seed: 5, numRuns: 250 },
  );
  assert.ok(alike > 40, `${alike} requests were taken`);
});

test("responses whose blocks are alike are each taken as if it came alone", () => {
  const taken = (client: ScriptedH2Client, block: Buffer): unknown => {
    const { response } = client.get();
    const streamId = client.sent().find(({ type }) => type === FrameType.Headers)!.streamId;
    client.receive(client.server.frame(FrameType.Headers, 0x05, streamId, block));
    const frames = client.sent().map(({ type, errorCode }) => ({ type, errorCode }));
    return { head: response.head, ended: response.ended, failure: response.failure, frames };
  };
  fc.assert(
    fc.property(stories, ({ names, steps }) => {
      const client = new ScriptedH2Client({ streamErrorOnInvalidHttpMessage: true }).begin();
      for (const { values } of steps) {
        const block = plainBlock([":status", "200", ...names.flatMap((text, i) => [text, values[i]!])]);
        const alone = new ScriptedH2Client({ streamErrorOnInvalidHttpMessage: true }).begin();
        assert.deepEqual(taken(client, block), taken(alone, block));
        if (client.closed.length > 0) return;
      }
    }),
    { seed: 6, numRuns: 150 },
  );
});

test("a value that says something to the codec is read each time", () => {
  const server = new ScriptedH2Server({ streamErrorOnInvalidHttpMessage: true }).begin();
  const send = (streamId: number, te: string, length: string, body: string): unknown => {
    const fields = [":method", "PUT", ":scheme", "http", ":authority", "a.test", ":path", "/", "te", te];
    const block = plainBlock([...fields, "content-length", length]);
    server.receive(
      server.client.frame(FrameType.Headers, 0x04, streamId, block),
      server.client.data(streamId, body, true),
    );
    const { body: received, ended, failure } = server.last;
    return { received, ended, broken: failure !== undefined };
  };
  const good = { received: "four", ended: true, broken: false };
  for (const streamId of [1, 3, 5]) assert.deepEqual(send(streamId, "trailers", "4", "four"), good);
  assert.deepEqual(send(7, "trailers", "5", "four!"), { ...good, received: "four!" });
  assert.equal((send(9, "trailers", "5", "four") as { broken: boolean }).broken, true);
  const before = server.requests.length;
  send(11, "trailerz", "4", "four");
  assert.equal(server.requests.length, before);
});
