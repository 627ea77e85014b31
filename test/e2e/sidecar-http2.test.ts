import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { TestAuthority } from "@heddle/net/testing";
import {
  cluster,
  inlineRoutes,
  type Json,
  jsonAccessLog,
  listener,
  staticBootstrap,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { RawPeer } from "../harness/raw-peer.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const NO_SETTINGS = "\0\0\0\x04\0\0\0\0\0";
/** Type of a frame, as its fourth byte. */
const SETTINGS = 4;
const GOAWAY = 7;

/** An application that speaks HTTP/1. */
class App {
  readonly port: number;
  /** Requests that were cut before they had their answer. */
  aborted = 0;
  /** Requests for "/wait". */
  readonly waiting: ServerResponse[] = [];

  private constructor(port: number) {
    this.port = port;
  }

  static async start(owner: Owner): Promise<App> {
    const server = createServer((request, response) => app.#answer(request, response));
    server.on("upgrade", (request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      socket.write(`key ${request.headers["sec-websocket-key"]?.length}\n`);
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    owner.after(() => {
      server.closeAllConnections();
      server.close();
    });
    await once(server, "listening");
    const app = new App((server.address() as AddressInfo).port);
    return app;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? "";
    response.once("close", () => {
      if (!response.writableFinished) this.aborted++;
    });
    if (path === "/wait") this.waiting.push(response);
    else if (path === "/early") response.end("early");
    else if (path.startsWith("/large/")) response.end(Buffer.alloc(Number(path.slice("/large/".length)), "x"));
    else this.#echo(request, response);
  }

  #echo(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { host, cookie = "" } = request.headers;
      response.writeHead(200, {
        trailer: "x-end",
        "x-host": host,
        "x-cookie": cookie,
        connection: "keep-alive, x-own",
      });
      response.write(Buffer.concat(chunks));
      response.addTrailers({ "x-end": request.trailers["x-asked"] ?? "" });
      response.end();
    });
  }
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function open(port: number, owner: Owner, options: object = {}): ClientHttp2Session {
  const session = connect(`http://127.0.0.1:${port}`, options);
  session.on("error", () => undefined); // streams tell
  owner.after(() => session.destroy());
  return session;
}

function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let headers: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    const chunks: Buffer[] = [];
    stream.on("response", (fields) => (headers = fields));
    stream.on("trailers", (fields) => (trailers = fields));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      if (headers[":status"] === undefined) return;
      resolve({ status: Number(headers[":status"]), headers, trailers, body: Buffer.concat(chunks).toString() });
    });
    stream.on("error", reject);
    stream.on("close", () => reject(new Error(`closed without an answer, code ${stream.rstCode}`)));
  });
}

function get(session: ClientHttp2Session, path: string, headers: Json = {}): Promise<Answer> {
  return answerOf(session.request({ ":path": path, ":authority": "a", ...headers }));
}

/** The type of the next frame. */
async function frameType(peer: RawPeer): Promise<number> {
  const header = await peer.read(9);
  await peer.read(header.readUIntBE(0, 3));
  return header[3]!;
}

const certificate = new TestAuthority("Ours").issue({ commonName: "a", dns: ["a"] });

/** The listener with TLS in its one chain, which offers both protocols. */
function secured(plain: Json): Json {
  const [chain] = (plain as { readonly filter_chains: readonly Json[] }).filter_chains;
  const typed_config = {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    common_tls_context: {
      alpn_protocols: ["h2", "http/1.1"],
      tls_certificates: [
        {
          certificate_chain: { inline_string: certificate.chain },
          private_key: { inline_string: certificate.key },
        },
      ],
    },
  };
  return { ...plain, filter_chains: [{ ...chain, transport_socket: { name: "tls", typed_config } }] };
}

describe("a sidecar and clients that speak HTTP/2", { concurrency: 8 }, () => {
  const suite = lastFirst({ after });
  let app: App;
  let sidecar: SidecarProcess;
  let ports: Readonly<Record<string, number>>;
  let log: string;

  before(async () => {
    app = await App.start(suite);
    log = join(scratchFolder(suite), "access.log");
    const accessLog = {
      ...jsonAccessLog(log),
      typed_config: {
        ...(jsonAccessLog(log)["typed_config"] as Json),
        log_format: {
          json_format: {
            path: "%REQ(:PATH)%",
            protocol: "%PROTOCOL%",
            flags: "%RESPONSE_FLAGS%",
            details: "%RESPONSE_CODE_DETAILS%",
          },
        },
      },
    };
    const make = (name: string, http: Json): Json =>
      listener({
        name,
        routes: inlineRoutes([
          virtualHost("a", "app", { timeout: "0s" }),
          {
            name: "tunnel",
            domains: ["inside:80"],
            routes: [
              {
                match: { connect_matcher: {} },
                route: { cluster: "app", upgrade_configs: [{ upgrade_type: "CONNECT", connect_config: {} }] },
              },
            ],
          },
        ]),
        http: { access_log: [accessLog], ...http },
      });
    const bootstrap = staticBootstrap(
      [
        make("auto", {
          upgrade_configs: [{ upgrade_type: "websocket" }, { upgrade_type: "CONNECT" }],
          http2_protocol_options: { allow_connect: true },
        }),
        secured(make("tls", {})),
        make("only1", { codec_type: "HTTP1" }),
        make("only2", { codec_type: "HTTP2" }),
      ],
      [cluster("app", [app.port])],
    );
    sidecar = await startSidecar(bootstrap, suite);
    ports = {
      auto: await sidecar.port("auto"),
      tls: await sidecar.port("tls"),
      only1: await sidecar.port("only1"),
      only2: await sidecar.port("only2"),
    };
  });

  const logged = (path: string): Promise<Readonly<Record<string, string>>> => {
    let found: Record<string, string> | undefined;
    return eventually(`${path} is logged`, () => {
      const lines = readFileSync(log, "utf8").split("\n").filter(Boolean);
      found = lines.map((line) => JSON.parse(line) as Record<string, string>).find((line) => line["path"] === path);
      return found !== undefined;
    }).then(() => found!); // set where it resolves
  };

  test("HTTP/1 and HTTP/2 share a port, and each has its own name in the log and the statistics", async (t) => {
    const owner = lastFirst(t);
    const session = open(ports["auto"]!, owner);
    assert.equal((await get(session, "/by-2")).status, 200);
    const peer = await RawPeer.connect(ports["auto"]!, owner);
    await peer.send("GET /by-1 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await peer.message()).status, 200);
    assert.equal((await logged("/by-1"))["protocol"], "HTTP/1.1");
    assert.equal((await logged("/by-2"))["protocol"], "HTTP/2");
    for (const name of ["cx_http1_total", "cx_http2_total", "rq_http1_total", "rq_http2_total", "cx_http2_active"]) {
      assert.ok((await sidecar.stat(`http.auto.downstream_${name}`)) > 0, name);
    }
  });

  test("the preface is known however it is cut, and what only begins like it is HTTP/1", async (t) => {
    const owner = lastFirst(t);
    const slow = await RawPeer.connect(ports["auto"]!, owner);
    for (const byte of `${PREFACE}${NO_SETTINGS}`.split("")) await slow.send(byte);
    assert.equal(await frameType(slow), SETTINGS);
    const other = await RawPeer.connect(ports["auto"]!, owner);
    await other.send("PRI * ");
    await other.send("HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.match((await other.message()).startLine, /^HTTP\/1\.1 [45]\d\d /);
    const method = await RawPeer.connect(ports["auto"]!, owner);
    await method.send("P");
    await method.send("ROPFIND /dav HTTP/1.1\r\nHost: a\r\n\r\n");
    assert.equal((await method.message()).status, 200);
  });

  test("over TLS the protocol is the one that ALPN has agreed on, else the one of the first bytes", async (t) => {
    const owner = lastFirst(t);
    const secure = async (ALPNProtocols: readonly string[], bytes: string): Promise<RawPeer> => {
      const socket = connectTls({ host: "127.0.0.1", port: ports["tls"]!, ca: certificate.chain, servername: "a",
        ALPNProtocols: [...ALPNProtocols], rejectUnauthorized: false }); // biome-ignore format: options
      owner.after(() => void socket.destroy());
      const peer = new RawPeer(socket);
      await once(socket, "secureConnect");
      assert.equal(socket.alpnProtocol, ALPNProtocols[0] ?? false);
      await peer.send(bytes);
      return peer;
    };
    const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert.equal(await frameType(await secure(["h2"], `${PREFACE}${NO_SETTINGS}`)), SETTINGS);
    assert.equal((await (await secure(["http/1.1"], request)).message()).status, 200);
    assert.match((await (await secure(["http/1.1"], PREFACE)).message()).startLine, /^HTTP\/1\.1 [45]/);
    assert.equal(await frameType(await secure([], `${PREFACE}${NO_SETTINGS}`)), SETTINGS);
    assert.equal((await (await secure([], request)).message()).status, 200);
    const session = connect(`https://127.0.0.1:${ports["tls"]!}`, { rejectUnauthorized: false, servername: "a" });
    owner.after(() => session.destroy());
    assert.equal((await get(session, "/by-tls")).status, 200);
  });

  test("codec_type HTTP1 and HTTP2 speak nothing else", async (t) => {
    const owner = lastFirst(t);
    const one = await RawPeer.connect(ports["only1"]!, owner);
    await one.send(PREFACE);
    assert.match((await one.message()).startLine, /^HTTP\/1\.1 [45]\d\d /);
    const two = await RawPeer.connect(ports["only2"]!, owner);
    await two.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const types: number[] = [];
    while (types.at(-1) !== GOAWAY) types.push(await frameType(two));
    await two.readToEnd();
    assert.equal((await get(open(ports["only2"]!, owner), "/")).status, 200);
  });

  test("a request and its answer keep their meaning between HTTP/2 and an application of HTTP/1", async (t) => {
    const session = open(ports["auto"]!, lastFirst(t));
    const headers = { ":path": "/echo", ":authority": "a", ":method": "POST", cookie: ["a=1", "b=2"], te: "trailers" };
    const stream = session.request(headers, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-asked": "please" }));
    stream.end("hello");
    const answer = await answerOf(stream);
    assert.equal(answer.body, "hello");
    assert.equal(answer.headers["x-host"], "a");
    assert.equal(answer.headers["x-cookie"], "a=1; b=2");
    assert.equal(answer.headers["connection"], undefined);
    assert.equal(answer.headers["transfer-encoding"], undefined);
    assert.deepEqual(answer.trailers["x-end"], "please");
  });

  test("one connection carries hundreds of requests, a hundred at a time", async (t) => {
    const session = open(ports["auto"]!, lastFirst(t));
    const answers = await Promise.all(
      Array.from({ length: 400 }, (_, i) => {
        const stream = session.request({ ":path": `/${i}`, ":authority": "a", ":method": "POST" });
        stream.end(`body of ${i}`);
        return answerOf(stream);
      }),
    );
    assert.deepEqual(
      answers.map(({ body }) => body),
      answers.map((_, i) => `body of ${i}`),
    );
    assert.equal(session.remoteSettings.maxConcurrentStreams, 100);
  });

  test("a reader that stands still holds up its own stream, and gets all of it later", async (t) => {
    const session = open(ports["auto"]!, lastFirst(t));
    const length = 4 * 1024 * 1024;
    const slow = session.request({ ":path": `/large/${length}`, ":authority": "a" });
    await once(slow, "response");
    slow.pause();
    for (let round = 0; round < 20; round++) {
      assert.equal((await get(session, "/large/100000")).body.length, 100_000);
    }
    let received = 0;
    slow.on("data", (chunk: Buffer) => (received += chunk.length)).resume();
    await once(slow, "end");
    assert.equal(received, length);
  });

  test("a request that is taken back is given up upstream at once, and the connection goes on", async (t) => {
    const session = open(ports["auto"]!, lastFirst(t));
    const before = app.aborted;
    const began = app.waiting.length;
    const stream = session.request({ ":path": "/wait", ":authority": "a" });
    stream.on("error", () => undefined);
    await eventually("the application has the request", () => app.waiting.length > began);
    stream.close(constants.NGHTTP2_CANCEL);
    await eventually("the application's is cut", () => app.aborted > before);
    const { flags, details } = await logged("/wait");
    assert.deepEqual([flags, details], ["DR", "http2.remote_reset"]);
    assert.equal((await get(session, "/")).status, 200);
  });

  test("an answer before the end of its request reaches the client, and costs it nothing else", async (t) => {
    const session = open(ports["auto"]!, lastFirst(t));
    const stream = session.request({ ":path": "/early", ":authority": "a", ":method": "POST" });
    const answer = answerOf(stream);
    stream.write(Buffer.alloc(32_768));
    assert.equal((await answer).body, "early");
    if (!stream.closed) await once(stream, "close");
    assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR);
    assert.equal((await get(session, "/")).status, 200);
  });

  test("what the sidecar answers itself leaves the connection as it is", async (t) => {
    const session = open(ports["auto"]!, lastFirst(t));
    assert.equal((await get(session, "/", { ":authority": "nobody" })).status, 404);
    assert.equal((await get(session, "/", { "x-large": "y".repeat(61 * 1024) })).status, 431);
    assert.equal((await get(session, "/%00", { expect: "nothing" })).status, 417);
    assert.equal((await get(session, "/")).status, 200);
  });

  test("CONNECT opens a tunnel, beside requests on the same connection", async (t) => {
    const session = open(ports["auto"]!, lastFirst(t));
    const tunnel = session.request({ ":method": "CONNECT", ":authority": "inside:80" });
    let text = "";
    tunnel.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const [headers] = (await once(tunnel, "response")) as [Readonly<Record<string, unknown>>];
    assert.equal(headers[":status"], 200);
    tunnel.write("POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    await eventually("the application answers in it", () => text.includes("\r\nhi\r\n"));
    assert.equal((await get(session, "/")).status, 200);
    tunnel.close();
  });

  test("WebSocket comes as extended CONNECT, and reaches an application as an upgrade of HTTP/1", async (t) => {
    const session = open(ports["auto"]!, lastFirst(t));
    await once(session, "remoteSettings");
    assert.equal(session.remoteSettings.enableConnectProtocol, true);
    const socket = session.request({
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "http",
      ":path": "/chat",
      ":authority": "a",
    });
    let text = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    const [headers] = (await once(socket, "response")) as [Readonly<Record<string, unknown>>];
    assert.equal(headers[":status"], 200);
    socket.write("hello\n");
    await eventually("it is echoed", () => text === "key 24\nhello\n");
    socket.end();
    await once(socket, "end");
  });
});

test("at SIGTERM under load clients of HTTP/2 lose no stream", async (t) => {
  const owner = lastFirst(t);
  const app = await App.start(owner);
  const bootstrap = staticBootstrap(
    [listener({ name: "in", routes: inlineRoutes([virtualHost("*", "app", { timeout: "0s" })]) })],
    [cluster("app", [app.port])],
  );
  const sidecar = await startSidecar(bootstrap, owner, { concurrency: 3, drainTimeS: 60 });
  const port = await sidecar.port("in");
  let answers = 0;
  const failures: string[] = [];

  /** Ten requests at a time, until the sidecar says that it goes. */
  const client = async (): Promise<void> => {
    const session = open(port, owner);
    let told = false;
    session.on("goaway", () => (told = true));
    const ask = async (): Promise<void> => {
      while (!told) {
        try {
          const answer = await get(session, "/");
          assert.equal(answer.status, 200);
          answers++;
        } catch (error) {
          // What a client has not sent when it is told is not lost. Node refuses it by itself, in either of two ways.
          const { code, message } = error as NodeJS.ErrnoException;
          const unsent = code === "ERR_HTTP2_GOAWAY_SESSION" || (told && message.endsWith("NGHTTP2_REFUSED_STREAM"));
          if (!unsent) failures.push(message);
        }
      }
    };
    await Promise.all(Array.from({ length: 10 }, ask));
  };

  const clients = Promise.all(Array.from({ length: 4 }, client));
  const long = get(open(port, owner), "/wait");
  await eventually("there is load", () => answers > 300 && app.waiting.length === 1);
  sidecar.terminate();
  await clients;
  assert.deepEqual(failures, []);
  assert.equal(await sidecar.stat("http2.tx_reset"), 0, "the sidecar has refused none");
  app.waiting[0]?.end("after all");
  assert.equal((await long).body, "after all");
  assert.equal(await sidecar.ended, 0);
});
