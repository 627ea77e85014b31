import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, type IncomingMessage, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, test } from "node:test";
import { systemClock } from "@heddle/base";
import { type ConfigDelta, LaneBook, readBootstrap } from "@heddle/config";
import { socketOpener } from "@heddle/net";
import { createLog, MetricsRegistry, SharedMetrics } from "@heddle/telemetry";
import { httpFilterRegistry, makeResourceTypes } from "@heddle/xds";
import { endpointFigures } from "./control/admin/endpoint-figures.ts";
import { WorkerSupervisor } from "./control/workers/worker-supervisor.ts";
import { WorkerThread } from "./control/workers/worker-thread.ts";
import { builtInFilters } from "./traffic/filter/built-in-filters.ts";
import { FilterModules } from "./traffic/filter/filter-modules.ts";

const folder = mkdtempSync(join(tmpdir(), "heddle-worker-"));
after(() => rmSync(folder, { recursive: true }));
const accessLog = join(folder, "access.log");
const connectionLog = join(folder, "connections.log");
const types = makeResourceTypes({ httpFilters: httpFilterRegistry(builtInFilters(new FilterModules(folder))) });

interface Wanted {
  /** Cluster by path prefix. */
  readonly routes: Readonly<Record<string, string>>;
  /** Ports by cluster. */
  readonly clusters: Readonly<Record<string, readonly number[]>>;
  readonly port?: number;
  /** More HTTP filters, before the router, in YAML's flow form. */
  readonly filters?: string;
  readonly maxRequests?: number;
  /** Any value: a change of it makes another filter chain. */
  readonly maxHeadKb?: number;
}

/** Decodes as the control thread does, from an Envoy bootstrap. */
function configuration({
  routes,
  clusters,
  port = 0,
  filters = "",
  maxRequests = 1024,
  maxHeadKb = 60,
}: Wanted): Map<string, unknown> {
  const http = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
  const router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
  const file = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog";
  const text = `
static_resources:
  listeners:
  - name: in
    address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }
    access_log:
    - name: connections
      typed_config:
        "@type": ${file}
        path: "${connectionLog}"
        log_format: { text_format_source: { inline_string: "%DOWNSTREAM_LOCAL_PORT% %BYTES_RECEIVED% %BYTES_SENT% %PROTOCOL% %RESPONSE_FLAGS%\\n" } }
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": ${http}
          stat_prefix: in
          max_request_headers_kb: ${maxHeadKb}
          access_log: [ { name: file, typed_config: { "@type": ${file}, path: "${accessLog}" } } ]
          http_filters: [ ${filters} { name: router, typed_config: { "@type": ${router} } } ]
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [ ${Object.entries(routes).map(([prefix, cluster]) => `{ match: { prefix: "${prefix}" }, route: { cluster: ${cluster} } }`)} ]
  clusters: [ ${Object.entries(clusters).map(
    ([name, ports]) => `
    { name: ${name}, connect_timeout: 1s,
      circuit_breakers: { thresholds: [ { max_requests: ${maxRequests} } ] },
      load_assignment: { cluster_name: ${name}, endpoints: [ { lb_endpoints: [ ${ports.map((to) => `{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ${to} } } } }`)} ] } ] } }`,
  )} ]
`;
  const reading = readBootstrap("test.yaml", text, types);
  assert.ok(reading.ok, reading.ok ? "" : JSON.stringify(reading.error, null, 1));
  const { bootstrap } = reading.value;
  const entries = new Map<string, unknown>();
  for (const config of bootstrap.listeners) {
    // Routes cross by name, as they would come by RDS: changing them leaves the listener as it is.
    const json = JSON.parse(JSON.stringify(config));
    const http = json.filterChains[0].filters[0].config;
    entries.set("route-configuration/r", { ...http.routes.routeConfig, name: "r" });
    http.routes = { type: "rds", routeConfigName: "r" };
    entries.set(`listener/${config.name}`, json);
  }
  for (const config of bootstrap.clusters) {
    entries.set(`cluster/${config.name}`, config);
    if ("loadAssignment" in config.discovery) entries.set(`endpoints/${config.name}`, config.discovery.loadAssignment);
  }
  return entries;
}

class Mesh {
  readonly lanes = new LaneBook();
  readonly registry = new MetricsRegistry();
  readonly logged: string[] = [];
  readonly supervisor: WorkerSupervisor;

  private constructor(supervisor: (mesh: Mesh) => WorkerSupervisor) {
    this.supervisor = supervisor(this);
  }

  static async start(concurrency: number, prepare?: (workers: WorkerSupervisor) => void): Promise<Mesh> {
    const opener = await socketOpener();
    const clock = systemClock;
    const mesh = new Mesh(
      ({ logged, registry, lanes }) =>
        new WorkerSupervisor({
          openThread: (worker) => new WorkerThread(new URL("./traffic-worker.ts", import.meta.url), worker, undefined),
          concurrency,
          opener,
          clock,
          log: createLog({ level: "info", format: "text", clock, write: (line) => logged.push(line) }),
          logLevel: "off",
          logFormat: "text",
          metrics: new SharedMetrics((message) => registry.receive(0, message)),
          registry,
          lanes,
          drain: { strategy: "immediate", timeMs: 2000 },
          filterFolder: folder,
          maxDownstreamConnections: 1000,
          random: () => 0,
        }),
    );
    prepare?.(mesh.supervisor);
    await mesh.supervisor.start();
    return mesh;
  }

  async apply(wanted: Wanted, removed: readonly string[] = []): Promise<void> {
    const update = this.lanes.apply({ changed: configuration(wanted), removed } as unknown as ConfigDelta);
    assert.ok(update !== undefined);
    this.supervisor.apply(update);
    await until(() => this.supervisor.acknowledged === this.lanes.generation);
  }

  get port(): number {
    const address = this.supervisor.listeners[0]?.address;
    assert.ok(address?.type === "socket");
    return address.port;
  }

  metric(name: string): number {
    return this.registry.collect().find((series) => series.name === name)?.value ?? 0;
  }
}

async function until(met: () => boolean): Promise<void> {
  const deadline = systemClock.now() + 30_000;
  while (!met()) {
    assert.ok(systemClock.now() < deadline, `it never became true: ${met}`);
    await new Promise<void>((resolve) => systemClock.after(2, resolve));
  }
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

let mesh: Mesh;
let agent: Agent;
let servers: Server[];

/** A server that answers with its name; `/hold` waits until `release` is called. */
async function app(name: string): Promise<{ port: number; release: () => void; seen: () => number }> {
  const held: (() => void)[] = [];
  let seen = 0;
  const server = createServer((incoming, response) => {
    seen++;
    const body: Buffer[] = [];
    incoming.on("data", (chunk) => body.push(chunk));
    incoming.on("end", () => {
      const answer = (): unknown => response.end(`${name} ${incoming.url} ${Buffer.concat(body).length}`);
      if (incoming.url?.endsWith("/hold")) held.push(answer);
      else answer();
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const release = (): void => {
    for (const answer of held.splice(0)) answer();
  };
  return { port: (server.address() as AddressInfo).port, release, seen: () => seen };
}

function ask(path: string, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      port: mesh.port,
      host: "127.0.0.1",
      path,
      agent,
      method: body === undefined ? "GET" : "POST",
    });
    outgoing.on("error", reject);
    outgoing.on("response", (incoming: IncomingMessage) => {
      let text = "";
      incoming.on("data", (chunk) => {
        text += chunk;
      });
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body: text }));
      incoming.on("error", reject);
    });
    outgoing.end(body);
  });
}

describe("the traffic worker", () => {
  beforeEach(() => {
    servers = [];
    agent = new Agent({ keepAlive: true });
    writeFileSync(accessLog, "");
    writeFileSync(connectionLog, "");
  });

  afterEach(async () => {
    agent.destroy();
    await mesh.supervisor.stop(0);
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  test("carries a request to its cluster and the answer back, and writes them down", async () => {
    mesh = await Mesh.start(1);
    const a = await app("a");
    await mesh.apply({ routes: { "/": "a" }, clusters: { a: [a.port] } });
    assert.deepEqual(await ask("/x"), { status: 200, body: "a /x 0" });
    assert.deepEqual(await ask("/up", Buffer.alloc(3_000_000)), { status: 200, body: "a /up 3000000" });
    await until(() => mesh.metric("cluster.upstream_rq_2xx") === 2);
    const { port } = mesh;
    agent.destroy();
    await mesh.supervisor.stop(1000);
    const lines = readFileSync(accessLog, "utf8").trim().split("\n");
    assert.equal(lines.length, 2);
    assert.match(
      lines[0] ?? "",
      new RegExp(`^\\[\\d{4}-.*Z\\] "GET /x HTTP/1\\.1" 200 - 0 6 .*"127\\.0\\.0\\.1:${a.port}"$`),
    );
    // The agent keeps one connection, which carried both.
    assert.match(readFileSync(connectionLog, "utf8"), new RegExp(`^${port} 3000[1-9]\\d\\d [1-9]\\d+ - -\n$`));
  });

  test("a changed route is in force for the next request and leaves the running one alone", async () => {
    mesh = await Mesh.start(1);
    const [a, b] = [await app("a"), await app("b")];
    const clusters = { a: [a.port], b: [b.port] };
    await mesh.apply({ routes: { "/": "a" }, clusters });
    const running = ask("/hold");
    await until(() => a.seen() === 1);
    await mesh.apply({ routes: { "/": "b" }, clusters });
    assert.equal((await ask("/next")).body, "b /next 0");
    const figures = await endpointFigures(mesh.supervisor, 5000);
    const activeAndAnswered = (cluster: string, port: number): unknown => {
      const [connections, , , requests, , answered] = figures?.of(cluster, `127.0.0.1:${port}`) ?? [];
      return [connections, requests, answered];
    };
    assert.deepEqual(activeAndAnswered("a", a.port), [1, 1, 0]);
    assert.deepEqual(activeAndAnswered("b", b.port), [1, 0, 1]);
    a.release();
    assert.equal((await running).body, "a /hold 0");
  });

  test("no request fails while routes, clusters and endpoints change under load in three workers", async () => {
    mesh = await Mesh.start(3);
    const [a, b] = [await app("a"), await app("b")];
    await mesh.apply({ routes: { "/": "a" }, clusters: { a: [a.port] } });
    const answers: Answer[] = [];
    const failures: unknown[] = [];
    let going = true;
    const client = async (): Promise<void> => {
      while (going)
        await ask("/load").then(
          (answer) => answers.push(answer),
          (error) => failures.push(error),
        );
    };
    const clients = Array.from({ length: 8 }, client);
    const more = async (): Promise<void> => {
      const before = answers.length + failures.length;
      await until(() => answers.length + failures.length >= before + 20);
    };
    for (let round = 0; round < 5; round++) {
      await mesh.apply({ routes: { "/": "b" }, clusters: { b: [b.port] } }, ["cluster/a", "endpoints/a"]);
      await more();
      await mesh.apply({ routes: { "/x": "b", "/": "a" }, clusters: { a: [a.port, b.port], b: [b.port] } });
      await more();
      await mesh.apply({ routes: { "/": "a" }, clusters: { a: [a.port] } }, ["cluster/b", "endpoints/b"]);
      await more();
    }
    going = false;
    await Promise.all(clients);
    assert.deepEqual(failures, []);
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.ok(a.seen() > 50 && b.seen() > 50);
  });

  test("no request fails while the listener changes under load", async () => {
    mesh = await Mesh.start(2);
    const a = await app("a");
    const wanted = { routes: { "/": "a" }, clusters: { a: [a.port] } };
    const answers: number[] = [];
    const failures: unknown[] = [];
    await mesh.apply(wanted);
    const { port } = mesh;
    await mesh.apply({ ...wanted, port, maxHeadKb: 61 });
    let going = true;
    const client = async (): Promise<void> => {
      while (going) {
        await ask("/load").then(
          ({ status }) => answers.push(status),
          (error) => failures.push(error),
        );
      }
    };
    const clients = Array.from({ length: 8 }, client);
    for (let round = 0; round < 10; round++) {
      const before = answers.length + failures.length;
      await mesh.apply({ ...wanted, port, maxHeadKb: 62 + round });
      await until(() => answers.length + failures.length >= before + 20);
    }
    going = false;
    await Promise.all(clients);
    assert.deepEqual(failures, []);
    assert.deepEqual([...new Set(answers)], [200]);
  });

  test("max_requests is one limit for all workers", async () => {
    mesh = await Mesh.start(3);
    const a = await app("a");
    await mesh.apply({ routes: { "/": "a" }, clusters: { a: [a.port] }, maxRequests: 5 });
    const statuses: number[] = [];
    const asked = Array.from({ length: 20 }, async () => statuses.push((await ask("/hold")).status));
    await until(() => statuses.length === 15);
    assert.deepEqual([...new Set(statuses)], [503]);
    await until(() => a.seen() === 5);
    a.release();
    await Promise.all(asked);
    assert.equal(statuses.filter((status) => status === 200).length, 5);
  });

  /** Whether an answer says that its connection ends. */
  function closes(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ port: mesh.port, host: "127.0.0.1", path: "/", agent });
      outgoing.on("error", reject);
      outgoing.on("response", (incoming: IncomingMessage) => {
        incoming.resume();
        incoming.on("end", () => resolve(incoming.headers.connection === "close"));
      });
      outgoing.end();
    });
  }

  async function untilItCloses(expected: boolean): Promise<void> {
    const deadline = systemClock.now() + 30_000;
    while ((await closes()) !== expected) assert.ok(systemClock.now() < deadline, `answers close: ${!expected}`);
  }

  function accepts(port: number): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.1", port });
      socket.on("connect", () => resolve(true));
      socket.on("error", () => resolve(false));
      socket.on("connect", () => socket.destroy());
    });
  }

  async function untilItAcceptsNobody(port: number): Promise<void> {
    const deadline = systemClock.now() + 30_000;
    while (await accepts(port)) assert.ok(systemClock.now() < deadline, "it still accepts");
  }

  test("answers close their connections while the health check fails, in workers that start then as well", async () => {
    const a = await app("a");
    mesh = await Mesh.start(2, (workers) => workers.setHealthCheckFailed(true));
    await mesh.apply({ routes: { "/": "a" }, clusters: { a: [a.port] } });
    assert.equal(mesh.supervisor.healthCheckFailed, true);
    for (let i = 0; i < 10; i++) assert.equal(await closes(), true);
    mesh.supervisor.setHealthCheckFailed(false);
    await untilItCloses(false);
    mesh.supervisor.setHealthCheckFailed(true);
    await untilItCloses(true);
  });

  test("listeners that are drained accept nobody, now and after an update, and their connections go on", async () => {
    const a = await app("a");
    mesh = await Mesh.start(2);
    const wanted = { routes: { "/": "a" }, clusters: { a: [a.port] } };
    await mesh.apply(wanted);
    const { port } = mesh;
    assert.equal(await closes(), false);
    mesh.supervisor.drainListeners({ inboundOnly: true, graceful: false, skipExit: false });
    await mesh.apply({ ...wanted, maxRequests: 1000 });
    assert.equal(await accepts(port), true, "it is no inbound listener");
    mesh.supervisor.drainListeners({ inboundOnly: false, graceful: false, skipExit: false });
    await untilItAcceptsNobody(port);
    const held = request({ port, host: "127.0.0.1", path: "/", agent });
    held.end();
    const [answer] = (await once(held, "response")) as [IncomingMessage];
    assert.equal(answer.statusCode, 200, "on the connection of before");
    answer.resume();
    await mesh.apply({ ...wanted, port, maxHeadKb: 61 });
    assert.equal(await accepts(port), false);
    assert.deepEqual(mesh.supervisor.listeners, []);
  });

  test("a graceful drain lets answers close first, and stops accepting when its time is up", async () => {
    const a = await app("a");
    mesh = await Mesh.start(2); // which drains at once, within 2 s
    await mesh.apply({ routes: { "/": "a" }, clusters: { a: [a.port] } });
    const { port } = mesh;
    const began = systemClock.now();
    mesh.supervisor.drainListeners({ inboundOnly: false, graceful: true, skipExit: false });
    await untilItCloses(true);
    await untilItAcceptsNobody(port);
    assert.ok(systemClock.now() - began >= 1999);
  });

  test("a filter written in TypeScript is loaded before the listener that names it", async () => {
    writeFileSync(
      join(folder, "tag.ts"),
      `export default {
        parse: (config) => ({ ok: true, value: config }),
        create: (config) => ({ create: () => ({ requestHead(exchange: unknown) { (exchange as any).request.path = config.path; return "continue"; } }) }),
      };`,
    );
    mesh = await Mesh.start(1);
    const a = await app("a");
    const filters = `{ name: tag, typed_config: { "@type": type.googleapis.com/heddle.filters.http.v1.Module, module_path: tag.ts, config: { path: /tagged } } },`;
    await mesh.apply({ routes: { "/": "a" }, clusters: { a: [a.port] }, filters });
    assert.equal((await ask("/x")).body, "a /tagged 0");
  });

  test("a listener that cannot be built is named, and the one before goes on", async () => {
    mesh = await Mesh.start(1);
    const a = await app("a");
    const good = { routes: { "/": "a" }, clusters: { a: [a.port] } };
    await mesh.apply(good);
    const filters = `{ name: tag, typed_config: { "@type": type.googleapis.com/heddle.filters.http.v1.Module, module_path: not-there.ts } },`;
    await mesh.apply({ ...good, filters });
    await until(() => /listener\/in .*not-there\.ts has not been loaded/.test(mesh.logged.join("")));
    assert.equal((await ask("/x")).body, "a /x 0");
  });
});
