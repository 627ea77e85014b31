import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import { duplexPair } from "node:stream";
import { type Failure, failure } from "@heddle/base";
import {
  H2ClientConnection,
  H2ServerConnection,
  HeaderMap,
  RequestHead,
  type ResponseEncoder,
  ResponseHead,
} from "@heddle/http";
import {
  ErrorCode,
  FrameType,
  ReceivedRequest,
  ReceivedResponse,
  RecordingTransport,
  receiveReused,
  Setting,
  summary,
} from "@heddle/http/testing";
import {
  block,
  continuation,
  data,
  type Fields,
  type Frame,
  frame,
  goAway,
  headers,
  PREFACE,
  ping,
  priority,
  request,
  rstStream,
  settings,
  splitFrames,
  windowUpdate,
} from "../harness/h2-frames.ts";

/*
 * Good connections of clients with a few faults in their frames. Whatever comes of one, our codec does not throw, tells each
 * request's end once, decides the same however the bytes are cut, and gives to nobody another meaning than node:http2 does.
 */

/** xorshift32 */
export function generator(seed: number): () => number {
  let state = Math.imul(seed, 0x9e37_79b1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0);
  };
}

/** Frames of a good client, behind its preface and SETTINGS. The same for the same random numbers. */
function goodFrames(random: () => number): Buffer[] {
  const frames: Buffer[] = [];
  const streams = 1 + (random() % 5);
  for (let i = 0; i < streams; i++) {
    const id = 1 + i * 2;
    const more: [string, string][] = Array.from({ length: random() % 5 }, (_, j) => [
      `x-${j}`,
      "v".repeat(random() % 40),
    ]);
    if (random() % 4 === 0) more.push(["cookie", "a=b"], ["cookie", "c=d"]);
    if (random() % 6 === 0) more.push(["te", "trailers"]);
    const withBody = random() % 2 === 0;
    const length = random() % 400;
    if (withBody && random() % 2 === 0) more.push(["content-length", String(length)]);
    const fields: Fields = request(`/r${i}`, more, withBody ? "POST" : "GET");
    const whole = block(fields);
    if (random() % 3 === 0) {
      const cut = random() % whole.length;
      frames.push(headers(id, whole.subarray(0, cut), { endStream: !withBody, endHeaders: false }));
      frames.push(continuation(id, whole.subarray(cut)));
    } else frames.push(headers(id, whole, { endStream: !withBody }));
    if (random() % 4 === 0) frames.push(settings([Setting.InitialWindowSize, random() % 100_000]));
    if (random() % 4 === 0) frames.push(ping(Buffer.alloc(8, i)));
    if (random() % 5 === 0) frames.push(priority(id, 0));
    if (!withBody) continue;
    const trailers = random() % 4 === 0;
    const at = length === 0 ? 0 : random() % length;
    if (at > 0) frames.push(data(id, "d".repeat(at)));
    if (random() % 6 === 0) frames.push(windowUpdate(id, 1 + (random() % 1000)));
    frames.push(data(id, "e".repeat(length - at), !trailers));
    if (trailers) frames.push(headers(id, [["x-trailer", "t"]]));
    if (random() % 10 === 0) frames.push(rstStream(id, ErrorCode.Cancel));
  }
  return frames;
}

/** What a client sends whose frames have a few faults. The same for the same number. */
export function mutantClient(number: number): Buffer {
  const random = generator(number);
  let frames = goodFrames(random);
  for (let faults = random() % 4; faults > 0; faults--) frames = withFault(frames, random);
  let bytes = Buffer.concat([PREFACE, settings(), ...frames]);
  if (random() % 12 === 0) bytes = bytes.subarray(0, PREFACE.length + (random() % (bytes.length - PREFACE.length)));
  return bytes;
}

function withFault(frames: readonly Buffer[], random: () => number): Buffer[] {
  const at = random() % frames.length;
  const chosen = frames[at];
  if (chosen === undefined) return [...frames];
  const found = splitFrames(chosen).frames[0] ?? { type: 0, flags: 0, streamId: 0, payload: Buffer.alloc(0) };
  const replaced = (change: Partial<Frame>): Buffer[] => {
    const { type, flags, streamId, payload } = { ...found, ...change };
    return frames.toSpliced(at, 1, frame(type, flags, streamId, payload));
  };
  const { payload } = found;
  const changes: readonly (() => Buffer[])[] = [
    () => frames.toSpliced(at, 1),
    () => frames.toSpliced(at, 0, chosen),
    () => frames.toSpliced(at, 0, frames[random() % frames.length] ?? chosen),
    () => frames.toSpliced(at, 1).toSpliced(random() % frames.length, 0, chosen),
    () => replaced({ type: random() % 11 }),
    () => replaced({ flags: found.flags ^ (1 << (random() % 8)) }),
    () => replaced({ streamId: [0, 1, 2, 3, 5, 7, 0x7fff_ffff][random() % 7] ?? 0 }),
    () => replaced({ payload: payload.subarray(0, random() % (payload.length + 1)) }),
    () => replaced({ payload: Buffer.concat([payload, Buffer.alloc(1 + (random() % 10), random())]) }),
    () => {
      const changed = Buffer.from(payload);
      if (changed.length > 0) changed[random() % changed.length] = random();
      return replaced({ payload: changed });
    },
    () => {
      const changed = Buffer.from(chosen);
      changed[random() % changed.length] = random();
      return frames.toSpliced(at, 1, changed);
    },
    () =>
      frames.toSpliced(
        at,
        0,
        frame(random() % 12, random() & 0xff, 1 + 2 * (random() % 6), Buffer.alloc(random() % 12, random())),
      ),
    () => frames.toSpliced(at, 0, windowUpdate(random() % 6, [0, 1, 0x7fff_ffff][random() % 3] ?? 0)),
    () => frames.toSpliced(at, 0, headers(1 + 2 * (random() % 6), NASTY[random() % NASTY.length] ?? [])),
    () => frames.toSpliced(at, 0, rstStream(1 + 2 * (random() % 6), random() % 16)),
  ];
  return (changes[random() % changes.length] ?? (() => [...frames]))();
}

const NASTY: readonly Fields[] = [
  request("/nasty", [["transfer-encoding", "chunked"]]),
  request("/nasty", [["content-length", "5"]]),
  request("/nasty", [["x", "a\r\nb: c"]]),
  request("/nasty", [["host", "b"]]),
  request("/nasty a"),
  [[":method", "GET"]],
  [["x-trailer", "y"]],
  [[":status", "200"]],
  [...request("/nasty"), [":path", "/other"]],
];

/** What our server makes of the bytes. */
class OurEnd {
  readonly transport = new RecordingTransport();
  readonly requests: ReceivedRequest[] = [];
  readonly errors: Failure[] = [];
  readonly connection: H2ServerConnection;

  constructor() {
    this.connection = new H2ServerConnection(
      this.transport,
      {
        onRequest: (encoder) => {
          const request = new AnsweredRequest(encoder);
          this.requests.push(request);
          return request;
        },
        onProtocolError: (why) => void this.errors.push(why),
        onIdle: () => undefined,
      },
      { streamErrorOnInvalidHttpMessage: true },
    );
  }

  receive(bytes: Buffer, pieceLength: number): this {
    for (let at = 0; at < bytes.length; at += pieceLength)
      receiveReused(this.connection, bytes.subarray(at, at + pieceLength));
    return this;
  }

  /** The client goes; whatever was open has ended then. */
  end(): void {
    this.connection.transportClosed(failure("downstream-reset", "downstream", "gone"));
    for (const request of this.requests)
      assert.ok(request.ended || request.failure !== undefined, "a request that has begun is told its end");
  }

  /** It has found fault with anything. */
  get complained(): boolean {
    const sent = splitFrames(Buffer.from(this.written, "latin1")).frames;
    return (
      this.errors.length > 0 ||
      sent.some(({ type }) => type === FrameType.RstStream || type === FrameType.GoAway) ||
      this.requests.some(({ failure: why }) => why !== undefined)
    );
  }

  #written = "";
  get written(): string {
    this.#written += this.transport.take();
    return this.#written;
  }
}

class AnsweredRequest extends ReceivedRequest {
  override onHead(head: RequestHead, endStream: boolean): void {
    super.onHead(head, endStream);
    if (endStream) answer(this.encoder);
  }

  override onData(bytes: Uint8Array, endStream: boolean): void {
    super.onData(bytes, endStream);
    if (endStream) answer(this.encoder);
  }

  override onTrailers(trailers: HeaderMap): void {
    super.onTrailers(trailers);
    answer(this.encoder);
  }
}

function answer(encoder: ResponseEncoder): void {
  encoder.sendHead(new ResponseHead(200, HeaderMap.from({ server: "a" })), true);
}

/** Fails where what the codec decides depends on how the bytes are cut, or where it does not hold its promises. */
export function checkCuts(number: number): void {
  checkCutsOf(mutantClient(number), `mutant ${number}`);
}

/** The same for what any client sends. */
export function checkCutsOf(bytes: Buffer, name: string): void {
  const whole = new OurEnd().receive(bytes, bytes.length);
  const outcome = (end: OurEnd): unknown => [
    summary(end.requests.map(withoutPart)),
    end.errors,
    end.transport.ended || end.transport.destroyed,
    essence(end.written),
  ];
  const expected = outcome(whole);
  for (const pieceLength of [1, 7, 64]) {
    const cut = new OurEnd().receive(bytes, pieceLength);
    assert.deepEqual(outcome(cut), expected, `${name} in pieces of ${pieceLength}`);
    cut.end();
  }
  whole.end();
}

/** Of a body that turns out wrong more may have been given on where it came in smaller pieces. */
function withoutPart<Message extends { failure: Failure | undefined; body: string }>(message: Message): Message {
  return message.failure === undefined ? message : Object.assign(message, { body: "" });
}

/** What our client makes of what a server sends, while four requests wait. */
class OurClientEnd {
  readonly transport = new RecordingTransport();
  readonly responses: ReceivedResponse[] = [];
  readonly closed: (Failure | undefined)[] = [];
  readonly connection: H2ClientConnection;

  constructor() {
    const events = {
      onCapacityChange: () => undefined,
      onClose: (why: Failure | undefined) => void this.closed.push(why),
    };
    this.connection = new H2ClientConnection(this.transport, events, { streamErrorOnInvalidHttpMessage: true });
    for (const [index, method] of ["GET", "POST", "HEAD", "GET"].entries()) {
      const response = new ReceivedResponse();
      this.responses.push(response);
      const head = new RequestHead(method, "http", "a", `/${index}`, new HeaderMap());
      this.connection.startExchange(response).sendHead(head, method !== "POST");
    }
  }

  receive(bytes: Buffer, pieceLength: number): this {
    for (let at = 0; at < bytes.length; at += pieceLength)
      receiveReused(this.connection, bytes.subarray(at, at + pieceLength));
    return this;
  }

  /** The server goes; whatever was open has ended then. */
  end(): void {
    this.connection.transportClosed(failure("connection-closed", "upstream", "gone"));
    for (const response of this.responses)
      assert.ok(response.ended || response.failure !== undefined, "a request that was sent is told its end");
  }
}

/** Frames of a good server for four requests. */
function goodServerFrames(random: () => number): Buffer[] {
  const frames: Buffer[] = [settings()];
  for (const id of [1, 3, 5, 7]) {
    if (random() % 5 === 0) frames.push(headers(id, [[":status", "103"]], { endStream: false }));
    const withBody = id !== 5 && random() % 3 > 0;
    const length = random() % 300;
    const fields: [string, string][] = [[":status", ["200", "404", "503"][random() % 3] ?? "200"]];
    if (withBody && random() % 2 === 0) fields.push(["content-length", String(length)]);
    for (let i = random() % 4; i > 0; i--) fields.push([`x-${i}`, "v".repeat(random() % 30)]);
    frames.push(headers(id, fields, { endStream: !withBody }));
    if (random() % 6 === 0) frames.push(ping(Buffer.alloc(8, id)));
    if (random() % 6 === 0) frames.push(windowUpdate(random() % 2 === 0 ? 0 : id, 100));
    if (!withBody) continue;
    const trailers = random() % 4 === 0;
    const at = length === 0 ? 0 : random() % length;
    if (at > 0) frames.push(data(id, "d".repeat(at)));
    frames.push(data(id, "e".repeat(length - at), !trailers));
    if (trailers) frames.push(headers(id, [["x-trailer", "t"]]));
  }
  if (random() % 6 === 0) frames.push(goAway(random() % 9, random() % 3));
  return frames;
}

/** Fails where what our client decides depends on how a server's bytes are cut, or where it does not hold its promises. */
export function checkServerCuts(number: number): void {
  const random = generator(number);
  let frames = goodServerFrames(random);
  for (let faults = random() % 4; faults > 0; faults--) frames = withFault(frames, random);
  let bytes = Buffer.concat(frames);
  if (random() % 12 === 0) bytes = bytes.subarray(0, random() % bytes.length);
  const outcome = (end: OurClientEnd): unknown => [
    summary(end.responses.map(withoutPart)),
    end.closed,
    end.transport.ended || end.transport.destroyed,
    essence(end.transport.take().slice(PREFACE.length)),
  ];
  const whole = new OurClientEnd().receive(bytes, Math.max(bytes.length, 1));
  const expected = outcome(whole);
  for (const pieceLength of [1, 7, 64]) {
    const cut = new OurClientEnd().receive(bytes, pieceLength);
    assert.deepEqual(outcome(cut), expected, `server ${number} in pieces of ${pieceLength}`);
    cut.end();
  }
  whole.end();
}

/** What was answered, without what may well depend on when it is sent: acknowledgements and windows. */
function essence(written: string): readonly string[] {
  const { frames, rest } = splitFrames(Buffer.from(written, "latin1"));
  assert.equal(rest.length, 0, "whole frames are sent");
  return frames
    .filter(({ type }) => type !== FrameType.WindowUpdate && type !== FrameType.Settings && type !== FrameType.Ping)
    .map(({ type, flags, streamId, payload }) => `${type} ${flags} ${streamId} ${payload.toString("latin1")}`);
}

interface Seen {
  readonly head: string;
  readonly body: string;
  readonly trailers: string;
}

/** Fails where our codec and node:http2 give the same request another meaning. True if neither found fault. */
export async function checkAgainstNode(number: number): Promise<boolean> {
  const bytes = mutantClient(number);
  const ours = new OurEnd().receive(bytes, bytes.length);
  const complained = ours.complained;
  const oursSeen = new Map<string, Seen>();
  for (const { head, body, trailers, ended } of ours.requests)
    if (ended && head !== undefined) {
      const fields = head.headers.fields;
      oursSeen.set(head.path, {
        head: seenFields([":method", head.method, ":authority", head.authority, ...fields]),
        body,
        trailers: seenTrailers(Object.entries(trailers ?? {}).flat()),
      });
    }
  ours.end();
  const theirs = await whatNodeSees(bytes);
  for (const [path, seen] of oursSeen) {
    const other = theirs.seen.get(path);
    if (other !== undefined) assert.deepEqual(seen, other, `mutant ${number}, ${path}`);
  }
  // node:http2 forgets a request that its client takes back behind its end.
  const takenBack = splitFrames(bytes.subarray(PREFACE.length)).frames.some(({ type }) => type === FrameType.RstStream);
  if (complained || theirs.complained || takenBack) return false;
  assert.deepEqual([...oursSeen.keys()].toSorted(), [...theirs.seen.keys()].toSorted(), `mutant ${number}`);
  return true;
}

/** In one order, crumbs of a cookie joined, without what the two tell in other ways. */
function seenFields(all: readonly string[]): string {
  const crumbs: string[] = [];
  const found = new Map<string, string>();
  for (let i = 0; i < all.length; i += 2) {
    const [name = "", value = ""] = [all[i], all[i + 1]];
    if (name === "cookie") crumbs.push(value);
    else if (name !== ":path" && name !== ":scheme" && name !== "host") {
      const before = found.get(name);
      found.set(name, before === undefined ? value : `${before}|${value}`);
    }
  }
  if (crumbs.length > 0) found.set("cookie", crumbs.join("; "));
  return [...found]
    .map(([name, value]) => `${name}: ${value}`)
    .toSorted()
    .join("\n");
}

/** We drop from trailers what frames, routes or authenticates (RFC 9110 §6.5.1). */
function seenTrailers(all: readonly string[]): string {
  return seenFields(all.filter((_, i) => all[i - (i % 2)]?.startsWith("x-")));
}

async function whatNodeSees(bytes: Buffer): Promise<{ seen: Map<string, Seen>; complained: boolean }> {
  const [near, far] = duplexPair();
  const server = createServer({ maxSessionInvalidFrames: 1000 });
  const seen = new Map<string, Seen>();
  let complained = false;
  const complain = (): void => {
    complained = true;
  };
  server.on("sessionError", complain);
  server.on("session", (session: ServerHttp2Session) => session.on("goaway", complain));
  server.on(
    "stream",
    (stream: ServerHttp2Stream, head: IncomingHttpHeaders, _flags: number, raw: readonly string[]) => {
      let body = "";
      let trailers = "";
      stream.on("error", complain);
      stream.on("aborted", complain);
      stream.on("data", (chunk: Buffer) => {
        body += chunk.toString("latin1");
      });
      stream.on("trailers", (_: IncomingHttpHeaders, __: number, rawTrailers: readonly string[]) => {
        trailers = seenTrailers(rawTrailers);
      });
      stream.on("end", () => {
        seen.set(String(head[":path"]), { head: seenFields(raw), body, trailers });
        if (!stream.destroyed && !stream.headersSent) stream.respond({ ":status": 200 }, { endStream: true });
      });
    },
  );
  server.emit("connection", far);
  const written: Buffer[] = [];
  near.on("data", (chunk: Buffer) => written.push(chunk));
  near.on("error", () => undefined);
  near.write(bytes);
  // It is done when it has answered what stands behind the rest, or has ended: a few turns, since nothing waits for a socket.
  for (let turns = 0; turns < 12; turns++) await new Promise(setImmediate);
  const { frames } = splitFrames(Buffer.concat(written));
  if (frames.some(({ type }) => type === FrameType.RstStream || type === FrameType.GoAway)) complained = true;
  near.destroy();
  far.destroy();
  server.close();
  return { seen, complained };
}
