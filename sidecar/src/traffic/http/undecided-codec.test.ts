import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServerConnection } from "@heddle/http";
import { UndecidedCodec } from "./undecided-codec.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** A client's bytes, one read after the other, and what was made of them. */
function choose(...reads: readonly string[]) {
  const events: string[] = [];
  let got = "";
  const codec = {
    receive: (bytes: Uint8Array) => {
      got += Buffer.from(bytes).toString("latin1");
    },
    receiveEnd: () => void events.push("end"),
  } as unknown as ServerConnection;
  const speak = (protocol: string) => (): ServerConnection => {
    events.push(protocol);
    return codec;
  };
  let ended = false;
  const transport = { end: () => (ended = true) } as never;
  const undecided = new UndecidedCodec(transport, {
    speakHttp1: speak("http1"),
    speakHttp2: speak("http2"),
    onPartialPreface: () => events.push("partial"),
  });
  for (const read of reads) undecided.receive(Buffer.from(read, "latin1"));
  return { undecided, events, got: () => got, ended: () => ended };
}

test("a client that begins with the preface gets HTTP/2, wherever the reads are cut", () => {
  const whole = `${PREFACE}\0\0\0\x04`;
  for (let cut = 1; cut < PREFACE.length; cut++) {
    const { events, got, undecided } = choose(whole.slice(0, cut), whole.slice(cut));
    assert.deepEqual(events, ["partial", "http2"], `cut at ${cut}`);
    assert.equal(got(), whole);
    assert.equal(undecided.idle, false);
  }
  const { events, got } = choose(...PREFACE.split(""));
  assert.deepEqual(events, ["partial", "http2"]);
  assert.equal(got(), PREFACE);
  assert.deepEqual(choose(whole).events, ["http2"]);
});

test("any other beginning is HTTP/1, and its codec gets every byte", () => {
  for (const begin of ["GET / HTTP/1.1\r\n", "PUT / HTTP/1.1\r\n", "PROPFIND / HTTP/1.1\r\n", "\r\n", "\x16\x03\x01"]) {
    const { events, got } = choose(begin);
    assert.deepEqual(events, ["http1"], JSON.stringify(begin));
    assert.equal(got(), begin);
  }
});

test("a part of the preface with something else behind it goes to HTTP/1 as it is", () => {
  for (let length = 1; length < PREFACE.length; length++) {
    const part = PREFACE.slice(0, length);
    const { events, got } = choose(part, "x");
    assert.deepEqual(events, ["partial", "http1"]);
    assert.equal(got(), `${part}x`);
  }
});

test("a client that ends within the preface gets the answer of HTTP/1", () => {
  const { undecided, events, got } = choose("PRI * HT");
  undecided.receiveEnd();
  assert.deepEqual(events, ["partial", "http1", "end"]);
  assert.equal(got(), "PRI * HT");
});

test("a client that ends without a byte gets nothing", () => {
  const { undecided, events, ended } = choose();
  assert.equal(undecided.idle, true);
  undecided.receiveEnd();
  assert.deepEqual(events, []);
  assert.equal(ended(), true);
  assert.equal(undecided.ended, true);
});

test("nobody speaks any more with a client that was drained before it said a word", () => {
  const { undecided, events, ended } = choose("PRI");
  undecided.drain();
  assert.equal(ended(), true);
  undecided.receive(Buffer.from(PREFACE.slice(3), "latin1"));
  undecided.receiveEnd();
  assert.deepEqual(events, ["partial"]);
});
