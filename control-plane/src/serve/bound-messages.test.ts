import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import {
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { type Clock, ManualClock, systemClock } from "@heddle/base";
import { byteMethod } from "@heddle/xds/server";
import { eventually } from "@heddle/xds/testing";
import { boundMessages, MESSAGE_TIMEOUT_MS } from "./bound-messages.ts";
import { listen } from "./listen.ts";
import { MessageBudget, type MessageBudgetLimits } from "./message-budget.ts";

const KIB = 1024;
const LARGE = { connectionCalls: 2, calls: 3 };

test("X9: what has come of messages is bounded over all streams of a connection, and what was kept of it is let go", async (t) => {
  const { budget, connection, refused } = await open(t, { connectionBytes: 256 * KIB, bytes: 1024 * KIB });
  const session = connection();
  const streams = Array.from({ length: 8 }, () => stream(session, "/test/Stream"));
  const statuses = streams.map(statusOf);
  // Each is half of a message that would be allowed.
  for (const one of streams) one.write(part(100 * KIB, 50 * KIB));
  const ended = await Promise.all(statuses.slice(0, 3).map((_, index) => nth(statuses, index)));
  assert.deepEqual(ended, Array(3).fill(status.RESOURCE_EXHAUSTED));
  assert.match(refused[0] ?? "", /Stream: more than 262144 bytes of messages are under way on the connection/);
  assert.equal(budget.bytes <= 256 * KIB, true);
  // The rest is served.
  const other = connection();
  const call = stream(other, "/test/Stream");
  call.write(part(10, 10));
  assert.equal((await once(call, "data"))[0].length, 5 + 2);
  session.destroy();
  await eventually(() => budget.bytes === 0, "nothing to be held for a connection that is gone");
});

test("X9: what has come of messages is bounded over all connections, at the cost of the one that has most", async (t) => {
  const { budget, connection } = await open(t, { connectionBytes: 200 * KIB, bytes: 250 * KIB });
  const [large, small] = [stream(connection(), "/test/Stream"), stream(connection(), "/test/Stream")];
  const ended = statusOf(large);
  large.write(part(190 * KIB, 170 * KIB));
  await eventually(() => budget.bytes > 170 * KIB, "the large one to have come");
  small.write(part(110 * KIB, 90 * KIB));
  assert.equal(await ended, status.RESOURCE_EXHAUSTED);
  small.write(Buffer.alloc(20 * KIB));
  assert.equal((await once(small, "data"))[0].toString("latin1", 5), String(110 * KIB));
  assert.equal(budget.bytes, 0, "the message has been taken");
});

test("X9: a message of a single call is held until it is answered", async (t) => {
  const { budget, connection, answers } = await open(t, { connectionBytes: 200 * KIB, bytes: 200 * KIB });
  const call = stream(connection(), "/test/Unary");
  call.end(part(50 * KIB, 50 * KIB));
  await eventually(() => answers.length === 1, "the call");
  assert.equal(budget.bytes >= 50 * KIB, true);
  const ended = statusOf(call);
  answers[0]!();
  assert.equal(await ended, status.OK);
  await eventually(() => budget.bytes === 0, "nothing to be held");
});

test("X9: a compressed message is counted as what it may become", async (t) => {
  const { connection, refused } = await open(t, { connectionBytes: 90 * KIB, bytes: 1024 * KIB });
  const call = stream(connection(), "/test/Stream", { "grpc-encoding": "gzip" });
  const ended = statusOf(call);
  const zipped = gzipSync(Buffer.alloc(100 * KIB));
  assert.equal(zipped.length < KIB, true);
  call.write(part(zipped.length, zipped, 1));
  assert.equal(await ended, status.RESOURCE_EXHAUSTED);
  assert.equal(refused.length, 1);
  const short = stream(connection(), "/test/Stream", { "grpc-encoding": "gzip" });
  const little = gzipSync(Buffer.alloc(30));
  short.write(part(little.length, little, 1));
  assert.equal((await once(short, "data"))[0].toString("latin1", 5), "30");
});

test("X9: a message that has begun has to come whole in a minute", async (t) => {
  const clock = new ManualClock();
  const { budget, connection } = await open(t, { connectionBytes: KIB * KIB, bytes: KIB * KIB }, clock);
  const call = stream(connection(), "/test/Stream");
  const ended = statusOf(call);
  call.write(part(KIB, 10));
  await eventually(() => budget.bytes > 0, "its first bytes");
  clock.advance(MESSAGE_TIMEOUT_MS - 1);
  assert.equal(budget.bytes > 0 && !call.closed, true);
  clock.advance(1);
  assert.equal(await ended, status.DEADLINE_EXCEEDED);
  clock.advance(1);
  await eventually(() => budget.bytes === 0, "nothing to be held");
});

test("X9: of calls with large answers few are open at a time, of one connection and in all", async (t) => {
  const { connection, refused } = await open(t, { connectionBytes: KIB * KIB, bytes: KIB * KIB });
  /** What the head of the answer says; nothing more of it is read. */
  const ask = async (session: ClientHttp2Session): Promise<number> => {
    const call = stream(session, "/test/Large");
    call.end(part(1, 1));
    const [head] = (await once(call, "response")) as [{ readonly [name: string]: unknown }];
    return Number(head["grpc-status"] ?? status.OK);
  };
  const [first, second, third] = [connection(), connection(), connection()];
  const said = [];
  for (const session of [first, first, first, second, third]) said.push(await ask(session));
  const { OK, RESOURCE_EXHAUSTED } = status;
  assert.deepEqual(said, [OK, OK, RESOURCE_EXHAUSTED, OK, RESOURCE_EXHAUSTED]);
  assert.match(refused[0] ?? "", /Large: 2 such calls of the connection, or 3 in all, are open/);
  first.destroy();
  while ((await ask(third)) !== OK); // each attempt waits for the server
});

test("each service says how long a message may be, before the first byte of it is kept", async (t) => {
  const { budget, connection, refused } = await open(t, { connectionBytes: KIB * KIB, bytes: KIB * KIB });
  const call = stream(connection(), "/test/Stream", { authorization: "nobody" });
  const ended = statusOf(call);
  call.write(part(11 * KIB, 10));
  assert.equal(await ended, status.RESOURCE_EXHAUSTED);
  assert.deepEqual(refused, [`/test/Stream: found a message of ${11 * KIB} bytes, allowed are ${10 * KIB}`]);
  assert.equal(budget.bytes, 0);
});

/** A server that answers each message with its length, and a single call when it is told to. */
async function open(t: TestContext, limits: MessageBudgetLimits, clock: Clock = systemClock) {
  const budget = new MessageBudget(limits);
  const refused: string[] = [];
  const answers: (() => void)[] = [];
  const bound = boundMessages({
    budget,
    clock,
    messageBytes: (_path, metadata) => (metadata.get("authorization").length === 0 ? 200 * KIB : 10 * KIB),
    callLimit: (path) => (path === "/test/Large" ? LARGE : undefined),
    onRefused: (path, why) => refused.push(`${path}: ${why}`),
  });
  const grpc = new Server({ "grpc.max_receive_message_length": 200 * KIB, interceptors: [bound] });
  const streams = {
    stream: byteMethod("/test/Stream", true, true),
    unary: byteMethod("/test/Unary", false, false),
    large: byteMethod("/test/Large", false, false),
  };
  grpc.addService(streams, {
    stream: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.on("data", (bytes: Buffer) => call.write(Buffer.from(String(bytes.length))));
      call.on("error", () => undefined); // it is ended
    },
    unary: (_call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
      void answers.push(() => reply(null, Buffer.alloc(0))),
    large: (_call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
      reply(null, Buffer.alloc(KIB * KIB)),
  });
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
    injector.injectConnection(socket);
  });
  const port = await listen(server, { host: "127.0.0.1", port: 0 }, "test", "");
  const sessions: ClientHttp2Session[] = [];
  t.after(() => {
    for (const session of sessions) session.destroy();
    for (const socket of sockets) socket.destroy();
    server.close();
    grpc.forceShutdown();
  });
  const connection = (): ClientHttp2Session => {
    const session = connect(`http://127.0.0.1:${port}`);
    session.on("error", () => undefined); // it is cut
    sessions.push(session);
    return session;
  };
  return { budget, refused, answers, connection };
}

function stream(session: ClientHttp2Session, path: string, headers = {}): ClientHttp2Stream {
  const call = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  call.on("error", () => undefined); // it is reset
  return call;
}

/** The status that gRPC says, in a head or in trailers. */
function statusOf(call: ClientHttp2Stream): Promise<number> {
  return new Promise((resolve) => {
    const look = (headers: { readonly [name: string]: unknown }): void => {
      if (headers["grpc-status"] !== undefined) resolve(Number(headers["grpc-status"]));
    };
    call.on("response", look);
    call.on("trailers", look);
    call.resume();
  });
}

/** Of several, the one that is settled as the n-th. */
async function nth(all: readonly Promise<number>[], index: number): Promise<number> {
  const settled: number[] = [];
  await new Promise<void>((resolve) => {
    for (const one of all)
      void one.then((value) => {
        settled.push(value);
        if (settled.length > index) resolve();
      });
  });
  return settled[index] ?? -1;
}

/** The beginning of a message of that length. */
function part(length: number, bytes: number | Buffer, flag = 0): Buffer {
  const head = Buffer.from([flag, 0, 0, 0, 0]);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, typeof bytes === "number" ? Buffer.alloc(bytes) : bytes]);
}
