import {
  Agent,
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { bytesOf, sha256 } from "./echo-server.ts";
import type { Owner } from "./owner.ts";
import { generator, pieces, randomBytes } from "./random-bytes.ts";

const SEED = 0x6865_6464;
const CLIENTS = 24;

/** What one end has seen of a message; equal to what it sees without a proxy, or the proxy has changed something. */
export interface Seen {
  /** "POST /7" or "200". */
  readonly line: string;
  /** By name; repeated fields in their order. Without framing and without what every sidecar adds. */
  readonly fields: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
  /** "103 link: …" */
  readonly interim: readonly string[];
}

/** An exchange by both ends. `request` is undefined where the server has answered without reading. */
export interface SeenExchange {
  request: Seen | undefined;
  response: Seen | undefined;
}

/**
 * HTTP/1 exchanges of every shape: methods, bodies with a length and in chunks, trailers both ways, HEAD, 204, 304, interim
 * answers, 100 (Continue), cookies, repeated and odd fields, answers before the request has come. Which one it is follows
 * from its index alone, so that runs can be compared.
 */
export class RandomExchanges {
  readonly port: number;
  readonly #seen: SeenExchange[] = [];

  private constructor(port: number) {
    this.port = port;
  }

  /** Starts the server that answers them. */
  static async listen(owner: Owner): Promise<RandomExchanges> {
    const server = createServer();
    const sockets = new Set<Socket>();
    server.on("connection", (socket) => sockets.add(socket));
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    owner.after(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
    const exchanges = new RandomExchanges((server.address() as AddressInfo).port);
    server.on("request", (req, res) => void exchanges.#answer(req, res));
    server.on("checkContinue", (req, res) => {
      res.writeContinue();
      void exchanges.#answer(req, res);
    });
    return exchanges;
  }

  /** Asks for the first so many, many at once, of whoever listens there. */
  async run(port: number, count: number, owner: Owner): Promise<readonly SeenExchange[]> {
    this.#seen.length = 0;
    for (let i = 0; i < count; i += 1) this.#seen.push({ request: undefined, response: undefined });
    const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
    owner.after(() => agent.destroy());
    let next = 0;
    const client = async (): Promise<void> => {
      for (let index = next++; index < count; index = next++) {
        this.#seen[index]!.response = await ask(port, agent, index);
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, client));
    agent.destroy();
    return this.#seen.splice(0);
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const index = Number(req.url?.slice(1));
    const { answer } = exchangeOf(index);
    req.on("error", () => {}); // an answer that came early may end the request
    if (answer.early) respond(res, answer);
    const body = await bytesOf(req).catch(() => undefined);
    if (answer.early) return;
    const seen = this.#seen[index];
    if (body !== undefined && seen !== undefined) {
      seen.request = {
        line: `${req.method} ${req.url}`,
        // Of a request without content that was in chunks, only the end of which tells that there is none.
        fields: fieldsOf(req.rawHeaders).filter((line) => line !== "content-length: 0"),
        body: `${body.length} bytes, ${sha256(body)}`,
        trailers: fieldsOf(req.rawTrailers),
        interim: [],
      };
    }
    respond(res, answer);
  }
}

function respond(res: ServerResponse, answer: RandomAnswer): void {
  for (const link of answer.hints) res.writeEarlyHints({ link });
  const { body, chunks, trailers } = answer;
  res.sendDate = false;
  if (answer.bodyless) {
    res.writeHead(answer.status, answer.fields);
    res.end();
    return;
  }
  res.writeHead(answer.status, { ...answer.fields, ...(chunks === 0 && { "content-length": body.length }) });
  for (const piece of pieces(body, chunks)) res.write(piece);
  if (chunks > 0) res.addTrailers(trailers);
  res.end();
}

function ask(port: number, agent: Agent, index: number): Promise<Seen> {
  const { method, fields, body, chunks, trailers, expects } = exchangeOf(index);
  return new Promise((resolve, reject) => {
    let before: number | undefined;
    const fail = (error: Error): void => {
      const behind = before === undefined ? "" : `, behind exchange ${before} on its connection`;
      reject(new Error(`exchange ${index}${behind}: ${error.message}`, { cause: error }));
    };
    const headers: OutgoingHttpHeaders = {
      host: "random.test",
      ...fields,
      ...(expects && { expect: "100-continue" }),
      ...(body === undefined
        ? {}
        : chunks === 0
          ? { "content-length": body.length }
          : { "transfer-encoding": "chunked" }),
    };
    const req = request({ host: "127.0.0.1", port, method, path: `/${index}`, agent, headers });
    const interim: string[] = [];
    req.once("socket", (socket) => {
      before = lastOn.get(socket);
      lastOn.set(socket, index);
    });
    req.on("information", ({ statusCode, rawHeaders }) => {
      if (statusCode !== 100) interim.push(`${statusCode} ${fieldsOf(rawHeaders).join(", ")}`);
    });
    req.once("error", fail);
    req.once("response", (res) => {
      bytesOf(res).then((bytes) => {
        resolve({
          line: String(res.statusCode),
          fields: fieldsOf(res.rawHeaders),
          body: `${bytes.length} bytes, ${sha256(bytes)}`,
          trailers: fieldsOf(res.rawTrailers),
          interim,
        });
      }, fail);
    });
    const finish = (): void => {
      for (const piece of pieces(body ?? NOTHING, chunks)) req.write(piece);
      if (chunks > 0) req.addTrailers(trailers);
      req.end();
    };
    if (!expects) {
      finish();
      return;
    }
    // The answer may come instead: it still has to have a body behind it, or the connection could not be kept.
    req.once("continue", finish);
    req.flushHeaders();
  });
}

const NOTHING = Buffer.alloc(0);
/** Which exchange was the last on a client's connection. */
const lastOn = new WeakMap<Socket, number>();

interface RandomExchange {
  readonly method: string;
  readonly fields: Readonly<Record<string, string | string[]>>;
  /** Undefined: no body at all. */
  readonly body: Buffer | undefined;
  /** 0: with a content-length. */
  readonly chunks: number;
  readonly trailers: Readonly<Record<string, string>>;
  /** It waits for 100 (Continue). */
  readonly expects: boolean;
  readonly answer: RandomAnswer;
}

interface RandomAnswer {
  readonly status: number;
  readonly fields: Readonly<Record<string, string | string[]>>;
  /** Of 103 (Early Hints). */
  readonly hints: readonly string[];
  /** 204 and 304. */
  readonly bodyless: boolean;
  readonly body: Buffer;
  readonly chunks: number;
  readonly trailers: Readonly<Record<string, string>>;
  /** Sent before the request has been read. */
  readonly early: boolean;
}

function exchangeOf(index: number): RandomExchange {
  const random = generator(SEED + index);
  const oneIn = (n: number): boolean => random() % n === 0;
  const method = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"][random() % 7]!;
  const hasBody = method === "POST" || method === "PUT" || method === "PATCH" || (method === "DELETE" && oneIn(3));
  const body = hasBody ? randomBytes(random, sizeOf(random)) : undefined;
  const chunks = hasBody ? random() % 4 : 0;
  const trailers = chunks > 0 && oneIn(2) ? { "x-sum": `of ${index}`, "x-more": word(random) } : {};
  const expects = hasBody && oneIn(8);
  const status = [200, 200, 200, 201, 404, 500, 204, 304][random() % 8]!;
  const answerChunks = random() % 4;
  return {
    method,
    fields: {
      ...fieldsFor(random),
      ...(oneIn(3) && {
        cookie: Array.from({ length: 1 + (random() % 4) }, (_, i) => `c${i}=${word(random)}`).join("; "),
      }),
      ...(Object.keys(trailers).length > 0 && { trailer: "x-sum, x-more" }),
      ...(oneIn(3) && { te: "trailers", connection: "te" }),
    },
    body,
    chunks,
    trailers,
    expects,
    answer: {
      status,
      fields: {
        ...fieldsFor(random),
        ...(oneIn(3) && { "set-cookie": [`a=${word(random)}`, `b=${word(random)}; Path=/`] }),
      },
      hints: oneIn(6) ? Array.from({ length: 1 + (random() % 2) }, (_, i) => `</${i}.css>; rel=preload`) : [],
      bodyless: status === 204 || status === 304,
      body: randomBytes(random, sizeOf(random)),
      chunks: answerChunks,
      trailers: answerChunks > 0 && oneIn(2) ? { "x-digest": word(random) } : {},
      // Only where all of the request is read in any case: a sidecar closes an HTTP/1 connection on which much is still to come.
      early: body !== undefined && body.length < 48 * 1024 && !expects && oneIn(6),
    },
  };
}

/** Fields with values that are odd and legal. */
function fieldsFor(random: () => number): Record<string, string | string[]> {
  const fields: Record<string, string | string[]> = {};
  const count = random() % 7;
  for (let i = 0; i < count; i += 1) {
    const name = ["x-plain", "X-Mixed-Case", "x-empty", "x-repeated", "x-latin", "x-long", "etag", "x-symbols"][
      random() % 8
    ]!;
    fields[name] =
      {
        "x-empty": "",
        "x-repeated": [word(random), word(random), ""],
        "x-latin": "caf\xe9 \xff",
        "x-long": word(random).repeat(200),
        etag: `"${word(random)}"`,
        "x-symbols": 'a,b;c="d"\t(e) 100% <>@{}[]~',
      }[name] ?? word(random);
  }
  return fields;
}

/** Mostly small, now and then more than a window of HTTP/2. */
function sizeOf(random: () => number): number {
  const most = [0, 10, 200, 3000, 20_000, random() % 8 === 0 ? 300_000 : 5000][random() % 6]!;
  return most === 0 ? 0 : random() % most;
}

function word(random: () => number): string {
  return random().toString(36);
}

/** Framing and hop-by-hop fields, which each hop has of its own, and what sidecars add. `expect` is answered by the first. */
const OF_THE_HOP =
  /^(connection|keep-alive|transfer-encoding|trailer|te|expect|date|server|x-request-id|x-forwarded-\w+|x-envoy-[\w-]+|traceparent|tracestate): /;

/** Names and values as lines, sorted by name; fields of one name keep their order. */
function fieldsOf(raw: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (let i = 0; i < raw.length; i += 2) lines.push(`${raw[i]!.toLowerCase()}: ${raw[i + 1]}`);
  const nameOf = (line: string): string => line.slice(0, line.indexOf(":"));
  return lines
    .filter((line) => !OF_THE_HOP.test(line))
    .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0));
}
