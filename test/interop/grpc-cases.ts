import assert from "node:assert/strict";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import {
  type CallOptions,
  type ChannelOptions,
  Client,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { eventually, PATIENCE_MS } from "../harness/eventually.ts";
import { asIs, GRPC_LIMITS, methodPath } from "./grpc-peer.ts";

/** What any gRPC implementation has to be able to do with any other; each is one test. `grpc_peer.py` has the same cases. */
export const GRPC_CASES: Readonly<Record<string, (peer: GrpcCaller) => Promise<void>>> = {
  "an empty message": async (peer) => {
    assert.equal((await peer.unary("Echo", Buffer.alloc(0))).message.length, 0);
  },

  "large messages": async (peer) => {
    for (const size of [65_535, 1_000_003, 4 * 1024 * 1024]) {
      const bytes = randomBytes(size);
      assert.ok((await peer.unary("Echo", bytes)).message.equals(bytes), `${size} bytes come back as they were`);
    }
  },

  "client streaming": async (peer) => {
    const messages = [27_182, 8, 1828, 45_904, 0, 300_000].map((size) => randomBytes(size));
    const hash = createHash("sha256");
    for (const message of messages) hash.update(message);
    const bytes = messages.reduce((sum, { length }) => sum + length, 0);
    assert.deepEqual(await peer.sum(messages), { messages: messages.length, bytes, sha256: hash.digest("hex") });
  },

  "server streaming": async (peer) => {
    const sizes = [31_415, 9, 2653, 58_979, 0, 300_000];
    assert.deepEqual(await peer.emit(sizes), sizes);
  },

  "ping-pong": async (peer) => {
    const call = peer.client.makeBidiStreamRequest(methodPath("Chat"), asIs, asIs);
    for (const size of [27_182, 0, 8, 1828, 45_904]) {
      const sent = randomBytes(size);
      const came = new Promise<Buffer>((resolve, reject) => {
        call.once("data", resolve);
        call.once("error", reject);
      });
      call.write(sent);
      assert.ok((await came).equals(sent));
      call.removeAllListeners("error");
    }
    call.end();
    assert.equal((await statusOf(call)).code, status.OK);
  },

  "bidirectional streaming, without waiting": async (peer) => {
    const call = peer.client.makeBidiStreamRequest(methodPath("Chat"), asIs, asIs);
    const ended = statusOf(call);
    const back: Buffer[] = [];
    call.on("data", (message: Buffer) => back.push(message));
    const sent = Array.from({ length: 200 }, (_, i) => randomBytes(i * 20));
    for (const message of sent) call.write(message);
    call.end();
    assert.equal((await ended).code, status.OK);
    assert.ok(Buffer.concat(back).equals(Buffer.concat(sent)));
    assert.equal(back.length, sent.length);
  },

  "an empty stream": async (peer) => {
    const call = peer.client.makeBidiStreamRequest(methodPath("Chat"), asIs, asIs);
    let messages = 0;
    call.on("data", () => (messages += 1));
    call.end();
    assert.equal((await statusOf(call)).code, status.OK);
    assert.equal(messages, 0);
  },

  "cancelled after it began": async (peer) => {
    const { metadata, id } = hanging();
    const call = peer.client.makeBidiStreamRequest(methodPath("Hang"), asIs, asIs, metadata);
    const ended = statusOf(call);
    call.write(Buffer.from("x"));
    await eventually("the call has begun", async () => (await peer.seen(id)).begun === 1);
    call.cancel();
    assert.equal((await ended).code, status.CANCELLED);
    await eventually("the server sees that it is cancelled", async () => (await peer.seen(id)).cancelled === 1);
  },

  "cancelled after the first response": async (peer) => {
    const { metadata, id } = hanging();
    metadata.set("x-first", "1");
    const call = peer.client.makeBidiStreamRequest(methodPath("Hang"), asIs, asIs, metadata);
    const ended = statusOf(call);
    call.write(Buffer.from("x"));
    assert.equal(String(await new Promise((resolve) => call.once("data", resolve))), "first");
    call.cancel();
    assert.equal((await ended).code, status.CANCELLED);
    await eventually("the server sees that it is cancelled", async () => (await peer.seen(id)).cancelled === 1);
  },

  "a deadline on a server that sleeps": async (peer) => {
    const { metadata, id } = hanging();
    const error = await rejected(peer.unary("Hang", Buffer.from("x"), metadata, { deadline: Date.now() + 300 }));
    assert.equal(error.code, status.DEADLINE_EXCEEDED);
    await eventually("what has begun is cancelled", async () => {
      const { begun, cancelled } = await peer.seen(id);
      return begun === cancelled;
    });
  },

  "status code and message": async (peer) => {
    for (const code of [status.UNKNOWN, status.NOT_FOUND, status.ABORTED, status.UNAVAILABLE, status.UNAUTHENTICATED]) {
      const error = await rejected(peer.fail(code, "test status message"));
      assert.deepEqual([error.code, error.details], [code, "test status message"]);
    }
  },

  "a status message of whitespace, percent signs and Unicode": async (peer) => {
    const message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈, 100% and %41\t\n";
    const error = await rejected(peer.fail(status.INVALID_ARGUMENT, message));
    assert.deepEqual([error.code, error.details], [status.INVALID_ARGUMENT, message]);
  },

  "custom metadata, initial and trailing, text and bytes": async (peer) => {
    const metadata = new Metadata();
    const bytes = [randomBytes(1), randomBytes(60), Buffer.from([0xab, 0xab, 0xab])];
    metadata.set("x-echo-initial", "a value, of text");
    for (const value of bytes) metadata.add("x-echo-trailing-bin", value);
    const { initial, trailing } = await peer.unary("Echo", Buffer.from("m"), metadata);
    assert.deepEqual(initial.get("x-echo-initial"), ["a value, of text"]);
    assert.deepEqual(trailing.get("x-echo-trailing-bin"), bytes);
  },

  "a method and a service that are not there": async (peer) => {
    for (const path of [methodPath("Nothing"), "/heddle.interop.Nobody/Echo"]) {
      const error = await rejected(peer.unaryAt(path, Buffer.alloc(0)));
      assert.equal(error.code, status.UNIMPLEMENTED);
    }
  },

  "1,000 calls, 50 at once": async (peer) => {
    let next = 0;
    const caller = async (): Promise<void> => {
      for (let i = next++; i < 1000; i = next++) {
        const sent = Buffer.from(`call ${i}`);
        assert.ok((await peer.unary("Echo", sent)).message.equals(sent));
      }
    };
    await Promise.all(Array.from({ length: 50 }, caller));
  },
};

/** grpc-js's client of the service. */
export class GrpcCaller {
  readonly client: Client;

  /** With `authority`, the certificate of who signs the server's, over TLS. */
  constructor(port: number, options: ChannelOptions = {}, authority?: string) {
    const secured =
      authority === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(authority));
    this.client = new Client(`127.0.0.1:${port}`, secured, {
      ...GRPC_LIMITS,
      "grpc.use_local_subchannel_pool": 1,
      ...options,
    });
  }

  close(): void {
    this.client.close();
  }

  unary(name: string, message: Buffer, metadata?: Metadata, options?: CallOptions): Promise<UnaryAnswer> {
    return this.unaryAt(methodPath(name), message, metadata, options);
  }

  unaryAt(path: string, message: Buffer, metadata = new Metadata(), options: CallOptions = {}): Promise<UnaryAnswer> {
    return new Promise((resolve, reject) => {
      let initial = new Metadata();
      let answer: Buffer | undefined;
      let trailing: Metadata | undefined;
      /** The answer and its trailers come in separate callbacks. */
      const settle = (): void => {
        if (answer !== undefined && trailing !== undefined) resolve({ message: answer, initial, trailing });
      };
      const bounded = { deadline: Date.now() + CALL_DEADLINE_MS, ...options };
      const call = this.client.makeUnaryRequest(path, asIs, asIs, message, metadata, bounded, (error, value) => {
        if (error !== null) reject(error);
        answer = value ?? Buffer.alloc(0);
        settle();
      });
      call.on("metadata", (came) => (initial = came));
      call.on("status", (came) => {
        trailing = came.metadata;
        settle();
      });
    });
  }

  sum(messages: readonly Buffer[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const call = this.client.makeClientStreamRequest(methodPath("Sum"), asIs, asIs, (error, value) =>
        error === null ? resolve(JSON.parse(String(value))) : reject(error),
      );
      for (const message of messages) call.write(message);
      call.end();
    });
  }

  /** The sizes of the messages that came. */
  async emit(sizes: readonly number[]): Promise<readonly number[]> {
    const request = Buffer.from(JSON.stringify(sizes));
    const call = this.client.makeServerStreamRequest(methodPath("Emit"), asIs, asIs, request);
    const came: number[] = [];
    call.on("data", ({ length }: Buffer) => came.push(length));
    assert.equal((await statusOf(call)).code, status.OK);
    return came;
  }

  fail(code: status, message: string): Promise<UnaryAnswer> {
    return this.unary("Fail", Buffer.from(JSON.stringify({ code, message })));
  }

  async seen(id: string): Promise<{ begun: number; cancelled: number }> {
    const { message } = await this.unary("Seen", Buffer.from(id));
    return JSON.parse(String(message)) as { begun: number; cancelled: number };
  }
}

interface UnaryAnswer {
  readonly message: Buffer;
  readonly initial: Metadata;
  readonly trailing: Metadata;
}

/** A call that is lost fails its test rather than hold it up. */
const CALL_DEADLINE_MS = PATIENCE_MS;

function hanging(): { metadata: Metadata; id: string } {
  const id = randomUUID();
  const metadata = new Metadata();
  metadata.set("x-id", id);
  return { metadata, id };
}

interface Streaming {
  on(event: "status", listener: (status: { code: status }) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** How a streaming call ends; errors are part of that. */
function statusOf(call: Streaming): Promise<{ code: status }> {
  call.on("error", () => {});
  return new Promise((resolve) => call.on("status", resolve));
}

function rejected(call: Promise<unknown>): Promise<ServiceError> {
  return call.then(
    () => assert.fail("the call succeeded"),
    (error: ServiceError) => error,
  );
}
