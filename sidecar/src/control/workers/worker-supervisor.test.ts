import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, describe, test } from "node:test";
import { type Clock, systemClock } from "@heddle/base";
import { type ConfigDelta, LaneBook } from "@heddle/config";
import { reusePortOpener, type SocketOpener, socketOpener } from "@heddle/net";
import { createLog, MetricsRegistry, SharedMetrics } from "@heddle/telemetry";
import type { ListenerConfig } from "@heddle/traffic";
import { WorkerSupervisor, type WorkerSupervisorOptions } from "./worker-supervisor.ts";
import { WorkerThread } from "./worker-thread.ts";

/** A supervisor of greeting workers (greeting-worker.ts), its configuration, and what it logs. */
class World {
  readonly lanes = new LaneBook();
  readonly registry = new MetricsRegistry();
  readonly logged: string[] = [];
  readonly supervisor: WorkerSupervisor;

  constructor(
    concurrency: number,
    opener: SocketOpener,
    maxDownstreamConnections = 1000,
    clock: Clock = systemClock,
    more: Partial<WorkerSupervisorOptions> = {},
  ) {
    this.supervisor = new WorkerSupervisor({
      openThread: greetingThread(),
      concurrency,
      opener,
      clock,
      log: createLog({ level: "info", format: "text", clock: systemClock, write: (line) => this.logged.push(line) }),
      logLevel: "off",
      logFormat: "text",
      metrics: new SharedMetrics((message) => this.registry.receive(0, message)),
      registry: this.registry,
      lanes: this.lanes,
      drain: { strategy: "immediate" as const, timeMs: 1000 },
      filterFolder: ".",
      maxDownstreamConnections,
      random: () => 0,
      ...more,
    });
  }

  /** Applies a step and waits until it serves. */
  async apply(changed: Readonly<Record<string, unknown>>, removed: readonly string[] = []): Promise<void> {
    const update = this.lanes.apply({ changed: new Map(Object.entries(changed)), removed } as ConfigDelta);
    assert.ok(update !== undefined, "the step changes something");
    this.supervisor.apply(update);
    await until(() => this.supervisor.acknowledged === this.lanes.generation);
  }

  port(listener: string): number {
    const found = this.supervisor.listeners.find(({ name }) => name === listener)?.address;
    assert.ok(found?.type === "socket");
    return found.port;
  }

  metric(name: string): number {
    return this.registry.collect().find((series) => series.name === name)?.value ?? 0;
  }
}

function greetingThread(heapMb?: number): WorkerSupervisorOptions["openThread"] {
  return (worker) => new WorkerThread(new URL("./greeting-worker.ts", import.meta.url), worker, heapMb);
}

function listener(name: string, port = 0, chain = "c", statPrefix = ""): ListenerConfig {
  return {
    name,
    address: { type: "socket", address: "127.0.0.1", port },
    additionalAddresses: [],
    statPrefix,
    filterChains: [
      {
        name: chain,
        match: undefined,
        filters: [{ type: "extension", name: "greeting", config: { name: "greeting", type: "greeting", config: {} } }],
        transportSocketConnectTimeoutMs: 0,
      },
    ],
    defaultFilterChain: undefined,
    perConnectionBufferLimitBytes: 1 << 20,
    listenerFiltersTimeoutMs: 0,
    continueOnListenerFiltersTimeout: false,
    listenerFilters: [],
    trafficDirection: "UNSPECIFIED",
    tcpBacklogSize: undefined,
    reusePort: true,
    drainType: "DEFAULT",
    accessLog: [],
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function until(met: () => boolean): Promise<void> {
  const deadline = systemClock.now() + 30_000;
  while (!met()) {
    assert.ok(systemClock.now() < deadline, `it never became true: ${met}`);
    await new Promise<void>((resolve) => systemClock.after(2, resolve));
  }
}

/** A client that keeps what it was told. */
class Client {
  readonly socket: Socket;
  heard = "";
  ended = false;
  error = "";

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1" });
    this.socket.on("data", (bytes) => {
      this.heard += bytes;
    });
    this.socket.on("error", (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? "";
    });
    this.socket.on("close", () => {
      this.ended = true;
    });
  }

  async greeting(): Promise<string> {
    await until(() => this.heard.includes("\n") || this.ended);
    return this.heard;
  }
}

/** Ten times as fast. */
const hurriedClock: Clock = {
  now: () => systemClock.now() * 10,
  wallNow: () => systemClock.wallNow(),
  after: (delayMs, callback, unref) => systemClock.after(delayMs / 10, callback, unref),
};

let world: World | undefined;

async function start(concurrency: number, opener?: SocketOpener, maxConnections?: number): Promise<World> {
  world = new World(concurrency, opener ?? (await socketOpener()), maxConnections);
  await world.supervisor.start();
  return world;
}

afterEach(async () => {
  await world?.supervisor.stop(0);
  world = undefined;
  const left = (): string[] =>
    process.getActiveResourcesInfo().filter((kind) => !["PipeWrap", "TTYWrap", "Immediate"].includes(kind));
  const deadline = systemClock.now() + 30_000;
  while (left().length > 0 && systemClock.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(left(), []);
});

describe("traffic workers", () => {
  test("serve a listener as soon as its step is acknowledged", async () => {
    const { supervisor } = await start(1);
    await world!.apply({ "listener/a": listener("a") });
    const client = new Client(world!.port("a"));
    assert.equal(await client.greeting(), "1 a c\n");
    client.socket.write("hello");
    await until(() => client.heard.endsWith("hello"));
    await until(() => world!.metric("listener.downstream_cx_total") === 1);
    assert.equal(supervisor.running, 1);
    client.socket.destroy();
    await until(() => world!.metric("listener.downstream_cx_active") === 0);
  });

  test("an update that keeps the address and the chains touches no connection", async () => {
    await start(1);
    await world!.apply({ "listener/a": listener("a") });
    const port = world!.port("a");
    const client = new Client(port);
    await client.greeting();
    const more = listener("a");
    const second = { ...more.filterChains[0]!, name: "d", match: { ...ANY, sourcePorts: [1] } };
    await world!.apply({ "listener/a": { ...more, filterChains: [...more.filterChains, second] } });
    client.socket.write("still here");
    await until(() => client.heard.endsWith("still here"));
    assert.equal(client.ended, false);
    assert.equal(world!.port("a"), port);
    client.socket.destroy();
  });

  test("statement 60: connections of a chain that changed drain, and new ones get the new chain", async () => {
    await start(1);
    await world!.apply({ "listener/a": listener("a", 0, "old") });
    const before = new Client(world!.port("a"));
    assert.equal(await before.greeting(), "1 a old\n");
    await world!.apply({ "listener/a": listener("a", 0, "new") });
    const after = new Client(world!.port("a"));
    assert.equal(await after.greeting(), "1 a new\n");
    before.socket.write("last words");
    await until(() => before.ended);
    assert.match(before.heard, /last words$/);
    after.socket.destroy();
  });

  test("what does not drain in time is closed", async () => {
    await start(1);
    await world!.apply({ "listener/a": listener("a") });
    const silent = new Client(world!.port("a"));
    await silent.greeting();
    const began = systemClock.now();
    await world!.apply({}, ["listener/a"]);
    const refused = new Client(silent.socket.remotePort ?? 0);
    await until(() => refused.ended);
    assert.equal(refused.error, "ECONNREFUSED");
    await until(() => silent.ended);
    assert.ok(systemClock.now() - began >= 900, "it had its time to drain");
  });

  test("a listener of another name takes the address over without closing it", async () => {
    await start(1);
    const port = await freePort();
    await world!.apply({ "listener/a": listener("a", port) });
    const clients: Client[] = [];
    const pump = (): void => {
      clients.push(new Client(port));
    };
    for (let i = 0; i < 10; i++) pump();
    const step = world!.apply({ "listener/b": listener("b", port) }, ["listener/a"]);
    for (let i = 0; i < 40; i++) {
      pump();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await step;
    pump();
    for (const client of clients) assert.match(await client.greeting(), /^1 [ab] c\n$/);
    assert.equal(await clients.at(-1)!.greeting(), "1 b c\n");
    for (const client of clients) client.socket.destroy();
  });

  test("an address that is taken holds its listener back, says so, and is tried again", async () => {
    await start(1);
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const { port } = blocker.address() as { port: number };
    await world!.apply({ "listener/a": listener("a") });
    const old = world!.port("a");
    await world!.apply({ "listener/a": listener("a", port, "moved"), "listener/b": listener("b") });
    assert.match(world!.logged.join(""), new RegExp(`127\\.0\\.0\\.1:${port}: the address is in use`));
    assert.match(JSON.stringify(world!.supervisor.inspect()), /listener\/a/);
    const still = new Client(old);
    assert.equal(await still.greeting(), "1 a c\n");
    still.socket.destroy();
    await new Promise((resolve) => blocker.close(resolve));
    await until(() =>
      world!.supervisor.listeners.some(({ address }) => address.type === "socket" && address.port === port),
    );
    const moved = new Client(port);
    assert.equal(await moved.greeting(), "1 a moved\n");
    moved.socket.destroy();
  });

  test("a listener that workers cannot build keeps no address, and is told of", async () => {
    await start(2);
    const port = await freePort();
    await world!.apply({ "listener/a": listener("a", port, "broken"), "listener/b": listener("b") });
    await until(() => !world!.supervisor.listeners.some(({ name }) => name === "a"));
    // Whoever comes before the last worker has let go of its descriptor is reset.
    for (let error = ""; error !== "ECONNREFUSED"; ) {
      const refused = new Client(port);
      await until(() => refused.ended);
      error = refused.error;
      assert.equal(refused.heard, "");
    }
    assert.equal(world!.metric("listener_manager.listener_create_failure"), 1);
    assert.match(JSON.stringify(world!.supervisor.inspect()), /"listener\/a":"cannot be built"/);
    await world!.apply({ "listener/a": listener("a", port, "mended") });
    const mended = new Client(port);
    assert.match(await mended.greeting(), /a mended/);
    assert.doesNotMatch(JSON.stringify(world!.supervisor.inspect()), /cannot be built/);
    mended.socket.destroy();
  });

  test("a change that workers cannot build leaves the listener as it was, for the next worker too", async () => {
    const { supervisor } = await start(1);
    await world!.apply({ "listener/a": listener("a") });
    const port = world!.port("a");
    await world!.apply({ "listener/a": listener("a", 0, "broken") });
    const client = new Client(port);
    assert.equal(await client.greeting(), "1 a c\n");
    client.socket.write("die");
    await until(() => supervisor.restarts === 1);
    const next = new Client(port);
    assert.equal(await next.greeting(), "2 a c\n");
    client.socket.destroy();
    next.socket.destroy();
  });

  test("two listeners cannot have one address", async () => {
    await start(1);
    const port = await freePort();
    await world!.apply({ "listener/a": listener("a", port) });
    await world!.apply({ "listener/b": listener("b", port), "listener/c": listener("c") });
    assert.match(world!.logged.join(""), /listener \\"a\\" does/);
  });

  test("the limit on connections is one for all workers", async () => {
    await start(2, undefined, 3);
    await world!.apply({ "listener/a": listener("a") });
    const clients = Array.from({ length: 8 }, () => new Client(world!.port("a")));
    for (const client of clients) await client.greeting();
    assert.equal(clients.filter(({ heard }) => heard !== "").length, 3);
    for (const client of clients) client.socket.destroy();
    await until(() => world!.metric("listener.downstream_cx_active") === 0);
    const again = new Client(world!.port("a"));
    assert.match(await again.greeting(), /a c/);
    again.socket.destroy();
  });

  test("a handler that throws loses its connection alone", async () => {
    const { supervisor } = await start(1);
    await world!.apply({ "listener/a": listener("a") });
    const [one, other] = [new Client(world!.port("a")), new Client(world!.port("a"))];
    await one.greeting();
    await other.greeting();
    one.socket.write("throw");
    await until(() => one.ended);
    other.socket.write("fine");
    await until(() => other.heard.endsWith("fine"));
    assert.equal(supervisor.restarts, 0);
    other.socket.destroy();
  });

  test("connections that came in the very turn in which a worker dies are served by the next", async () => {
    await start(1);
    await world!.apply({ "listener/a": listener("a") });
    const [blocker, killer] = [new Client(world!.port("a")), new Client(world!.port("a"))];
    await blocker.greeting();
    await killer.greeting();
    blocker.socket.write("block"); // what comes meanwhile is found in one look at the sockets, in this order:
    await new Promise((resolve) => systemClock.after(100, () => resolve(undefined)));
    killer.socket.write("die");
    await new Promise((resolve) => systemClock.after(50, () => resolve(undefined)));
    const waiting = Array.from({ length: 5 }, () => new Client(world!.port("a")));
    for (const client of waiting) assert.equal(await client.greeting(), "2 a c\n");
    for (const client of [blocker, killer, ...waiting]) client.socket.destroy();
  });

  test("a promise that is rejected and that nobody awaits costs nothing", async () => {
    const { supervisor } = await start(1);
    await world!.apply({ "listener/a": listener("a") });
    const client = new Client(world!.port("a"));
    await client.greeting();
    client.socket.write("reject");
    await until(() => world!.metric("worker.internal_error") === 1);
    client.socket.write("fine");
    await until(() => client.heard.endsWith("fine"));
    assert.equal(supervisor.restarts, 0);
    client.socket.destroy();
  });

  for (const sharing of ["one queue", "SO_REUSEPORT"] as const) {
    test(`a worker that dies under load is replaced (${sharing})`, async () => {
      const { supervisor } = await start(3, sharing === "one queue" ? undefined : reusePortOpener());
      await world!.apply({ "listener/a": listener("a") });
      const port = world!.port("a");
      const killer = new Client(port);
      await killer.greeting();
      const clients: Client[] = [];
      const died = systemClock.now();
      killer.socket.write("die");
      while (supervisor.restarts === 0 || clients.length < 200) {
        const client = new Client(port);
        clients.push(client);
        await new Promise((resolve) => setImmediate(resolve));
        assert.ok(systemClock.now() - died < 20_000, "it was replaced");
      }
      for (const client of clients) await client.greeting();
      const lost = clients.filter(({ heard }) => heard === "").length;
      // With one queue each, those that waited with the dead worker are lost, which is why it is not the first choice.
      if (sharing === "one queue") {
        assert.equal(lost, 0, `of ${clients.length} connections`);
      }
      await until(() => supervisor.running === 3);
      await until(() => supervisor.acknowledged === world!.lanes.generation);
      for (const client of clients) client.socket.destroy();
      killer.socket.destroy();
      await until(() => world!.metric("listener.downstream_cx_active") === 0);
      const counted = JSON.parse(JSON.stringify(supervisor.inspect())).downstreamConnections;
      assert.equal(counted, 0, "what the dead worker held is taken off the count");
      assert.match(world!.logged.join(""), /a traffic worker died and is replaced .*told to die/);
    });
  }

  test("a worker that something blocks is named while it is blocked, and not replaced", async () => {
    world = new World(1, await socketOpener(), 10, hurriedClock);
    await world.supervisor.start();
    await world.apply({ "listener/a": listener("a") });
    const client = new Client(world.port("a"));
    await client.greeting();
    client.socket.write("block");
    await until(() => JSON.stringify(world?.supervisor.inspect()).includes('"blocked":true'));
    assert.deepEqual(await world.supervisor.inspectWorkers(10), [{ worker: 1, value: null }]);
    await until(() => JSON.stringify(world?.supervisor.inspect()).includes('"blocked":false'));
    assert.match(
      world.logged.join(""),
      /does not answer: something in it blocks worker=1 .*\n.*answers again worker=1/,
    );
    assert.ok(world.metric("server.watchdog_mega_miss") >= 1);
    assert.ok(world.metric("server.worker_0.watchdog_mega_miss") >= 1);
    assert.equal(world.supervisor.restarts, 0);
    client.socket.destroy();
  });

  test("a worker that does not come back is ended and replaced, and what waited is served by the next", async () => {
    world = new World(1, await socketOpener(), 10, systemClock, {
      watchdog: { missTimeoutMs: 100, megamissTimeoutMs: 200, killTimeoutMs: 1500, maxKillTimeoutJitterMs: 0 },
    });
    await world.supervisor.start();
    await world.apply({ "listener/a": listener("a") });
    const client = new Client(world.port("a"));
    await client.greeting();
    client.socket.write("spin");
    await until(() => world?.metric("server.watchdog_miss") === 1);
    const waiting = new Client(world.port("a"));
    assert.match(await waiting.greeting(), /^[2-9] a c\n$/);
    assert.match(world.logged.join(""), /has not answered for too long and is ended/);
    assert.match(world.logged.join(""), /a traffic worker died and is replaced .*blocked/);
    assert.ok(world.metric("workers.killed") >= 1);
    await until(() => client.ended);
    waiting.socket.destroy();
  });

  test("a worker whose heap is full ends alone, and is replaced", async () => {
    world = new World(1, await socketOpener(), 10, systemClock, { openThread: greetingThread(48) });
    await world.supervisor.start();
    await world.apply({ "listener/a": listener("a") });
    const client = new Client(world.port("a"));
    await client.greeting();
    client.socket.write("hoard");
    await until(() => client.ended);
    const next = new Client(world.port("a"));
    assert.equal(await next.greeting(), "2 a c\n");
    assert.match(world.logged.join(""), /a traffic worker died and is replaced .*ERR_WORKER_OUT_OF_MEMORY/);
    next.socket.destroy();
  });

  test("near the end of its descriptors connections wait in the kernel, and are accepted when others end", async () => {
    const use = { limit: 100, used: 60 };
    world = new World(1, await socketOpener(), 1000, hurriedClock, { descriptors: () => use });
    use.used = 60;
    await world.supervisor.start();
    use.limit = 0; // no more than there are
    await world.apply({ "listener/a": listener("a") });
    const clients = Array.from({ length: 5 }, () => new Client(world!.port("a")));
    await until(() => clients.some(({ heard }) => heard !== ""));
    await until(() => world!.metric("workers.accept_paused") >= 1);
    const served = (): number => clients.filter(({ heard }) => heard !== "").length;
    assert.ok(served() < 5, "the others wait");
    use.limit = 1000;
    await until(() => served() === 5);
    assert.equal(clients.filter(({ ended }) => ended).length, 0);
    for (const client of clients) client.socket.destroy();
  });

  test("a listener has its own limit on connections", async () => {
    world = new World(2, await socketOpener(), 1000, systemClock, { listenerLimits: { a: 2 } });
    await world.supervisor.start();
    await world.apply({ "listener/a": listener("a"), "listener/b": listener("b") });
    const clients = ["a", "a", "a", "b", "b", "b"].map((name) => new Client(world!.port(name)));
    for (const client of clients) await client.greeting();
    assert.equal(clients.filter(({ heard }) => heard !== "").length, 5);
    await until(() => world!.metric("listener.downstream_cx_overflow") === 1);
    for (const client of clients) client.socket.destroy();
    await until(() => world!.metric("listener.downstream_cx_active") === 0);
    const again = new Client(world.port("a"));
    assert.match(await again.greeting(), / a c/);
    again.socket.destroy();
  });

  test("counters go on from where the dead worker left them", async () => {
    const { supervisor } = await start(1);
    await world!.apply({ "listener/a": listener("a") });
    const client = new Client(world!.port("a"));
    await client.greeting();
    await until(() => world!.metric("listener.downstream_cx_total") === 1);
    client.socket.write("die");
    await until(() => supervisor.restarts === 1 && supervisor.running === 1);
    const next = new Client(world!.port("a"));
    assert.equal(await next.greeting(), "2 a c\n");
    await until(() => world!.metric("listener.downstream_cx_total") === 2);
    assert.equal(world!.metric("workers.died"), 1);
    next.socket.destroy();
    client.socket.destroy();
  });

  test("stop lets connections drain, and refuses new ones meanwhile", async () => {
    const { supervisor } = await start(2);
    await world!.apply({ "listener/a": listener("a") });
    const port = world!.port("a");
    const client = new Client(port);
    await client.greeting();
    const stopped = supervisor.stop(3000);
    await until(() => {
      const late = new Client(port);
      late.socket.on("connect", () => late.socket.destroy());
      return client.ended || world!.supervisor.listeners.length === 0;
    });
    client.socket.write("bye");
    await stopped;
    await until(() => client.ended);
    assert.match(client.heard, /bye$/);
    assert.equal(supervisor.running, 0);
  });

  test("a second stop does not wait any longer", async () => {
    const { supervisor } = await start(1);
    await world!.apply({ "listener/a": listener("a") });
    const client = new Client(world!.port("a"));
    await client.greeting();
    const began = systemClock.now();
    const patient = supervisor.stop(60_000);
    await supervisor.stop(0);
    await patient;
    assert.ok(systemClock.now() - began < 30_000);
    await until(() => client.ended);
  });

  test("a worker that does not even start is an error of start", async () => {
    world = new World(1, await socketOpener());
    const broken = new WorkerSupervisor({
      ...optionsOf(world),
      openThread: (worker) => new WorkerThread(new URL("./no-such-worker.ts", import.meta.url), worker, undefined),
    });
    await assert.rejects(broken.start(), /no-such-worker/);
    await broken.stop(0);
  });

  test("inspects its workers from inside", async () => {
    const { supervisor } = await start(2);
    await world!.apply({ "listener/a": listener("a") });
    const seen = await supervisor.inspectWorkers(5000);
    assert.equal(seen.length, 2);
    assert.match(JSON.stringify(seen), /"accepting":true/);
  });
});

const ANY = {
  destinationPort: undefined,
  prefixRanges: [],
  directSourcePrefixRanges: [],
  sourceType: "ANY",
  sourcePrefixRanges: [],
  sourcePorts: [],
  serverNames: [],
  transportProtocol: "",
  applicationProtocols: [],
} as const;

function optionsOf({ lanes, registry, logged }: World) {
  const clock = systemClock;
  return {
    concurrency: 1,
    opener: reusePortOpener(),
    clock,
    log: createLog({ level: "info" as const, format: "text" as const, clock, write: (line) => logged.push(line) }),
    logLevel: "off" as const,
    logFormat: "text" as const,
    metrics: new SharedMetrics(() => undefined),
    registry,
    lanes,
    drain: { strategy: "immediate" as const, timeMs: 1000 },
    filterFolder: ".",
    maxDownstreamConnections: 10,
    random: () => 0,
  };
}
