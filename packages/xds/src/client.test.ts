import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { connectivityState, Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { type Clock, ManualClock, systemClock, type Timer } from "@heddle/base";
import type { Log, MetricScope } from "@heddle/telemetry";
import { CLIENT_FEATURES, DialTooEarly, type XdsChannel, XdsClient, type XdsClientOptions, xdsDial } from "./client.ts";
import { typeUrlOfKind } from "./protocol/type-urls.ts";
import type { ResourceKind } from "./resource/resource-type.ts";
import { XdsServer, xdsServerOptions } from "./server.ts";
import type { Snapshot } from "./snapshot.ts";
import type { ResourceUpdate } from "./subscription.ts";
import {
  eventually,
  quietLog,
  quietMetrics,
  SettableSource,
  type TextConfig,
  type TextWorld,
  testNode,
  textResource,
  textSnapshot,
  textType,
} from "./testing.ts";

const KINDS: readonly ResourceKind[] = ["cluster", "endpoints", "listener", "route-configuration"];

for (const variant of ["sotw", "delta"] as const) {
  test(`${variant}: the chain from listeners to endpoints arrives, as an assembler asks for it`, async () => {
    const server = await serve({
      listener: { outbound: "listener" },
      "route-configuration": { outbound: "routes" },
      cluster: { orders: "cluster", stock: "cluster" },
      endpoints: { orders: "1", stock: "1" },
    });
    const client = connect(server, variant, {
      // What an assembler does: listeners name routes, clusters name endpoints.
      onUpdate: (update, xds) => {
        if (update.kind === "listener") xds.subscribe("route-configuration", new Set(update.changed.keys()));
        if (update.kind === "cluster") xds.subscribe("endpoints", new Set(update.changed.keys()));
      },
    });
    client.xds.subscribe("listener", new Set(["*"]));
    client.xds.subscribe("cluster", new Set(["*"]));
    await client.until(() => client.held.size === 6);
    assert.equal(client.held.get("route-configuration/outbound"), "routes");
    assert.equal(client.held.get("endpoints/stock"), "1");
    await server.until(() => server.acked(4));
    assert.equal(server.xds.nodes()[0]?.types.length, 4);
  });

  test(`${variant}: a change is pushed, and only what changed comes`, async () => {
    const names = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`e${i}`, "1"]));
    const server = await serve({ endpoints: names });
    const client = connect(server, variant);
    client.xds.subscribe("endpoints", new Set(Object.keys(names)));
    await client.until(() => client.held.size === 50);
    await server.until(() => server.acked(1));
    const before = server.sent.get("resources_sent endpoints");
    server.source.set(textSnapshot({ endpoints: { ...names, e7: "2" } }));
    await client.until(() => client.held.get("endpoints/e7") === "2");
    assert.equal(server.sent.get("resources_sent endpoints")! - before!, 1);
    assert.deepEqual([...client.updates.at(-1)!.changed.keys()], ["e7"]);
  });

  test(`${variant}: statement 19: a rejection names every reason, the good resources serve, and the server knows`, async () => {
    const server = await serve({ cluster: { a: "1", b: "1" } });
    const client = connect(server, variant);
    client.xds.subscribe("cluster", new Set(["*"]));
    await client.until(() => client.held.size === 2);
    server.source.set(textSnapshot({ cluster: { a: "bad1 bad2", b: "2", c: "bad3" } }));
    await client.until(() => client.held.get("cluster/b") === "2");
    await server.until(() => server.rejected() !== undefined);
    assert.equal(server.rejected(), 'cluster "a": text: bad1\ncluster "a": text: bad2\ncluster "c": text: bad3');
    assert.equal(client.held.get("cluster/a"), "1", "statement 18: the last good one serves");
    assert.deepEqual(
      client.xds.statuses().map(({ name, state }) => `${name} ${state}`),
      ["a NACKED", "b SYNCED", "c NACKED"],
    );
    server.source.set(textSnapshot({ cluster: { a: "3", b: "2", c: "3" } }));
    await client.until(() => client.held.get("cluster/c") === "3");
    await server.until(() => server.rejected() === undefined);
  });

  test(`${variant}: statement 52: after the control plane has restarted nothing changes for a client that is current`, async () => {
    const world: TextWorld = { cluster: { a: "1", b: "1" }, endpoints: { a: "1" } };
    const first = await serve(world);
    const client = connect(first, variant);
    client.xds.subscribe("cluster", new Set(["*"]));
    client.xds.subscribe("endpoints", new Set(["a"]));
    await client.until(() => client.held.size === 3);
    await first.until(() => first.acked(2));
    const updates = client.changes();
    await first.stop();
    await client.until(() => client.xds.status.state === "waiting");
    assert.equal(client.held.size, 3, "what was accepted stays");
    const second = await serve(world, first.port);
    await client.until(() => client.xds.status.state === "connected");
    await second.until(() => second.xds.nodes()[0]?.types.length === 2);
    // Endpoints by name are sent again in state of the world: a list of names does not prove what is held.
    assert.equal(second.sent.get("resources_sent cluster") ?? 0, 0);
    assert.equal(second.sent.get("resources_sent endpoints") ?? 0, variant === "sotw" ? 1 : 0);
    assert.equal(client.changes(), updates);
    second.source.set(textSnapshot({ cluster: { b: "2" }, endpoints: { a: "1" } }));
    await client.until(() => client.held.get("cluster/b") === "2" && !client.held.has("cluster/a"));
  });

  test(`${variant}: what changed while the control plane was away comes after it has returned`, async () => {
    const first = await serve({ cluster: { a: "1", gone: "1" } });
    const client = connect(first, variant);
    client.xds.subscribe("cluster", new Set(["*"]));
    await client.until(() => client.held.size === 2);
    await first.stop();
    await serve({ cluster: { a: "2" } }, first.port);
    await client.until(() => client.held.get("cluster/a") === "2");
    await client.until(() => !client.held.has("cluster/gone"));
  });

  test(`${variant}: a name that does not exist is told, and used when it comes`, async () => {
    const server = await serve({ endpoints: {} });
    const clock = new FastTimeouts();
    const client = connect(server, variant, { clock });
    client.xds.subscribe("endpoints", new Set(["late"]));
    await client.until(() => client.updates.some(({ absent }) => absent.includes("late")));
    server.source.set(textSnapshot({ endpoints: { late: "1" } }));
    await client.until(() => client.held.get("endpoints/late") === "1");
  });
}

for (const variant of ["sotw", "delta"] as const) {
  test(`${variant}: under a rate limit what is wanted is gathered, and not the requests for it`, async () => {
    const names = Array.from({ length: 200 }, (_, i) => `e${i}`);
    const server = await serve({ endpoints: Object.fromEntries(names.map((name) => [name, "1"])) });
    const clock = new ManualClock();
    let mostWaiting = 0;
    const gauge = (name: string) => ({
      add: () => undefined,
      set: (value: number) =>
        void (mostWaiting = name === "pending_requests" ? Math.max(mostWaiting, value) : mostWaiting),
    });
    const metrics: MetricScope = { ...quietMetrics, gauge, scope: () => metrics, group: () => metrics };
    const client = connect(server, variant, { clock, metrics, rateLimit: { maxTokens: 1, fillRatePerSecond: 0.1 } });
    client.xds.subscribe("endpoints", new Set(["e0"]));
    await client.until(() => client.held.size === 1);
    for (let i = 1; i <= names.length; i++) client.xds.subscribe("endpoints", new Set(names.slice(0, i)));
    assert.ok(mostWaiting <= KINDS.length, `${mostWaiting} requests wait`);
    await client.until(() => {
      clock.advance(10_000);
      return client.held.size === names.length;
    });
    assert.ok(mostWaiting <= KINDS.length, `${mostWaiting} requests have waited`);
  });
}

for (const variant of ["sotw", "delta"] as const) {
  test(`${variant}: statement 68: heartbeats keep a resource alive; where they come too late, it is asked for anew`, async () => {
    const [ofServer, ofClient] = [new ManualClock(), new ManualClock()];
    const resource = { ...textResource("a", "1"), ttlMs: 20_000 };
    const world = { resources: new Map([[typeUrlOfKind("cluster"), new Map([["a", resource]])]]) };
    const server = await serve(world, 0, ofServer);
    const node = { ...testNode(), clientFeatures: CLIENT_FEATURES };
    const client = connect(server, variant, { clock: ofClient, node, random: () => 0 });
    client.xds.subscribe("cluster", new Set(["*"]));
    await client.until(() => client.held.size === 1);
    await server.until(() => server.acked(1));
    const beat = async (): Promise<void> => {
      const before = server.sent.get("requests ") ?? 0;
      ofServer.advance(10_000);
      await server.until(() => (server.sent.get("requests ") ?? 0) > before);
    };
    ofClient.advance(15_000);
    await beat();
    ofClient.advance(15_000);
    assert.equal(client.held.size, 1, "it was refreshed at 15 s");
    ofClient.advance(5000);
    assert.equal(client.held.size, 0, "its time was over at 35 s");
    ofServer.advance(10_000);
    await client.until(() => client.xds.status.state === "waiting");
    ofClient.advance(1);
    await client.until(() => client.held.size === 1);
    assert.deepEqual(
      client.updates.flatMap(({ removed }) => removed),
      ["a"],
    );
  });
}

test("statement 9: a control plane that is not there is tried again and again, with growing waits", async () => {
  const server = await serve({});
  const { port } = server;
  await server.stop();
  const waits: number[] = [];
  const clock: Clock = {
    now: () => systemClock.now(),
    wallNow: () => systemClock.wallNow(),
    after(delayMs, callback, unref): Timer {
      if (delayMs >= 10_000) return systemClock.after(delayMs, callback, unref);
      waits.push(delayMs);
      return systemClock.after(1, callback, unref);
    },
  };
  const client = connect({ port }, "delta", { clock, random: () => 0.5 });
  client.xds.subscribe("cluster", new Set(["*"]));
  await client.until(() => waits.length >= 8);
  assert.deepEqual(waits.slice(0, 8), [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
  assert.match(client.xds.status.lastError, /ECONNREFUSED|UNAVAILABLE|No connection/i);
  await serve({ cluster: { a: "1" } }, port);
  await client.until(() => client.held.size === 1);
  assert.equal(client.xds.status.attempts, 0);
});

test("a dial that throws is an attempt that has failed, and no more", async () => {
  const server = await serve({ cluster: { a: "1" } });
  const clock = new ManualClock();
  const dial = xdsDial(`127.0.0.1:${server.port}`);
  const badMetadata = xdsDial(`127.0.0.1:${server.port}`, { metadata: [["a-bin", "no bytes"]] });
  const bad = [
    () => {
      throw new Error("the key is not the certificate's");
    },
    badMetadata,
  ];
  const client = connect(server, "delta", { clock, random: () => 0.5, dial: (ms) => (bad.shift() ?? dial)(ms) });
  client.xds.subscribe("cluster", new Set(["*"]));
  assert.equal(client.xds.status.state, "waiting");
  assert.equal(client.xds.status.lastError, "it cannot be dialled: the key is not the certificate's");
  clock.advance(100);
  assert.match(client.xds.status.lastError, /^no stream can be opened: .*-bin/);
  clock.advance(200);
  await client.until(() => client.held.size === 1);
  client.xds.close();
  assert.equal(clock.pending, 0);
});

test("a dial for which it is too early is no attempt, and no loss that anybody has to hear of", async () => {
  const server = await serve({ cluster: { a: "1" } });
  const clock = new ManualClock();
  const lines: string[] = [];
  const log: Log = { ...quietLog, warn: (message) => void lines.push(message) };
  let isEarly = true;
  const client = connect(server, "delta", {
    clock,
    log,
    dial: (ms) => {
      if (isEarly) throw new DialTooEarly("there is no certificate yet");
      return xdsDial(`127.0.0.1:${server.port}`)(ms);
    },
  });
  client.xds.subscribe("cluster", new Set(["*"]));
  clock.advance(5000);
  assert.deepEqual(lines, []);
  const { state, attempts, lastError } = client.xds.status;
  assert.deepEqual([state, attempts, lastError], ["waiting", 0, "it cannot be dialled: there is no certificate yet"]);
  isEarly = false;
  client.xds.redial();
  await client.until(() => client.held.size === 1);
  assert.deepEqual(lines, []);
  client.xds.close();
  assert.equal(clock.pending, 0);
});

test("a control plane that refuses the stream is asked less and less often", async () => {
  const server = await serve({ cluster: { a: "1" } });
  const waits: number[] = [];
  const clock: Clock = {
    now: () => systemClock.now(),
    wallNow: () => systemClock.wallNow(),
    after(delayMs, callback, unref): Timer {
      if (delayMs >= 10_000) return systemClock.after(delayMs, callback, unref);
      waits.push(delayMs);
      return systemClock.after(1, callback, unref);
    },
  };
  const client = connect(server, "delta", { clock, random: () => 0.5, node: testNode("") });
  client.xds.subscribe("cluster", new Set(["*"]));
  await client.until(() => waits.length >= 4);
  assert.deepEqual(waits.slice(0, 4), [100, 200, 400, 800]);
  assert.match(client.xds.status.lastError, /must carry node.id \(code 3\)/);
});

test("statement 53: clients that lose their control plane together all come back, over a spread of time", async () => {
  const world: TextWorld = { cluster: { a: "1" } };
  const first = await serve(world);
  const waits: number[] = [];
  const clock: Clock = {
    now: () => systemClock.now(),
    wallNow: () => systemClock.wallNow(),
    after(delayMs, callback, unref): Timer {
      if (delayMs < 10_000) waits.push(delayMs);
      return systemClock.after(delayMs, callback, unref);
    },
  };
  const clients = Array.from({ length: 100 }, () => connect(first, "delta", { clock }));
  for (const { xds } of clients) xds.subscribe("cluster", new Set(["*"]));
  for (const client of clients) await client.until(() => client.held.size === 1);
  await first.stop();
  await serve({ cluster: { a: "2" } }, first.port);
  for (const client of clients) await client.until(() => client.held.get("cluster/a") === "2");
  assert.ok(new Set(waits.map((ms) => Math.floor(ms / 20))).size >= 5, "waits are spread");
});

test("a client that is closed dials no more and holds no timer", async () => {
  const server = await serve({ cluster: { a: "1" } });
  const client = connect(server, "delta");
  client.xds.subscribe("cluster", new Set(["*"]));
  await client.until(() => client.held.size === 1);
  client.xds.close();
  await server.until(() => server.xds.nodes().length === 0);
  assert.equal(client.xds.status.state, "closed");
  client.xds.subscribe("cluster", new Set(["a"]));
  assert.equal(client.xds.status.state, "closed");
});

for (const variant of ["sotw", "delta"] as const) {
  test(`${variant}: a stream of one type goes to the service of that type, and says where its resources come from`, async () => {
    const server = await serve({ cluster: { a: "1" }, listener: { b: "1" } });
    const origin = { type: "file", path: "/any" } as const;
    const client = connect(server, variant, { service: "cluster", types: [textType("cluster")], origin });
    client.xds.subscribe("cluster", new Set(["*"]));
    await client.until(() => client.held.size === 1);
    assert.deepEqual(client.updates[0]?.origin, origin);
    server.source.set(textSnapshot({ cluster: { a: "2" } }));
    await client.until(() => client.held.get("cluster/a") === "2");
  });

  test(`${variant}: a control plane that cannot be reached is stood in for by the next, until it is back`, async () => {
    const second = await serve({ cluster: { a: "from the second" } });
    const free = await serve({});
    await free.stop(); // nobody listens there
    const client = connect(free, variant, {
      fallbacks: [xdsDial(`127.0.0.1:${second.port}`)],
      clock: new HastyClock(),
    });
    client.xds.subscribe("cluster", new Set(["*"]));
    await client.until(() => client.held.size === 1);
    assert.equal(client.xds.status.server, 1);
    const first = await serve({ cluster: { b: "from the first" } }, free.port);
    await client.until(() => client.held.get("cluster/b") !== undefined);
    assert.equal(client.xds.status.server, 0);
    // What only the second had is gone, since it has been told what is held.
    await client.until(() => client.held.get("cluster/a") === undefined);
    await second.until(() => second.xds.nodes().length === 0);
    await first.stop();
    await client.until(() => client.xds.status.state === "waiting");
    await client.until(() => client.xds.status.attempts > 2);
    assert.equal(client.xds.status.server, 0, "all that is wanted is held: nobody else is asked");
    client.xds.subscribe("cluster", new Set(["*", "c"]));
    await client.until(() => client.xds.status.server === 1 && client.xds.status.state === "connected");
  });
}

test("a client that waits dials at once when its credentials have changed", async () => {
  const server = await serve({ cluster: { a: "1" } });
  const clock = new ManualClock();
  let certificate: string | undefined;
  let dials = 0;
  const client = connect(server, "delta", {
    clock,
    dial: () => {
      dials += 1;
      if (certificate === undefined) throw new Error("there is no certificate yet");
      return xdsDial(`127.0.0.1:${server.port}`)();
    },
  });
  client.xds.redial();
  assert.equal(dials, 0, "nothing is subscribed");
  client.xds.subscribe("cluster", new Set(["*"]));
  assert.equal(client.xds.status.state, "waiting");
  assert.match(client.xds.status.lastError, /no certificate yet/);
  certificate = "one";
  client.xds.redial();
  await client.until(() => client.held.size === 1);
  assert.equal(dials, 2);
  client.xds.close();
  client.xds.redial();
  assert.equal(dials, 2);
  assert.equal(clock.pending, 0);
});

test("a stream moves to a connection with new credentials before the old one ends, and nothing comes again", async () => {
  const server = await serve({ cluster: { a: "1" } });
  const channels: XdsChannel[] = [];
  const wasReady: boolean[] = [];
  const real = xdsDial(`127.0.0.1:${server.port}`);
  const client = connect(server, "delta", {
    clock: new HastyClock(),
    dial: () => {
      const channel = real();
      channels.push(channel);
      return channel;
    },
    onConnected: (channel) => wasReady.push(stateOf(channel) === connectivityState.READY),
  });
  client.xds.subscribe("cluster", new Set(["*"]));
  await client.until(() => client.held.size === 1);
  const changes = client.changes();
  client.xds.redial();
  client.xds.redial();
  assert.equal(client.xds.status.state, "connected", "the old one serves meanwhile");
  await client.until(() => channels.length > 1 && client.xds.status.state === "connected" && wasReady.length === 2);
  assert.deepEqual(wasReady, [true, true]);
  assert.deepEqual(
    channels.slice(0, -1).map((channel) => stateOf(channel)),
    channels.slice(0, -1).map(() => connectivityState.SHUTDOWN),
  );
  await server.until(() => server.acked(1));
  server.source.set(textSnapshot({ cluster: { a: "1", b: "1" } }));
  await client.until(() => client.held.has("cluster/b"));
  assert.equal(client.changes(), changes + 1);
});

test("where no new connection can be made, the stream stays on the old one", async () => {
  const server = await serve({ cluster: { a: "1" } });
  let broken = false;
  let refused = 0;
  const client = connect(server, "delta", {
    clock: new HastyClock(),
    random: () => 0.1,
    dial: () => {
      if (!broken) return xdsDial(`127.0.0.1:${server.port}`)();
      refused += 1;
      throw new Error("the certificate has expired");
    },
  });
  client.xds.subscribe("cluster", new Set(["*"]));
  await client.until(() => client.held.size === 1);
  broken = true;
  client.xds.redial();
  await client.until(() => refused > 2);
  server.source.set(textSnapshot({ cluster: { a: "1", b: "1" } }));
  await client.until(() => client.held.has("cluster/b"));
});

function stateOf(channel: XdsChannel): connectivityState {
  return channel.getChannel().getConnectivityState(false);
}

test("calls carry the metadata of their server, and its authority", async () => {
  const seen: string[] = [];
  const server = new Server();
  server.addService(
    {
      delta: {
        path: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
        requestStream: true,
        responseStream: true,
        requestSerialize: (bytes: Buffer) => bytes,
        requestDeserialize: (bytes: Buffer) => bytes,
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    {
      delta: (call: ServerDuplexStream<Buffer, Buffer>) => {
        seen.push(String(call.metadata.get("authorization")[0]), call.getHost());
        call.end();
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  cleanups.push(() => server.forceShutdown());
  const options = { authority: "cp.test", metadata: [["authorization", "Bearer x"]] } as const;
  const client = connect({ port }, "delta", { dial: xdsDial(`127.0.0.1:${port}`, options) });
  client.xds.subscribe("cluster", new Set(["*"]));
  await client.until(() => seen.length > 0);
  assert.deepEqual(seen.slice(0, 2), ["Bearer x", "cp.test"]);
});

test("a response larger than gRPC's usual four megabytes arrives", async () => {
  const server = await serve({});
  const client = connect(server, "delta");
  client.xds.subscribe("cluster", new Set(["*"]));
  const names = Array.from({ length: 60_000 }, (_, i) => [`cluster-with-a-name-of-some-length-${i}`, "x".repeat(64)]);
  server.source.set(textSnapshot({ cluster: Object.fromEntries(names) }));
  await client.until(() => client.held.size === 60_000);
});

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Real time, but all waits are a hundredth. */
class HastyClock implements Clock {
  now(): number {
    return systemClock.now() * 100;
  }

  wallNow(): number {
    return systemClock.wallNow();
  }

  after(delayMs: number, callback: () => void, unref?: boolean): Timer {
    // Connecting and the wait for answers take their time.
    return systemClock.after(delayMs >= 5000 ? delayMs : delayMs / 100, callback, unref);
  }
}

/** Real time, except that the wait for a resource that does not exist is short. */
class FastTimeouts implements Clock {
  now(): number {
    return systemClock.now() * 1000;
  }

  wallNow(): number {
    return systemClock.wallNow();
  }

  after(delayMs: number, callback: () => void, unref?: boolean): Timer {
    return systemClock.after(delayMs / 1000, callback, unref);
  }
}

async function serve(world: TextWorld | Snapshot, port = 0, clock: Clock = systemClock) {
  const source = new SettableSource("resources" in world ? world : textSnapshot(world));
  const sent = new Map<string, number>();
  const metrics = {
    ...quietMetrics,
    scope: () => metrics,
    counter: (name: string, labels?: Readonly<Record<string, string>>) => ({
      add: (by = 1) => {
        const key = `${name} ${labels?.["type"] ?? ""}`;
        sent.set(key, (sent.get(key) ?? 0) + by);
      },
    }),
  };
  const xds = new XdsServer({ source, log: quietLog, metrics, clock, identifier: "test" });
  const server = new Server(xdsServerOptions);
  xds.addTo(server);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, actual) =>
      error === null ? resolve(actual) : reject(error),
    );
  });
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    xds.close();
    await new Promise<void>((resolve, reject) => server.tryShutdown((error) => (error ? reject(error) : resolve())));
    assert.equal(source.watchers, 0, "every stream has let go of the source");
  };
  cleanups.push(stop);
  const types = () => xds.nodes().flatMap((node) => node.types);
  return {
    source,
    xds,
    sent,
    stop,
    port: bound,
    until: (condition: () => boolean) => eventually(condition),
    acked: (count: number) => types().length === count && types().every((type) => !type.outstanding),
    rejected: () => types().find((type) => type.rejected !== undefined)?.rejected?.message,
  };
}

type Listener = (update: ResourceUpdate, xds: XdsClient) => void;

function connect(
  server: { readonly port: number },
  variant: "sotw" | "delta",
  { onUpdate, ...more }: Partial<Omit<XdsClientOptions, "onUpdate">> & { onUpdate?: Listener } = {},
) {
  const held = new Map<string, string>();
  const updates: ResourceUpdate[] = [];
  const xds: XdsClient = new XdsClient({
    dial: xdsDial(`127.0.0.1:${server.port}`),
    node: testNode(),
    variant,
    types: KINDS.map(textType),
    clock: systemClock,
    log: quietLog,
    metrics: quietMetrics,
    onUpdate: (update) => {
      updates.push(update);
      for (const [name, { config }] of update.changed) held.set(`${update.kind}/${name}`, (config as TextConfig).text);
      for (const name of update.removed) held.delete(`${update.kind}/${name}`);
      onUpdate?.(update, xds);
    },
    ...more,
  });
  cleanups.push(() => xds.close());
  return {
    xds,
    held,
    updates,
    /** How many updates changed anything. */
    changes: () => updates.filter(({ changed, removed }) => changed.size > 0 || removed.length > 0).length,
    until: (condition: () => boolean) => eventually(condition),
  };
}
