import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { createServer, get, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { ManualClock, systemClock } from "@heddle/base";
import { Places } from "./places.ts";
import { sendBody } from "./send-body.ts";
import { beginOf, inSlices } from "./slices.ts";

/** A request whose answer the test sends. */
async function asked(t: TestContext): Promise<{ answer: IncomingMessage; response: ServerResponse }> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const request = get({ host: "127.0.0.1", port: (server.address() as AddressInfo).port, agent: false });
  request.on("error", () => undefined);
  const [, response] = (await once(server, "request")) as [IncomingMessage, ServerResponse];
  response.flushHeaders();
  const [answer] = (await once(request, "response")) as [IncomingMessage];
  answer.on("error", () => undefined);
  return { answer, response };
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of answer.setEncoding("latin1")) text += chunk;
  return text;
}

test("other work goes on between the pieces of a body, however fast it is taken", async (t) => {
  const { answer, response } = await asked(t);
  let turns = 0;
  let running = true;
  const other = (): void => {
    turns += 1;
    if (running) setImmediate(other);
  };
  setImmediate(other);
  const turnOf: number[] = [];
  const pieces = function* (): Generator<string> {
    for (let i = 0; i < 40; i++) {
      turnOf.push(turns);
      yield "x".repeat(64 * 1024);
    }
  };
  const [text] = await Promise.all([textOf(answer), sendBody(response, pieces())]);
  running = false;
  assert.equal(text.length, 40 * 64 * 1024);
  assert.equal(new Set(turnOf).size, 40, "each chunk is of a turn of its own");
});

test("work that makes nothing to send is cut into slices, too", async () => {
  let turns = 0;
  let running = true;
  const other = (): void => {
    turns += 1;
    if (running) setImmediate(other);
  };
  setImmediate(other);
  let nowMs = 0;
  const clock = { ...systemClock, now: () => nowMs };
  const nothing = function* (): Generator<number | undefined> {
    for (let i = 0; i < 20; i++) {
      nowMs += 2; // 4 ms are a slice
      yield undefined;
    }
    yield 7;
  };
  assert.deepEqual([...((await beginOf(nothing(), clock)) ?? [])], [7]);
  running = false;
  assert.ok(turns >= 9, `${turns} turns`);
  assert.equal(await beginOf([undefined], clock), undefined);
});

test("many pages at once do together what one may do in a turn", async () => {
  let nowMs = 0;
  let turnMs = 0;
  let longestMs = 0;
  let running = true;
  const watch = (): void => {
    longestMs = Math.max(longestMs, nowMs - turnMs);
    turnMs = nowMs;
    if (running) setImmediate(watch);
  };
  setImmediate(watch);
  const clock = { ...systemClock, now: () => nowMs };
  const work = function* (): Generator<undefined> {
    for (let i = 0; i < 50; i++) {
      nowMs += 0.1;
      yield undefined;
    }
  };
  await Promise.all(Array.from({ length: 40 }, () => inSlices(work(), () => true, clock)));
  running = false;
  // All of them have begun in the turn in which they were asked for, each with the share of those that were there.
  assert.ok(longestMs < 60, `${longestMs} ms`);
});

test("no more is made than the client takes; one that takes nothing for 30 s is let go, and the pieces are ended", async (t) => {
  const { response } = await asked(t); // and never read
  const clock = new ManualClock();
  const made = { chunks: 0, ended: false };
  const pieces = function* (): Generator<string> {
    try {
      for (;;) {
        made.chunks += 1;
        yield "x".repeat(1024 * 1024);
      }
    } finally {
      made.ended = true;
    }
  };
  // Its own timers are turned by hand; turns of the loop are real.
  const mixed = {
    ...systemClock,
    after: (delayMs: number, callback: () => void) =>
      delayMs === 0 ? systemClock.after(0, callback) : clock.after(delayMs, callback),
  };
  const sent = sendBody(response, pieces(), mixed);
  while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(made.chunks < 64, `${made.chunks} MiB were made for nobody`);
  assert.equal(made.ended, false);
  clock.advance(30_000);
  await sent;
  assert.equal(made.ended, true);
  assert.equal(response.destroyed, true);
  assert.equal(clock.pending, 0);
});

test("a piece that throws ends the connection, so that half an answer is not taken for a whole one", async (t) => {
  const { answer, response } = await asked(t);
  const pieces = function* (): Generator<string> {
    yield "x".repeat(100_000);
    throw new Error("broken");
  };
  const [sent, read] = await Promise.allSettled([sendBody(response, pieces()), textOf(answer)]);
  assert.deepEqual([sent.status, read.status], ["rejected", "rejected"]);
});

test("who finds no place waits for the next that is free, and neither for ever nor when it has gone", async () => {
  const clock = new ManualClock();
  const places = new Places(1, 10_000, clock);
  const nobody = new EventEmitter();
  assert.equal(await places.take(nobody), true);
  const [second, gone, third] = [places.take(nobody), new EventEmitter(), places.take(nobody)];
  const left = places.take(gone);
  gone.emit("close");
  assert.equal(await left, false);
  clock.advance(9_999);
  places.leave();
  assert.equal(await second, true);
  clock.advance(1);
  assert.equal(await third, false);
  places.leave();
  assert.equal(await places.take(nobody), true);
  assert.deepEqual([clock.pending, nobody.listenerCount("close")], [0, 0]);
});
