import assert from "node:assert/strict";
import {
  connect,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";
import { duplexPair } from "node:stream";
import { failure } from "@heddle/base";
import {
  H2ClientConnection,
  H2ServerConnection,
  HeaderMap,
  type RequestEncoder,
  RequestHead,
  type ResponseEncoder,
  ResponseHead,
} from "@heddle/http";
import { ReceivedRequest, ReceivedResponse } from "@heddle/http/testing";
import fc from "fast-check";
import { DuplexTransport } from "./duplex-transport.ts";

/*
 * Random exchanges between our codec and node:http2, each as client and as server: what one side sends is what the other is
 * given. Bodies flow under windows as small as they may be, and bytes are cut anywhere. A response begins at once and ends behind
 * its request, since what comes of a request behind its answer is nobody's any more.
 */

export interface PlannedMessage {
  /** Names and values in turn. */
  readonly fields: readonly string[];
  /** Lengths of its chunks; what they hold follows from the exchange's number. */
  readonly chunks: readonly number[];
  readonly trailers: readonly string[] | undefined;
}

export interface PlannedExchange {
  readonly method: string;
  readonly path: string;
  readonly request: PlannedMessage;
  readonly status: number;
  readonly interim: number;
  readonly response: PlannedMessage;
  /** Who gives up once the response's head has been sent or has come. */
  readonly abort: "nobody" | "client" | "server";
}

export interface Plan {
  readonly exchanges: readonly PlannedExchange[];
  readonly ours: { readonly streamWindow: number; readonly connectionWindow: number; readonly tableSize: number };
  readonly theirs: { readonly window: number; readonly frame: number; readonly tableSize: number };
  readonly cuts: readonly number[];
  /** Every so many reads the reader of ours stops for a while. 0: never. */
  readonly pauseEvery: number;
}

const letters = (characters: string) => fc.constantFrom(...characters.split(""));
const name = fc.string({ unit: letters("abcxyz019-_"), minLength: 1, maxLength: 10 }).map((text) => `x-${text}`);
const value = fc
  .string({ unit: letters('aZ09 \t,;="%:'), maxLength: 60 })
  .map((text) => text.replace(/^[ \t]+|[ \t]+$/g, ""));
// node:http2 joins or refuses repeated names by rules of its own.
const fields = fc
  .uniqueArray(fc.tuple(name, value), { maxLength: 12, selector: ([found]) => found })
  .map((all) => all.flat());
const chunks = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 1, max: 300 }) },
    { weight: 2, arbitrary: fc.integer({ min: 16_000, max: 17_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 150_000 }) },
  ),
  { maxLength: 5 },
);
const trailers = fc.option(
  fc
    .uniqueArray(fc.tuple(name, value), { minLength: 1, maxLength: 3, selector: ([found]) => found })
    .map((all) => all.flat()),
  { nil: undefined, freq: 3 },
);
const message = fc.record({ fields, chunks, trailers });
const exchange: fc.Arbitrary<PlannedExchange> = fc
  .record({
    method: fc.constantFrom("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"),
    path: fc.string({ unit: letters("az09/?&=%.-"), maxLength: 60 }).map((text) => `/${text}`),
    request: message,
    status: fc.constantFrom(200, 200, 200, 201, 204, 304, 404, 500, 599),
    interim: fc.integer({ min: 0, max: 2 }),
    response: message,
    abort: fc.constantFrom("nobody", "nobody", "nobody", "nobody", "client", "server"),
  })
  // A response without body has ended with its head, and node:http2 does not close its stream when it is told NO_ERROR then.
  .map((planned) => (responseHasBody(planned) ? planned : { ...planned, abort: "nobody" }));

export const plan: fc.Arbitrary<Plan> = fc
  .record({
    exchanges: fc.array(exchange, { minLength: 1, maxLength: 10 }),
    ours: fc.record({
      streamWindow: fc.constantFrom(65_535, 65_536, 100_000),
      connectionWindow: fc.constantFrom(65_535, 1 << 20),
      tableSize: fc.constantFrom(0, 100, 4096, 16_384),
    }),
    theirs: fc.record({
      window: fc.constantFrom(1, 100, 16_384, 65_535, 1 << 20),
      frame: fc.constantFrom(16_384, 20_000, 1 << 20),
      tableSize: fc.constantFrom(0, 100, 4096, 16_384),
    }),
    cuts: fc
      .array(fc.constantFrom(1, 2, 5, 9, 10, 30, 300, 5000), { maxLength: 12 })
      .map((lengths) => [...lengths, 20_000]),
    pauseEvery: fc.constantFrom(0, 0, 1, 3),
  })
  .map((wanted) => (wanted.theirs.window < 1000 ? { ...wanted, exchanges: wanted.exchanges.map(small) } : wanted));

/** A window of one byte makes a large body take long. */
function small(planned: PlannedExchange): PlannedExchange {
  const { request, response } = planned;
  const cut = ({ chunks: lengths }: PlannedMessage): number[] => lengths.map((length) => 1 + (length % 300));
  return {
    ...planned,
    request: { ...request, chunks: cut(request) },
    response: { ...response, chunks: cut(response) },
  };
}

/** Bytes that tell one chunk from another. */
function chunk(exchange: number, index: number, length: number): Buffer {
  const bytes = Buffer.alloc(length, (exchange * 37 + index * 11 + length) & 0xff);
  if (length >= 4) bytes.writeUInt16BE((exchange << 8) | index, length - 2);
  return bytes;
}

function bodyOf(exchange: number, { chunks: lengths }: PlannedMessage): string {
  return lengths.map((length, i) => chunk(exchange, i, length).toString("latin1")).join("");
}

/** Whether the response of that request may have a body (RFC 9110 §6.4.1). */
function responseHasBody({ method, status }: PlannedExchange): boolean {
  return method !== "HEAD" && status !== 204 && status !== 304;
}

/** node:http2 answers HEAD and the like with END_STREAM at once, and sends no trailers then. */
function responseHasTrailers(planned: PlannedExchange): boolean {
  return planned.response.trailers !== undefined && responseHasBody(planned);
}

function requestHasBody({ method }: PlannedExchange): boolean {
  return method === "POST" || method === "PUT" || method === "PATCH";
}

/** What an end has been given of a message. */
interface Delivered {
  head: Readonly<Record<string, string>> | undefined;
  interim: number;
  body: string;
  trailers: Readonly<Record<string, string>> | undefined;
  ended: boolean;
  failed: boolean;
}

const GIVEN_UP = failure("downstream-reset", "local", "given up by the plan");
/** Nothing here takes as long; the event loop may be busy with much else. */
const PATIENCE_MS = 20_000;

/** Our client against a server of node:http2. Fails where anything arrives otherwise than it was sent. */
export async function ourClientAgainstNode(wanted: Plan): Promise<void> {
  const [near, far] = duplexPair();
  const requests = new Map<number, Delivered>();
  const server = createServer({ settings: nodeSettings(wanted), maxSendHeaderBlockLength: 1 << 20 });
  const done = new Countdown(wanted.exchanges.length * 2);
  server.on("sessionError", () => undefined);
  server.on("stream", (stream, head) => {
    const index = Number(head["x-exchange"]);
    const planned = wanted.exchanges[index];
    assert.ok(planned !== undefined, "an exchange that was not planned");
    const delivered = newDelivered();
    delivered.head = plainFields(head);
    requests.set(index, delivered);
    listen(stream, delivered, done.once());
    answerAsNode(stream, planned, index);
  });
  server.emit("connection", far);

  const transport = new DuplexTransport(near);
  const client = new H2ClientConnection(
    transport,
    { onCapacityChange: () => begin(), onClose: () => transport.destroy() },
    ourOptions(wanted),
  );
  const responses: ReceivedResponse[] = [];
  const begin = (): void => {
    while (responses.length < wanted.exchanges.length && client.capacity > 0) {
      const index = responses.length;
      const planned = wanted.exchanges[index]!; // below its length
      const received = new PausingResponse(wanted.pauseEvery, done.once());
      responses.push(received);
      const encoder = client.startExchange(received);
      received.encoder = encoder;
      received.abort = planned.abort === "client";
      const head = new RequestHead(planned.method, "http", "a", planned.path, headersOf(index, planned.request));
      sendOurs(
        encoder,
        head,
        requestHasBody(planned) ? planned.request : { ...planned.request, chunks: [], trailers: undefined },
        index,
      );
    }
  };
  transport.attach(client, wanted.cuts);
  begin();
  try {
    await done.reached("our client");
    for (const [index, planned] of wanted.exchanges.entries()) {
      const received = responses[index];
      const request = requests.get(index);
      assert.ok(received !== undefined);
      if (planned.abort === "nobody") {
        assert.ok(request !== undefined, `request ${index} arrives`);
        compareRequest(index, planned, request);
      }
      compareResponse(index, planned, fromOurs(received));
    }
  } finally {
    near.destroy();
    far.destroy();
    server.close();
  }
}

/** A client of node:http2 against our server. */
export async function nodeAgainstOurServer(wanted: Plan): Promise<void> {
  const [near, far] = duplexPair();
  const transport = new DuplexTransport(near);
  const requests: PausingRequest[] = [];
  const done = new Countdown(wanted.exchanges.length * 2);
  const server = new H2ServerConnection(
    transport,
    {
      onRequest: (encoder) => {
        const request = new PausingRequest(encoder, wanted, done.once());
        requests.push(request);
        return request;
      },
      onProtocolError: ({ detail }) => assert.fail(`node:http2 is refused: ${detail}`),
      onIdle: () => undefined,
    },
    ourOptions(wanted),
  );
  transport.attach(server, wanted.cuts);
  const session = connect("http://a", { createConnection: () => far, settings: nodeSettings(wanted) });
  session.on("error", () => undefined);
  const responses: Delivered[] = [];
  try {
    for (const [index, planned] of wanted.exchanges.entries()) {
      const head: OutgoingHttpHeaders = {
        ":method": planned.method,
        ":path": planned.path,
        ":authority": "a",
        "x-exchange": String(index),
      };
      for (let i = 0; i < planned.request.fields.length; i += 2)
        head[planned.request.fields[i]!] = planned.request.fields[i + 1]; // in pairs
      const withBody = requestHasBody(planned);
      const { chunks: lengths, trailers: last } = planned.request;
      const endStream = !withBody || (lengths.length === 0 && last === undefined);
      const stream = session.request(head, { endStream, waitForTrailers: withBody && last !== undefined });
      const delivered = newDelivered();
      responses.push(delivered);
      stream.on("headers", () => delivered.interim++);
      stream.on("response", (fieldsOfResponse) => {
        delivered.head = plainFields(fieldsOfResponse);
        if (planned.abort === "client") stream.close(8);
      });
      listen(stream, delivered, done.once());
      if (endStream) continue;
      if (last !== undefined) stream.on("wantTrailers", () => stream.sendTrailers(record(last)));
      for (const [i, length] of lengths.entries()) stream.write(chunk(index, i, length));
      stream.end();
    }
    await done.reached("our server");
    for (const request of requests) {
      const index = Number(request.head?.headers.get("x-exchange"));
      const planned = wanted.exchanges[index];
      assert.ok(planned !== undefined, "an exchange that was not planned");
      if (planned.abort === "nobody") compareRequest(index, planned, fromOurs(request));
    }
    for (const [index, planned] of wanted.exchanges.entries()) {
      const delivered = responses[index];
      assert.ok(delivered !== undefined);
      compareResponse(index, planned, delivered);
    }
  } finally {
    session.destroy();
    near.destroy();
    far.destroy();
  }
}

function compareRequest(index: number, planned: PlannedExchange, got: Delivered): void {
  const where = `request ${index}`;
  assert.deepEqual(
    got.head,
    {
      ...record(planned.request.fields),
      ":method": planned.method,
      ":path": planned.path,
      ":authority": "a",
      "x-exchange": String(index),
    },
    where,
  );
  const whole = requestHasBody(planned);
  assert.ok(got.ended, `${where} ends`);
  assert.ok(got.body === (whole ? bodyOf(index, planned.request) : ""), `the body of ${where}`);
  assert.deepEqual(
    got.trailers,
    whole && planned.request.trailers !== undefined ? record(planned.request.trailers) : undefined,
    where,
  );
}

function compareResponse(index: number, planned: PlannedExchange, got: Delivered): void {
  const where = `response ${index}`;
  const body = responseHasBody(planned) ? bodyOf(index, planned.response) : "";
  if (planned.abort !== "nobody") {
    assert.ok(body.startsWith(got.body), `${where} is a part of what was sent`);
    return;
  }
  assert.ok(!got.failed, `${where} does not fail`);
  const { date: _, ...head } = got.head ?? {};
  assert.deepEqual(head, { ...record(planned.response.fields), ":status": String(planned.status) }, where);
  assert.equal(got.interim, planned.interim, `interim answers before ${where}`);
  assert.ok(got.body === body, `the body of ${where}: ${got.body.length} of ${body.length} bytes`);
  assert.ok(got.ended, `${where} ends`);
  const last = planned.response.trailers;
  assert.deepEqual(got.trailers, responseHasTrailers(planned) && last !== undefined ? record(last) : undefined, where);
}

function newDelivered(): Delivered {
  return { head: undefined, interim: 0, body: "", trailers: undefined, ended: false, failed: false };
}

function fromOurs(received: ReceivedRequest | ReceivedResponse): Delivered {
  const { head, body, trailers: last, ended, informational, failure: failed } = received;
  const found: Record<string, string> = {};
  if (head !== undefined) {
    const all = head.headers.fields;
    for (let i = 0; i < all.length; i += 2) found[all[i]!] = all[i + 1]!; // in pairs
    if (head instanceof RequestHead) {
      found[":method"] = head.method;
      found[":path"] = head.path;
      found[":authority"] = head.authority;
    } else found[":status"] = String(head.status);
  }
  return {
    head: head === undefined ? undefined : found,
    interim: informational.length,
    body,
    trailers: last,
    ended,
    failed: failed !== undefined,
  };
}

/** As node:http2 gives them, without what is not a field of ours. */
function plainFields(head: IncomingHttpHeaders): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [key, content] of Object.entries(head)) if (key !== ":scheme") found[key] = String(content);
  return found;
}

function record(all: readonly string[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (let i = 0; i < all.length; i += 2) found[all[i]!] = all[i + 1]!; // in pairs
  return found;
}

function headersOf(index: number, { fields: all }: PlannedMessage): HeaderMap {
  return new HeaderMap([...all, "x-exchange", String(index)]);
}

function nodeSettings({ theirs }: Plan): Settings {
  return {
    initialWindowSize: theirs.window,
    maxFrameSize: theirs.frame,
    headerTableSize: theirs.tableSize,
    enablePush: false,
  };
}

function ourOptions({ ours }: Plan) {
  return {
    hpackTableSize: ours.tableSize,
    initialStreamWindowSize: ours.streamWindow,
    initialConnectionWindowSize: ours.connectionWindow,
  };
}

/** Node's end of a stream. */
interface NodeStream {
  on(event: "data", listener: (bytes: Buffer) => void): unknown;
  on(event: "trailers", listener: (head: IncomingHttpHeaders) => void): unknown;
  on(event: "end" | "close" | "error" | "aborted", listener: () => void): unknown;
  readonly rstCode?: number;
}

function listen(stream: NodeStream, delivered: Delivered, onClose: () => void): void {
  stream.on("data", (bytes) => {
    delivered.body += bytes.toString("latin1");
  });
  stream.on("trailers", (head) => {
    delivered.trailers = plainFields(head);
  });
  stream.on("end", () => {
    delivered.ended = true;
  });
  stream.on("aborted", () => {
    delivered.failed = true;
  });
  stream.on("error", () => {
    delivered.failed = true;
  });
  stream.on("close", onClose);
}

function answerAsNode(stream: ServerHttp2Stream, planned: PlannedExchange, index: number): void {
  if (stream.destroyed) return;
  for (let i = 0; i < planned.interim; i++) stream.additionalHeaders({ ":status": 103 });
  const withBody = responseHasBody(planned);
  const { chunks: lengths, trailers: last } = planned.response;
  const endStream = !withBody || (lengths.length === 0 && last === undefined);
  const head = { ":status": planned.status, ...record(planned.response.fields) };
  if (planned.abort === "server") {
    stream.respond(head);
    stream.close(2);
    return;
  }
  if (endStream) {
    afterEnd(stream, () => stream.respond(head, { endStream }));
    return;
  }
  stream.respond(head, { waitForTrailers: last !== undefined });
  if (last !== undefined) stream.on("wantTrailers", () => stream.sendTrailers(record(last)));
  for (const [i, length] of lengths.entries()) stream.write(chunk(index, i, length));
  afterEnd(stream, () => stream.end());
}

function afterEnd(stream: ServerHttp2Stream, then: () => void): void {
  if (stream.readableEnded) then();
  else stream.on("end", then);
}

function sendOurs<Head>(
  encoder: { sendHead(head: Head, endStream: boolean): void } & Pick<
    RequestEncoder | ResponseEncoder,
    "sendData" | "sendTrailers"
  >,
  head: Head,
  message: PlannedMessage,
  index: number,
): void {
  encoder.sendHead(head, message.chunks.length === 0 && message.trailers === undefined);
  sendBody(encoder, message, index);
}

function sendBody(
  encoder: Pick<RequestEncoder | ResponseEncoder, "sendData" | "sendTrailers">,
  { chunks: lengths, trailers: last }: PlannedMessage,
  index: number,
): void {
  for (const [i, length] of lengths.entries())
    encoder.sendData(chunk(index, i, length), last === undefined && i === lengths.length - 1);
  if (last !== undefined) encoder.sendTrailers(new HeaderMap([...last]));
}

class PausingResponse extends ReceivedResponse {
  encoder: RequestEncoder | undefined = undefined;
  abort = false;
  readonly #pauseEvery: number;
  readonly #onEnd: () => void;
  #chunks = 0;

  constructor(pauseEvery: number, onEnd: () => void) {
    super();
    this.#pauseEvery = pauseEvery;
    this.#onEnd = onEnd;
  }

  override onHead(head: ResponseHead, endStream: boolean): void {
    super.onHead(head, endStream);
    if (this.abort && !endStream) {
      this.encoder?.reset(GIVEN_UP);
      this.#onEnd();
    } else if (endStream) this.#onEnd();
  }

  override onData(bytes: Uint8Array, endStream: boolean): void {
    super.onData(bytes, endStream);
    if (endStream) this.#onEnd();
    else if (this.#pauseEvery > 0 && this.#chunks++ % this.#pauseEvery === 0) {
      this.encoder?.pauseResponse();
      setImmediate(() => {
        if (!this.ended && this.failure === undefined) this.encoder?.resumeResponse();
      });
    }
  }

  override onTrailers(last: HeaderMap): void {
    super.onTrailers(last);
    this.#onEnd();
  }

  override onReset(why: Parameters<ReceivedResponse["onReset"]>[0]): void {
    super.onReset(why);
    this.#onEnd();
  }
}

class PausingRequest extends ReceivedRequest {
  readonly #plan: Plan;
  readonly #onEnd: () => void;
  #chunks = 0;
  #index = 0;
  #planned: PlannedExchange | undefined = undefined;
  /** The head of the answer has been sent. */
  #begun = false;

  constructor(encoder: ResponseEncoder, wanted: Plan, onEnd: () => void) {
    super(encoder);
    this.#plan = wanted;
    this.#onEnd = onEnd;
  }

  override onHead(head: RequestHead, endStream: boolean): void {
    super.onHead(head, endStream);
    const index = Number(head.headers.get("x-exchange"));
    const planned = this.#plan.exchanges[index];
    assert.ok(planned !== undefined, "an exchange that was not planned");
    for (let i = 0; i < planned.interim; i++) this.encoder.sendInformational(new ResponseHead(103, new HeaderMap()));
    const answer = new ResponseHead(planned.status, new HeaderMap([...planned.response.fields]));
    if (planned.abort === "server") {
      this.encoder.sendHead(answer, false);
      this.encoder.reset(GIVEN_UP);
      this.#onEnd();
      return;
    }
    this.#index = index;
    this.#planned = planned;
    if (responseHasBody(planned) && planned.response.chunks.length > 0) {
      this.encoder.sendHead(answer, false);
      this.#begun = true;
    }
    if (endStream) this.#finish();
  }

  #finish(): void {
    const { response } = this.#planned ?? {};
    if (this.#planned === undefined || response === undefined) return;
    const withBody = responseHasBody(this.#planned);
    const head = new ResponseHead(this.#planned.status, new HeaderMap([...response.fields]));
    const message = withBody ? response : { ...response, chunks: [], trailers: undefined };
    if (this.#begun) sendBody(this.encoder, message, this.#index);
    else sendOurs(this.encoder, head, message, this.#index);
    this.#onEnd();
  }

  override onData(bytes: Uint8Array, endStream: boolean): void {
    super.onData(bytes, endStream);
    const { pauseEvery } = this.#plan;
    if (endStream) this.#finish();
    else if (pauseEvery > 0 && this.#chunks++ % pauseEvery === 0) {
      this.encoder.pauseRequest();
      setImmediate(() => {
        if (!this.ended && this.failure === undefined) this.encoder.resumeRequest();
      });
    }
  }

  override onTrailers(last: HeaderMap): void {
    super.onTrailers(last);
    this.#finish();
  }

  override onReset(why: Parameters<ReceivedRequest["onReset"]>[0]): void {
    super.onReset(why);
    this.#onEnd();
  }
}

/** Resolves when all have ended. */
class Countdown {
  #left: number;
  #resolve: (() => void) | undefined;

  constructor(count: number) {
    this.#left = count;
  }

  /** For one of them to tell its end, however often. */
  once(): () => void {
    let told = false;
    return () => {
      if (told) return;
      told = true;
      if (--this.#left === 0) this.#resolve?.();
    };
  }

  async reached(what: string): Promise<void> {
    if (this.#left <= 0) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#resolve = resolve;
    const timer = setTimeout(() => reject(new Error(`${what} hangs: ${this.#left} ends are missing`)), PATIENCE_MS);
    await promise;
    clearTimeout(timer);
  }
}
