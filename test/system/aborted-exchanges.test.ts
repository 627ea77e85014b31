import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";
import { INSPECTABLE, WorkerInspector } from "../harness/worker-inspector.ts";

const WARM_UP = 8_000;
const EXCHANGES = 100_000;
const CLIENTS = 64;
/** The smallest object has 12 bytes: whatever is left of each exchange is more than this. */
const MAX_BYTES_LEFT = EXCHANGES * 8;

/** How an exchange ends before its time. Each leads to a path of its own upstream. */
const ABORTS: readonly Abort[] = [
  // The client resets within its head.
  (port) => talk(port, "GET /unseen HTTP/1.1\r\nHost: a\r\nX-Ha", "at once"),
  // … ends within its body.
  (port) => talk(port, "POST /unseen HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf", "fin"),
  // … resets while the upstream thinks.
  (port, upstream) => {
    const id = upstream.nextId();
    return talk(port, `GET /hang/${id} HTTP/1.1\r\nHost: a\r\n\r\n`, upstream.seen(id));
  },
  // … resets within its chunks, which the upstream is reading.
  (port, upstream) => {
    const id = upstream.nextId();
    const head = `POST /hang/${id} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`;
    return talk(port, head, upstream.seen(id));
  },
  // … resets within the answer.
  (port) => talk(port, "GET /half HTTP/1.1\r\nHost: a\r\n\r\n", "with an answer"),
  // The upstream resets instead of answering.
  (_port, _upstream, kept) => kept.ask("/reset"),
  // … closes within its answer.
  (port) => talk(port, "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n", "when it is cut"),
  // … answers nonsense.
  (_port, _upstream, kept) => kept.ask("/nonsense"),
  // The route's timeout passes.
  (_port, _upstream, kept) => kept.ask("/slow"),
  // The client breaks the protocol within its body.
  (port) =>
    talk(port, "POST /unseen HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX", "when it is cut"),
];

test(`${EXCHANGES} aborted exchanges leave no descriptor, timer or byte behind`, async (t) => {
  const owner = lastFirst(t);
  const upstream = await AbortingUpstream.listen(owner);
  const slow = { match: { prefix: "/slow" }, route: { cluster: "up", timeout: "0.02s" } };
  const all = virtualHost("*", "up");
  const bootstrap = staticBootstrap(
    [listener({ name: "in", routes: inlineRoutes([{ ...all, routes: [slow, ...(all["routes"] as object[])] }]) })],
    [
      cluster("up", [upstream.port], {
        circuit_breakers: { thresholds: [{ max_connections: 4096, max_requests: 4096 }] },
      }),
    ],
  );
  const sidecar = await startSidecar(bootstrap, owner, { nodeFlags: INSPECTABLE });
  const port = await sidecar.port("in");
  const inspector = await WorkerInspector.attach(sidecar, owner);

  await abort(port, upstream, WARM_UP);
  await untilQuiet(sidecar, upstream);
  const before = await inspector.holdings();
  const descriptors = descriptorsOf(sidecar);

  await abort(port, upstream, EXCHANGES);
  await untilQuiet(sidecar, upstream);
  await eventually("as many descriptors are open as before", () => descriptorsOf(sidecar) <= descriptors);
  const after = await inspector.holdings();
  tell(t, { before, after, descriptors });

  assert.deepEqual(after.resources, before.resources, "timers and sockets of the worker");
  assert.ok(after.heap - before.heap <= MAX_BYTES_LEFT, `${after.heap - before.heap} bytes of heap are left`);
  assert.ok(after.external - before.external <= MAX_BYTES_LEFT, `${after.external - before.external} bytes of buffers`);
  for (const gauge of GAUGES) assert.equal(await sidecar.stat(gauge), 0, gauge);
});

const GAUGES = [
  "http.in.downstream_cx_active",
  "http.in.downstream_rq_active",
  "cluster.up.upstream_cx_active",
  "cluster.up.upstream_rq_active",
  "cluster.up.upstream_rq_pending_active",
];

function descriptorsOf({ pid }: SidecarProcess): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Nothing is open any more, seen from either side. */
async function untilQuiet(sidecar: SidecarProcess, upstream: AbortingUpstream): Promise<void> {
  await eventually(
    "no connection is left",
    async () => upstream.open === 0 && (await sidecar.stat("http.in.downstream_cx_active")) === 0,
    20_000,
  );
}

async function abort(port: number, upstream: AbortingUpstream, count: number): Promise<void> {
  let next = 0;
  const client = async (): Promise<void> => {
    const kept = new KeptClient(port);
    for (let index = next++; index < count; index = next++) await ABORTS[index % ABORTS.length]!(port, upstream, kept);
    kept.close();
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

type Abort = (port: number, upstream: AbortingUpstream, kept: KeptClient) => Promise<void>;

/** A client that keeps its connection, since it gets an answer of the sidecar's own: what is aborted is behind it. */
class KeptClient {
  readonly #socket: Socket;
  #heard = "";
  #waiting: PromiseWithResolvers<void> | undefined;

  constructor(port: number) {
    this.#socket = connect({ host: "127.0.0.1", port });
    this.#socket.on("error", (error) => this.#waiting?.reject(error));
    this.#socket.on("close", () => this.#waiting?.reject(new Error("the sidecar has closed a kept connection")));
    this.#socket.setEncoding("latin1").on("data", (text: string) => this.#hear(text));
  }

  ask(path: string): Promise<void> {
    this.#waiting = Promise.withResolvers();
    this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    return this.#waiting.promise;
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #hear(text: string): void {
    this.#heard += text;
    const end = this.#heard.indexOf("\r\n\r\n");
    const length = /\r\ncontent-length: (\d+)\r\n/.exec(this.#heard)?.[1];
    if (end === -1 || this.#heard.length < end + 4 + Number(length)) return;
    if (/^HTTP\/1\.1 50[234] /.test(this.#heard)) this.#waiting?.resolve();
    else this.#waiting?.reject(new Error(this.#heard));
    this.#heard = "";
  }
}

/** When the client ends it by RST: at once, with the first byte that comes, when something has happened. Or by FIN. */
type Moment = "at once" | "with an answer" | "when it is cut" | "fin" | Promise<void>;

/** Resolves when the connection is over. */
function talk(port: number, bytes: string, moment: Moment): Promise<void> {
  const over = Promise.withResolvers<void>();
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => undefined); // a reset by the sidecar is one of the ends
  socket.on("close", () => over.resolve());
  socket.write(bytes, "latin1", () => {
    if (moment === "at once") socket.resetAndDestroy();
    else if (moment === "fin") socket.end();
    else if (typeof moment !== "string") void moment.then(() => socket.resetAndDestroy());
  });
  socket.on("data", () => {
    if (moment === "with an answer") socket.resetAndDestroy();
  });
  return over.promise;
}

/** Answers each path in its own bad way, and tells which requests have come. */
class AbortingUpstream {
  readonly port: number;
  readonly #sockets = new Set<Socket>();
  readonly #awaited = new Map<string, () => void>();
  #lastId = 0;

  private constructor(port: number) {
    this.port = port;
  }

  static async listen(owner: Owner): Promise<AbortingUpstream> {
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const upstream = new AbortingUpstream((server.address() as AddressInfo).port);
    server.on("connection", (socket) => upstream.#accept(socket));
    owner.after(() => {
      server.close();
      for (const socket of upstream.#sockets) socket.destroy();
    });
    return upstream;
  }

  get open(): number {
    return this.#sockets.size;
  }

  nextId(): string {
    return String(++this.#lastId);
  }

  /** A request with this id has come. */
  seen(id: string): Promise<void> {
    const seen = Promise.withResolvers<void>();
    this.#awaited.set(id, seen.resolve);
    return seen.promise;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => undefined);
    socket.on("data", (bytes: Buffer) => {
      const [, path = "", id = ""] = /^[A-Z]+ \/([a-z]+)\/?(\d*) /.exec(bytes.toString("latin1", 0, 64)) ?? [];
      if (path === "hang") {
        this.#awaited.get(id)?.();
        this.#awaited.delete(id);
      } else if (path === "half") socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf");
      else if (path === "reset") socket.resetAndDestroy();
      else if (path === "cut") socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
      else if (path === "nonsense") socket.write("nonsense\r\n\r\n");
    });
  }
}

function tell(t: TestContext, facts: object): void {
  for (const [name, fact] of Object.entries(facts)) t.diagnostic(`${name}: ${JSON.stringify(fact)}`);
}
