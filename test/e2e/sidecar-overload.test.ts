import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { constants, existsSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { Agent, createServer, get, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import {
  cluster,
  filterModule,
  inlineRoutes,
  type Json,
  listener,
  staticBootstrap,
  textAccessLog,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { type SidecarOptions, type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

/* What a process meets that is given too little: descriptors, memory, readers of its logs, clients that do not read. */

const onLinux = { skip: process.platform !== "linux" };

/** An HTTP server that answers each path as it says: "/N" with N bytes. */
async function startUpstream(owner: Owner): Promise<number> {
  const server: Server = createServer((request, response) => {
    const bytes = Number(request.url?.slice(1) ?? 0) || 2;
    response.writeHead(200, { "content-length": bytes });
    const chunk = Buffer.alloc(64 * 1024, "x");
    let left = bytes;
    const more = (): void => {
      while (left > 0) {
        const part = left < chunk.length ? chunk.subarray(0, left) : chunk;
        left -= part.length;
        if (!response.write(part)) {
          response.once("drain", more);
          return;
        }
      }
      response.end();
    };
    more();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  owner.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

interface Wish extends SidecarOptions {
  readonly http?: Json;
  readonly filters?: readonly Json[];
  readonly listenerFields?: Json;
  readonly bootstrap?: Json;
}

async function start(
  t: TestContext,
  { http = {}, filters = [], listenerFields = {}, bootstrap = {}, ...options }: Wish,
) {
  const owner = lastFirst(t);
  const port = await startUpstream(owner);
  const routes = inlineRoutes([virtualHost("*", "app")]);
  const listeners = [{ ...listener({ name: "in", routes, http, filters }), ...listenerFields }];
  const config = { ...staticBootstrap(listeners, [cluster("app", [port])]), ...bootstrap };
  const sidecar = await startSidecar(config, owner, options);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  owner.after(() => agent.destroy());
  const listening = await sidecar.port("in");
  return { sidecar, owner, port: listening, ask: (path = "/2") => ask(listening, path, agent) };
}

/** Status and headers of one request, over the agent's connection. */
function ask(
  port: number,
  path: string,
  agent: Agent | false,
): Promise<{ readonly status: number; readonly headers: Readonly<Record<string, unknown>>; readonly body: string }> {
  return new Promise((resolve, reject) => {
    get({ port, host: "127.0.0.1", path, agent }, (response) => {
      let body = "";
      response.setEncoding("latin1");
      response.on("data", (text: string) => {
        body += text.slice(0, 1000);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      response.on("error", reject);
    }).on("error", reject);
  });
}

/** Connections that say nothing. They end with the test. */
class Crowd {
  readonly sockets: Socket[] = [];
  ended = 0;

  constructor(port: number, count: number, owner: Owner) {
    for (let i = 0; i < count; i++) {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.on("close", () => void this.ended++);
      this.sockets.push(socket);
    }
    owner.after(() => this.leave());
  }

  leave(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}

/** CPU time of the process so far, in seconds (proc(5), /proc/pid/stat, fields 14 and 15). */
function cpuSeconds({ pid }: SidecarProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function seconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count * 1000));
}

test(
  "more connections than descriptors: the rest wait, nothing spins, what runs goes on, and all recover",
  onLinux,
  async (t) => {
    const wrap = ["prlimit", "--nofile=256:256"];
    const { sidecar, owner, port, ask: askAgain } = await start(t, { wrap });
    assert.equal((await askAgain()).status, 200);
    const crowd = new Crowd(port, 400, owner);
    await eventually("accepting pauses", async () => (await sidecar.stat("workers.accept_paused")) > 0);
    // It converges on all but a reserve; then there is nothing to be done until somebody leaves.
    await seconds(2);
    const before = cpuSeconds(sidecar);
    await seconds(2);
    const used = cpuSeconds(sidecar) - before;
    assert.ok(used < 1, `${used} s of CPU in 2 s, without any traffic`);
    for (let i = 0; i < 20; i++) assert.equal((await askAgain()).status, 200);
    assert.equal(crowd.ended, 0, "nobody is turned away");
    const descriptors = execFileSync("ls", [`/proc/${sidecar.pid}/fd`])
      .toString()
      .split("\n").length;
    assert.ok(descriptors < 256, `${descriptors} descriptors of 256`);
    const late = ask(port, "/2", false);
    await seconds(0.2);
    crowd.leave();
    assert.equal((await late).status, 200);
    for (let i = 0; i < 20; i++) assert.equal((await ask(port, "/2", false)).status, 200);
  },
);

const HEAP = "envoy.resource_monitors.fixed_heap";

function heapOf(bytes: number, action: string): Json {
  return {
    overload_manager: {
      refresh_interval: "0.1s",
      resource_monitors: [
        {
          name: HEAP,
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
            max_heap_size_bytes: bytes,
          },
        },
      ],
      actions: [{ name: `envoy.overload_actions.${action}`, triggers: [{ name: HEAP, threshold: { value: 0.9 } }] }],
    },
  };
}

test("an overloaded process refuses requests with 503, and says so in headers, log and statistics", async (t) => {
  const folder = scratchFolder(lastFirst(t));
  const log = join(folder, "access.log");
  const http = {
    access_log: [
      {
        name: "text",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
          path: log,
          log_format: {
            text_format_source: { inline_string: "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n" },
          },
        },
      },
    ],
  };
  const bootstrap = heapOf(1 << 20, "stop_accepting_requests");
  const { sidecar, ask: askIt } = await start(t, { bootstrap, http, folder });
  await eventually("it is overloaded", async () => {
    return (await sidecar.stat("overload.envoy.overload_actions.stop_accepting_requests.active")) === 1;
  });
  const { status, headers, body } = await askIt();
  assert.equal(status, 503);
  assert.equal(headers["connection"], "close");
  assert.equal(body, "envoy overloaded");
  assert.equal(await sidecar.stat("http.in.downstream_rq_overload_close"), 1);
  assert.ok((await sidecar.stat(`overload.${HEAP}.pressure`)) > 100);
  await eventually("the refusal is logged", () => existsSync(log) && readFileSync(log, "utf8") !== "");
  assert.equal(readFileSync(log, "utf8"), "503 OM overload\n");
});

test("an overloaded process ends connections with their answers where keep-alive is disabled", async (t) => {
  const { sidecar, ask: askIt } = await start(t, { bootstrap: heapOf(1 << 20, "disable_http_keepalive") });
  await eventually("it is overloaded", async () => {
    return (await sidecar.stat("overload.envoy.overload_actions.disable_http_keepalive.active")) === 1;
  });
  const { status, headers } = await askIt();
  assert.deepEqual([status, headers["connection"]], [200, "close"]);
  assert.equal(await sidecar.stat("http.in.downstream_cx_overload_disable_keepalive"), 1);
});

test(
  "64 clients that do not read a large answer are held within the buffers' limits, and their upstream waits",
  onLinux,
  async (t) => {
    const {
      sidecar,
      owner,
      port,
      ask: askIt,
    } = await start(t, {
      listenerFields: { per_connection_buffer_limit_bytes: 32 * 1024 },
    });
    assert.equal((await askIt()).status, 200);
    const before = sidecar.residentBytes();
    const size = 50_000_000;
    for (let i = 0; i < 64; i++) {
      const socket = connect(port, "127.0.0.1");
      socket.pause();
      socket.on("error", () => undefined);
      socket.write(`GET /${size} HTTP/1.1\r\nhost: a\r\n\r\n`);
      owner.after(() => socket.destroy());
    }
    await eventually("all are being answered", async () => (await sidecar.stat("http.in.downstream_rq_active")) >= 64);
    await seconds(2);
    const grown = sidecar.residentBytes() - before;
    assert.ok(grown < 100 << 20, `${Math.round(grown / (1 << 20))} MiB more for 64 answers of 50 MB`);
    for (let i = 0; i < 10; i++) assert.equal((await askIt()).status, 200);
  },
);

test("a program log that nobody reads holds up nothing, and tells afterwards what it lost", async (t) => {
  const { sidecar, port, ask: askIt } = await start(t, {});
  sidecar.process.stderr?.pause();
  for (let round = 0; round < 12; round++) {
    await Promise.all(
      Array.from({ length: 250 }, async () => {
        // Each is a line of the log: the client broke the protocol.
        const socket = connect(port, "127.0.0.1");
        socket.on("error", () => undefined);
        socket.end(`GET / HTTP/1.1\r\n${"x".repeat(100)} : a\r\n\r\n`);
        socket.resume();
        await new Promise((resolve) => socket.once("close", resolve));
      }),
    );
  }
  assert.equal((await askIt()).status, 200);
  assert.equal((await sidecar.page("/ready")).trim(), "LIVE", "the control thread is not held up either");
  assert.ok((await sidecar.stat("log.dropped")) > 0);
  sidecar.process.stderr?.resume();
  await eventually("the log goes on", async () => {
    await ask(port, "/2", false);
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.end("GET / HTTP/1.1\r\nx : a\r\n\r\n");
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
    return /log lines were dropped/.test(sidecar.log);
  });
});

test(
  "an access log whose pipe has no reader, a stuck one, or a new one: serving goes on, drops are counted",
  onLinux,
  async (t) => {
    const folder = scratchFolder(lastFirst(t));
    const path = join(folder, "access.fifo");
    execFileSync("mkfifo", [path]);
    const { sidecar, ask: askIt } = await start(t, {
      folder,
      expectedErrors: /an access log cannot be written .*ENXIO/,
      http: { access_log: [textAccessLog(path)] },
      flags: ["--file-flush-interval-msec", "20"],
    });
    for (let i = 0; i < 50; i++) assert.equal((await askIt()).status, 200);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const text = (): string => {
      const chunk = Buffer.alloc(1 << 16);
      try {
        return chunk.toString("latin1", 0, readSync(reader, chunk));
      } catch {
        return "";
      }
    };
    await eventually("a reader that comes gets lines", async () => {
      await askIt();
      return /GET \/2 HTTP\/1\.1/.test(text());
    });
    assert.equal(await sidecar.stat("workers.died"), 0);
  },
);

/** Blocks until there is a file "enough" beside it. */
const BLOCKING_FILTER = `
import { existsSync } from "node:fs";
import { defineFilter } from "@heddle/filter";
export default defineFilter({
  parse: (config) => ({ ok: true, value: config }),
  create: () => ({
    create: () => ({
      requestHead(exchange) {
        if (exchange.request.path === "/block") while (!existsSync(import.meta.dirname + "/enough"));
        return "continue";
      },
    }),
  }),
});
`;

test("a filter that blocks is named, the other worker serves, and what waited for it is answered", async (t) => {
  const folder = scratchFolder(lastFirst(t), { withinProject: true });
  writeFileSync(join(folder, "blocking.ts"), BLOCKING_FILTER);
  const { sidecar, port } = await start(t, { folder, concurrency: 2, filters: [filterModule("./blocking.ts")] });
  const blocked = ask(port, "/block", false);
  await eventually("it is named", () => /does not answer.*running="\.\/blocking\.ts requestHead"/.test(sidecar.log));
  assert.ok((await sidecar.stat("server.watchdog_mega_miss")) >= 1);
  assert.match(await sidecar.page("/inspect"), /"running": ?"\.\/blocking\.ts requestHead"/);
  writeFileSync(join(folder, "enough"), "");
  assert.equal((await blocked).status, 200);
  assert.equal((await ask(port, "/2", false)).status, 200);
  assert.equal(await sidecar.stat("workers.died"), 0);
});

test("standard output that is closed costs lines of the log alone", onLinux, async (t) => {
  const stdout = {
    name: "stdout",
    typed_config: { "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog" },
  };
  const { ask: askIt } = await start(t, {
    wrap: ["bash", "-c", 'exec "$@" > >(true)', "bash"],
    expectedErrors: /an access log cannot be written .*EPIPE/,
    http: { access_log: [stdout] },
    flags: ["--file-flush-interval-msec", "20"],
  });
  for (let i = 0; i < 30; i++) assert.equal((await askIt()).status, 200);
  await seconds(0.3);
  for (let i = 0; i < 30; i++) assert.equal((await askIt()).status, 200);
});
