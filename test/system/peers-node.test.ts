import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, existsSync } from "node:fs";
import {
  Agent,
  createServer,
  type IncomingMessage,
  type RequestOptions,
  request,
  type ServerResponse,
} from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { after, before, describe, test } from "node:test";
import { type Peer, stop } from "../../bench/path/peer.ts";
import { startHaproxy, startNginx } from "../../bench/path/peers.ts";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder, startSidecar } from "../harness/sidecar.ts";

const missing = ["/usr/sbin/haproxy", "/usr/sbin/nginx"].filter((path) => !existsSync(path));
const skip = missing.length > 0 && `not installed: ${missing.join(", ")}`;

/** nginx takes no more by default (`client_max_body_size`). */
const LARGE_BYTES = 900 * 1024;
const HUGE_BYTES = 24 * 1024 * 1024;

interface Chain {
  readonly name: string;
  /** What stands between Node's client and Node's server. This nginx passes on neither trailers nor 1xx nor upgrades. */
  readonly nginx: boolean;
}

const CHAINS: readonly Chain[] = [
  { name: "the sidecar", nginx: false },
  { name: "nginx, then the sidecar", nginx: true },
  { name: "HAProxy, then the sidecar", nginx: false },
  { name: "the sidecar, then nginx", nginx: true },
  { name: "the sidecar, then HAProxy", nginx: false },
];

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly trailers: IncomingMessage["trailers"];
  readonly body: Buffer;
  /** Statuses of interim answers. */
  readonly interim: readonly number[];
}

interface Question extends RequestOptions {
  readonly body?: readonly Buffer[];
  readonly trailers?: Readonly<Record<string, string>>;
}

describe("a sidecar between Node's http client and server, alone and beside nginx and HAProxy", { skip }, () => {
  const suite = lastFirst({ after });
  const ports = new Map<string, number>();
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  let server: EchoServer;

  before(async () => {
    process.env["PATH"] = `${process.env["PATH"]}:/usr/sbin`; // where Debian has servers, also for those who are not root
    suite.after(() => agent.destroy());
    server = new EchoServer();
    const upstream = await server.listen();
    suite.after(() => server.close());
    const started = (peer: Peer): number => {
      suite.after(() => stop(peer));
      return peer.port;
    };
    /** A worker that nginx runs as nobody keeps large bodies there. */
    const folder = (): string => {
      const made = scratchFolder(suite);
      chmodSync(made, 0o755);
      return made;
    };
    const behind = {
      direct: upstream,
      nginx: started(await startNginx(folder(), upstream)),
      haproxy: started(await startHaproxy(folder(), upstream)),
    };
    const names = Object.keys(behind) as (keyof typeof behind)[];
    const upgrades = { upgrade_configs: [{ upgrade_type: "echo" }] };
    const sidecar = await startSidecar(
      staticBootstrap(
        names.map((name) => listener({ name, routes: inlineRoutes([virtualHost("*", name, upgrades)]) })),
        names.map((name) => cluster(name, [behind[name]])),
      ),
      suite,
      { concurrency: 2 },
    );
    const direct = await sidecar.port("direct");
    ports.set("the sidecar", direct);
    ports.set("nginx, then the sidecar", started(await startNginx(folder(), direct)));
    ports.set("HAProxy, then the sidecar", started(await startHaproxy(folder(), direct)));
    ports.set("the sidecar, then nginx", await sidecar.port("nginx"));
    ports.set("the sidecar, then HAProxy", await sidecar.port("haproxy"));
  });

  for (const chain of CHAINS) {
    const ask = (question: Question): Promise<Answer> => send({ ...question, port: ports.get(chain.name), agent });

    test(`through ${chain.name}: bodies with a length and in chunks, in both directions`, async () => {
      const bytes = randomLooking(LARGE_BYTES);
      const digest = sha256(bytes);
      for (const framing of ["length", "chunks"]) {
        for (const headers of [{ "content-length": bytes.length }, {}]) {
          const pieces = [bytes.subarray(0, 10), bytes.subarray(10, 70_000), bytes.subarray(70_000)];
          const answer = await ask({ method: "POST", path: `/echo/${framing}`, headers, body: pieces });
          assert.equal(answer.status, 200);
          assert.equal(answer.headers["x-request-digest"], digest);
          assert.equal(sha256(answer.body), digest);
          assert.equal(answer.headers["content-length"], framing === "length" ? String(bytes.length) : undefined);
        }
      }
    });

    test(`through ${chain.name}: HEAD, 204, 304 and an empty answer, on connections that are kept`, async () => {
      const sockets = server.sockets.size;
      for (let round = 0; round < 10; round++) {
        for (const [method, path, status, length] of [
          ["HEAD", "/length/100", 200, "100"],
          ["GET", "/status/204", 204, undefined],
          ["GET", "/status/304", 304, undefined],
          ["GET", "/length/0", 200, "0"],
          ["DELETE", "/length/3", 200, "3"],
        ] as const) {
          const answer = await ask({ method, path });
          assert.deepEqual([answer.status, answer.headers["content-length"]], [status, length], path);
          assert.equal(answer.body.length, method === "HEAD" ? 0 : Number(length ?? 0));
        }
      }
      assert.ok(server.sockets.size - sockets <= 20, `${server.sockets.size - sockets} connections for 50 requests`);
    });

    test(`through ${chain.name}: a client that waits for 100 (Continue) before its body`, async () => {
      const body = [Buffer.from("hello")];
      const answer = await ask({
        method: "PUT",
        path: "/echo/length",
        headers: { expect: "100-continue", "content-length": 5 },
        body,
      });
      assert.deepEqual([answer.status, String(answer.body)], [200, "hello"]);
      assert.ok(answer.interim.includes(100));
    });

    test(`through ${chain.name}: repeated fields, odd values and long ones`, async () => {
      const answer = await ask({
        path: "/fields",
        headers: { "x-long": "l".repeat(6000), "x-latin": "caf\xe9", "x-empty": "" },
      });
      assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2; Path=/"]);
      assert.deepEqual(JSON.parse(String(answer.body)), { long: 6000, latin: "caf\xe9", empty: "" });
    });

    if (chain.nginx) continue;

    test(`through ${chain.name}: trailers in both directions`, async () => {
      const answer = await ask({
        method: "POST",
        path: "/trailers",
        headers: { te: "trailers", connection: "te", trailer: "x-sum" },
        body: [Buffer.from("body")],
        trailers: { "x-sum": "from the client" },
      });
      assert.equal(String(answer.body), "from the client");
      assert.equal(answer.trailers["x-sum"], "from the server");
    });

    test(`through ${chain.name}: 103 (Early Hints) before the answer`, async () => {
      const answer = await ask({ path: "/hints" });
      assert.deepEqual([answer.status, answer.interim], [200, [103]]);
    });

    test(`through ${chain.name}: bodies of ${HUGE_BYTES >> 20} MiB in both directions`, async () => {
      const bytes = randomLooking(HUGE_BYTES);
      const answer = await ask({ method: "POST", path: "/echo/chunks", body: [bytes] });
      assert.equal(sha256(answer.body), sha256(bytes));
    });

    test(`through ${chain.name}: an upgrade, and bytes in both directions until both have ended`, async () => {
      const bytes = randomLooking(LARGE_BYTES);
      const upgraded = Promise.withResolvers<Duplex>();
      const asked = request({ port: ports.get(chain.name), headers: { connection: "upgrade", upgrade: "echo" } });
      asked.on("upgrade", (response, socket) => {
        assert.equal(response.headers["upgrade"], "echo");
        upgraded.resolve(socket);
      });
      asked.on("response", ({ statusCode }) => upgraded.reject(new Error(`answered with ${statusCode}`)));
      asked.on("error", upgraded.reject);
      asked.end();
      const socket = await upgraded.promise;
      socket.end(bytes);
      assert.equal(sha256(await bytesOf(socket)), sha256(bytes));
    });
  }
});

/** What is asked for is in the path. */
class EchoServer {
  readonly #server = createServer();
  /** Every connection there was. */
  readonly sockets = new Set<Socket>();

  async listen(): Promise<number> {
    this.#server.on("request", (req, res) => void this.#answer(req, res));
    this.#server.on("connection", (socket) => this.sockets.add(socket));
    this.#server.on("upgrade", (_req: IncomingMessage, socket: Duplex) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.on("error", () => socket.destroy());
      socket.pipe(socket);
    });
    this.#server.keepAliveTimeout = 60_000;
    this.#server.listen(0, "127.0.0.1");
    await new Promise((resolve) => this.#server.once("listening", resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.sockets) socket.destroy(); // an upgraded one is the server's no longer
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await bytesOf(req);
    const [, what = "", detail = ""] = (req.url ?? "").split("/");
    switch (what) {
      case "echo":
        res.setHeader("x-request-digest", sha256(body));
        if (detail === "length") res.setHeader("content-length", body.length);
        res.flushHeaders();
        res.end(body);
        return;
      case "length":
        res.setHeader("content-length", detail);
        res.end("x".repeat(Number(detail)));
        return;
      case "status":
        res.writeHead(Number(detail));
        res.end();
        return;
      case "fields":
        res.setHeader("set-cookie", ["a=1", "b=2; Path=/"]);
        res.end(
          JSON.stringify({
            long: String(req.headers["x-long"]).length,
            latin: req.headers["x-latin"],
            empty: req.headers["x-empty"],
          }),
        );
        return;
      case "trailers":
        res.setHeader("trailer", "x-sum");
        res.write(String(req.trailers["x-sum"]));
        res.addTrailers({ "x-sum": "from the server" });
        res.end();
        return;
      case "hints":
        res.writeEarlyHints({ link: "</style.css>; rel=preload" });
        res.end("hinted");
        return;
      default:
        res.writeHead(404);
        res.end();
    }
  }
}

function send({ body, trailers, ...options }: Question): Promise<Answer> {
  const answered = Promise.withResolvers<Answer>();
  const interim: number[] = [];
  const asked = request({ host: "127.0.0.1", ...options });
  asked.on("information", ({ statusCode }) => interim.push(statusCode));
  asked.on("error", answered.reject);
  asked.on("response", (response) => {
    void bytesOf(response).then((bytes) => {
      const { statusCode = 0, headers, trailers: behind } = response;
      answered.resolve({ status: statusCode, headers, trailers: behind, body: bytes, interim });
    }, answered.reject);
  });
  const finish = (): void => {
    for (const piece of body ?? []) asked.write(piece);
    if (trailers !== undefined) asked.addTrailers(trailers);
    asked.end();
  };
  const { headers = {} } = options;
  if (!("expect" in headers)) finish();
  else {
    asked.once("continue", () => {
      interim.push(100);
      finish();
    });
    asked.flushHeaders();
  }
  return answered.promise;
}

async function bytesOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** The same for the same length; no two stretches of it are alike. */
function randomLooking(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = length | 1;
  for (let i = 0; i + 4 <= length; i += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, i);
  }
  return bytes;
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
