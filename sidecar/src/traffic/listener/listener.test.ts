import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { Live, ManualClock } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { Connection } from "@heddle/net";
import { createLog, MetricsRegistry, SharedMetrics } from "@heddle/telemetry";
import type { FilterChainConfig, FilterChainMatch, ListenerConfig } from "@heddle/traffic";
import { MemoryConnection } from "../http/testing-connection.ts";
import type { ServedConnection } from "../network/network-filter.ts";
import { SHEDS_NOTHING } from "../overload/load-shedder.ts";
import { NO_SECRETS } from "../tls/live-secrets.ts";
import { ConnectionLimit } from "./connection-limit.ts";
import type { EndedConnection } from "./connection-logger.ts";
import { Listener, type ListenerLookup } from "./listener.ts";
import type { ListenerEnv } from "./listener-env.ts";

/** A connection as far as a listener looks at it. */
class FakeConnection {
  static #ids = 0;
  readonly id = FakeConnection.#ids++;
  readonly remoteAddress: string;
  readonly remotePort = 40_000;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 8080;
  readonly bytesRead = 30;
  readonly bytesWritten = 70;
  wasReset = false;

  constructor(remoteAddress = "127.0.0.1") {
    this.remoteAddress = remoteAddress;
  }

  reset(): void {
    this.wasReset = true;
  }
}

interface Served {
  readonly chain: string;
  readonly info: DownstreamInfo;
  readonly close: () => void;
  drained: boolean;
  gently: boolean;
  /** How long a gentle drain may take; undefined: as long as the filter thinks. */
  withinMs: number | undefined;
  destroyed: boolean;
}

let served: Served[];
let closedFilters: string[];
let logged: (EndedConnection & { readonly log: string })[];
let clock: ManualClock;
let registry: MetricsRegistry;
let env: ListenerEnv;
let counts: { readonly sum: Int32Array; readonly own: Int32Array };

beforeEach(() => {
  served = [];
  closedFilters = [];
  logged = [];
  clock = new ManualClock();
  const own = new MetricsRegistry();
  registry = own;
  counts = { sum: new Int32Array(1), own: new Int32Array(1) };
  const metrics = new SharedMetrics((message) => own.receive(1, message));
  env = {
    clock,
    log: createLog({ level: "off", format: "text", clock, write: () => undefined }),
    metrics,
    makeFilter: (chain) => ({
      serve(_connection, info, close): ServedConnection {
        const one: Served = {
          chain: chain.name,
          info,
          close,
          drained: false,
          gently: false,
          withinMs: undefined,
          destroyed: false,
        };
        served.push(one);
        return {
          drain: () => {
            one.drained = true;
          },
          drainGently: (withinMs) => {
            one.gently = true;
            one.withinMs = withinMs;
          },
          destroy: () => {
            one.destroyed = true;
          },
        };
      },
      close: () => closedFilters.push(chain.name),
    }),
    makeDatagramFilter: () => assert.fail("there is no UDP here"),
    makeConnectionLogger: (configs) => ({
      log: (connection) => logged.push({ log: configs.map(({ name }) => name).join(), ...connection }),
    }),
    onThrow: (error) => assert.fail(String(error)),
    secrets: new Live(NO_SECRETS),
    shedder: SHEDS_NOTHING,
    listenerLimit: () => undefined,
    connectionLimit: new ConnectionLimit(counts.sum, counts.own, 3),
    drain: { strategy: "immediate", timeMs: 1000 },
  };
});

function chain(name: string, match?: Partial<FilterChainMatch>): FilterChainConfig {
  return {
    name,
    match: match && { ...ANY, ...match },
    filters: [{ type: "extension", name: "x", config: { name: "x", type: "x", config: {} } }],
    transportSocketConnectTimeoutMs: 0,
  };
}

function listenerConfig(chains: readonly FilterChainConfig[], more: Partial<ListenerConfig> = {}): ListenerConfig {
  return {
    name: "in",
    address: { type: "socket", address: "127.0.0.1", port: 8080 },
    additionalAddresses: [],
    statPrefix: "",
    filterChains: chains,
    defaultFilterChain: undefined,
    perConnectionBufferLimitBytes: 1024,
    listenerFiltersTimeoutMs: 0,
    continueOnListenerFiltersTimeout: false,
    listenerFilters: [],
    trafficDirection: "UNSPECIFIED",
    tcpBacklogSize: undefined,
    reusePort: true,
    drainType: "DEFAULT",
    accessLog: [],
    ...more,
  };
}

function accept(listener: Listener, remoteAddress?: string): FakeConnection {
  const connection = new FakeConnection(remoteAddress);
  listener.accept(connection as unknown as Connection);
  return connection;
}

function metric(name: string): number {
  return registry.collect().find((series) => series.name === name)?.value ?? -1;
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

const ANY: FilterChainMatch = {
  destinationPort: undefined,
  prefixRanges: [],
  directSourcePrefixRanges: [],
  sourceType: "ANY",
  sourcePrefixRanges: [],
  sourcePorts: [],
  serverNames: [],
  transportProtocol: "",
  applicationProtocols: [],
};

describe("a listener", () => {
  test("gives a connection to the chain that matches, and says where it came from", () => {
    const chains = [chain("local", { sourcePrefixRanges: ["127.0.0.0/8"] }), chain("rest", {})];
    const listener = new Listener(listenerConfig(chains), env, undefined);
    accept(listener, "127.0.0.9");
    accept(listener, "10.0.0.1");
    assert.deepEqual(
      served.map((one) => one.chain),
      ["local", "rest"],
    );
    const { info } = served[1]!;
    assert.equal(info.listener, "in");
    assert.equal(info.filterChain, "rest");
    assert.equal(info.remoteAddress, "10.0.0.1");
    assert.equal(info.localPort, 8080);
    assert.equal(listener.connections, 2);
  });

  test("resets what no chain takes, and counts it", async () => {
    const listener = new Listener(listenerConfig([chain("port", { destinationPort: 9 })]), env, undefined);
    assert.equal(accept(listener).wasReset, true);
    await settled();
    assert.equal(metric("listener.no_filter_chain_match"), 1);
    assert.equal(counts.sum[0], 0);
  });

  test("writes its access log when a connection ends, and for those that no chain takes", () => {
    const accessLog: ListenerConfig["accessLog"] = [
      { name: "own", filter: undefined, sink: { type: "stdout" }, format: { type: "default" } },
    ];
    const listener = new Listener(
      listenerConfig([chain("a", { sourcePorts: [40_000] })], { accessLog }),
      env,
      undefined,
    );
    accept(listener);
    clock.advance(250);
    assert.equal(logged.length, 0);
    const startWallMs = clock.wallNow() - 250;
    served[0]!.close();
    const lines = logged.map(({ downstream, ...line }) => ({ ...line, filterChain: downstream.filterChain }));
    assert.deepEqual(lines, [
      {
        log: "own",
        startWallMs,
        durationMs: 250,
        bytesReceived: 30,
        bytesSent: 70,
        responseFlags: 0,
        details: "",
        upstream: undefined,
        filterChain: "a",
      },
    ]);
    const picky = new Listener(listenerConfig([chain("b", { destinationPort: 9 })], { accessLog }), env, undefined);
    accept(picky);
    assert.equal(logged.at(-1)?.details, "filter_chain_not_found");
  });

  test("takes no more connections than the process may have", async () => {
    const listener = new Listener(listenerConfig([chain("a")]), env, undefined);
    const connections = Array.from({ length: 5 }, () => accept(listener));
    assert.deepEqual(
      connections.map(({ wasReset }) => wasReset),
      [false, false, false, true, true],
    );
    served[0]!.close();
    assert.equal(accept(listener).wasReset, false);
    await settled();
    assert.equal(metric("listener.downstream_cx_total"), 6);
    assert.equal(metric("listener.downstream_global_cx_overflow"), 2);
    assert.equal(metric("listener.downstream_cx_active"), 3);
    assert.equal(counts.sum[0], 3);
    assert.equal(counts.own[0], 3);
  });

  test("statement 60: keeps the chains that stayed the same and drains the others", async () => {
    const before = new Listener(
      listenerConfig([chain("stays", { sourcePorts: [40_000] }), chain("goes", {})]),
      env,
      undefined,
    );
    accept(before);
    const config = listenerConfig([chain("stays", { sourcePorts: [40_000] }), chain("new", {})]);
    const after = new Listener(config, env, before);
    const gone = before.retire(after);
    assert.deepEqual(
      served.map(({ drained }) => drained),
      [false],
    );
    await gone;
    assert.deepEqual(closedFilters, ["goes"]);
    assert.equal(after.connections, 1);
    served[0]!.close();
    assert.equal(after.connections, 0);
    assert.equal(clock.pending, 0);
  });

  test("connections go on where only what ECDS says of a filter has changed, until their listener changes otherwise", async () => {
    const discovered = { types: ["x"] };
    const withFilter = (type: string, more: Partial<ListenerConfig> = {}): ListenerConfig => {
      const one = { type: "extension" as const, name: "x", config: { name: "x", type, config: {} }, discovered };
      return listenerConfig([{ ...chain(type), name: "c", filters: [one] }], more);
    };
    const listeners = [new Listener(withFilter("a"), env, undefined)];
    for (const type of ["b", "c"]) {
      accept(listeners.at(-1)!);
      listeners.push(new Listener(withFilter(type), env, listeners.at(-1)));
      await listeners.at(-2)?.retire(listeners.at(-1));
    }
    const [, , last] = listeners;
    assert.deepEqual([served.map(({ gently }) => gently), last?.connections, closedFilters], [[false, false], 2, []]);
    served[0]!.close();
    // A listener filter of ECDS is the same filter, whatever comes.
    const filters = (type: "http-inspector" | "missing"): Partial<ListenerConfig> => ({
      listenerFilters: [{ type, name: "l", discovered }],
    });
    const inspecting = new Listener(withFilter("c", filters("http-inspector")), env, last);
    const gone = last?.retire(inspecting);
    assert.deepEqual([served[1]!.gently, inspecting.connections], [true, 0], "it had no such filter");
    served[1]!.close();
    await gone;
    const missing = new Listener(withFilter("c", filters("missing")), env, inspecting);
    await inspecting.retire(missing);
    accept(missing);
    await settled();
    assert.deepEqual([metric("listener.extension_config_missing"), counts.sum[0]], [1, 0]);
    assert.deepEqual(closedFilters, ["c", "c", "c"], "of a, of b and of c without the filter");
    assert.equal(clock.pending, 0);
  });

  test("drains everything when something else than its chains changed", () => {
    const before = new Listener(listenerConfig([chain("a")]), env, undefined);
    accept(before);
    const after = new Listener(listenerConfig([chain("a")], { perConnectionBufferLimitBytes: 2048 }), env, before);
    void before.retire(after);
    assert.deepEqual([served[0]!.gently, served[0]!.drained], [true, false]);
    assert.equal(after.connections, 0);
    served[0]!.close();
    assert.equal(clock.pending, 0);
  });

  test("ends at the deadline what did not drain", async () => {
    const listener = new Listener(listenerConfig([chain("a")]), env, undefined);
    accept(listener);
    accept(listener);
    const gone = listener.retire(undefined);
    served[0]!.close();
    clock.advance(999);
    assert.equal(served[1]!.destroyed, false);
    clock.advance(1);
    assert.equal(served[1]!.destroyed, true);
    await gone;
    assert.deepEqual(closedFilters, ["a"]);
    assert.equal(clock.pending, 0);
  });

  test("gives idle connections a second when the process ends, also those of chains that drain already", async () => {
    const before = new Listener(listenerConfig([chain("a")]), env, undefined);
    accept(before);
    const retired = before.retire(undefined);
    assert.deepEqual([served[0]!.gently, served[0]!.withinMs], [true, undefined]);
    const ended = before.drain(5000);
    assert.equal(served[0]!.withinMs, 1000);
    served[0]!.close();
    await Promise.all([retired, ended]);
    assert.deepEqual(closedFilters, ["a"]);
    assert.equal(clock.pending, 0);
  });

  test("the end of the process brings the deadline of a chain that drains already forward", async () => {
    const before = new Listener(listenerConfig([chain("a")]), env, undefined);
    accept(before);
    const retired = before.retire(undefined);
    const ended = before.drain(200);
    clock.advance(199);
    assert.equal(served[0]!.destroyed, false);
    clock.advance(1);
    assert.equal(served[0]!.destroyed, true);
    await Promise.all([retired, ended]);
    assert.equal(clock.pending, 0);
  });

  describe("with the gradual strategy", () => {
    let gradually: string[];
    beforeEach(() => {
      gradually = [];
      const { makeFilter } = env;
      env = {
        ...env,
        drain: { strategy: "gradual", timeMs: 1000 },
        makeFilter: (config, listener) => ({
          ...makeFilter(config, listener),
          drainGradually: () => void gradually.push(config.name),
        }),
      };
    });

    test("leaves the connections of a listener that is gone to its filters, and ends them when the time is up", async () => {
      const listener = new Listener(listenerConfig([chain("a")]), env, undefined);
      accept(listener);
      const gone = listener.retire(undefined);
      assert.deepEqual([gradually, served[0]!.gently, served[0]!.drained], [["a"], false, false]);
      clock.advance(1000);
      assert.equal(served[0]!.destroyed, true);
      await gone;
    });

    test("asks the connections of a single chain that is gone to end with their next answer", () => {
      const before = new Listener(listenerConfig([chain("a")]), env, undefined);
      accept(before);
      void before.retire(new Listener(listenerConfig([chain("b")]), env, before));
      assert.deepEqual([gradually, served[0]!.gently], [[], true]);
      served[0]!.close();
    });

    test("does not wait for chance when the process ends", () => {
      const listener = new Listener(listenerConfig([chain("a")]), env, undefined);
      accept(listener);
      void listener.retire(undefined);
      void listener.drain(5000);
      assert.equal(served[0]!.withinMs, 1000);
      served[0]!.close();
    });
  });

  test("two chains with one match are a mistake, told with both names, and nothing is touched", () => {
    const before = new Listener(listenerConfig([chain("a")]), env, undefined);
    accept(before);
    const config = listenerConfig([chain("b", { destinationPort: 1 }), chain("c", { destinationPort: 1 })]);
    assert.throws(() => new Listener(config, env, before), /listener in: .*b.*c|listener in: .*c.*b/);
    assert.deepEqual(closedFilters, ["b", "c"], "what was made for it is let go");
    assert.equal(served[0]!.drained, false);
  });
});

const ENDS_TLS: NonNullable<FilterChainConfig["tls"]> = {
  common: {
    params: {
      minimumVersion: "TLSv1_2",
      maximumVersion: "TLSv1_3",
      cipherSuites: [],
      ecdhCurves: [],
      signatureAlgorithms: [],
    },
    certificates: [],
    certificateSecrets: [{ from: "sds", name: "own" }],
    validation: undefined,
    alpnProtocols: [],
  },
  requireClientCertificate: false,
  requireSni: false,
  disableStatelessSessionResumption: false,
  sessionTimeoutSeconds: undefined,
  fullScanCertsOnSniMismatch: false,
  preferClientCiphers: false,
};

describe("a listener whose server may speak first", () => {
  const filters: ListenerConfig["listenerFilters"] = [
    { type: "server-first", name: "sf", afterMs: 10, disabled: { type: "destination-port", start: 25, end: 26 } },
    { type: "http-inspector", name: "http" },
  ];
  const sniffed = { listenerFilters: filters, listenerFiltersTimeoutMs: 100, continueOnListenerFiltersTimeout: true };
  const chains = [chain("http", { applicationProtocols: ["http/1.1"] }), chain("bytes", {})];
  /** What was begun, and what became of it. */
  let heard: string[];
  let speak: () => void;

  beforeEach(() => {
    heard = [];
    const { makeFilter } = env;
    env = {
      ...env,
      makeFilter: (config, name) => {
        const filter = makeFilter(config, name);
        return {
          ...filter,
          serve: (connection, info, close, prepared) => {
            heard.push(`${config.name} serves${prepared === undefined ? "" : " with it"}`);
            return filter.serve(connection, info, close);
          },
          prepare: (info, onSpoken) => {
            heard.push(`${info.filterChain} begins`);
            speak = onSpoken;
            return { cancel: () => void heard.push("cancelled") };
          },
        };
      },
    };
  });

  function connect(listener: Listener): MemoryConnection {
    const client = new MemoryConnection();
    listener.accept(client);
    return client;
  }

  function says(client: MemoryConnection, text: string): void {
    client.send(text);
    while (client.turn());
  }

  test("has the chain begin that a silent client would get, and serves it when the server speaks", async () => {
    const listener = new Listener(listenerConfig(chains, sniffed), env, undefined);
    connect(listener);
    clock.advance(9);
    assert.deepEqual(heard, []);
    clock.advance(1);
    assert.deepEqual(heard, ["bytes begins"]);
    speak();
    assert.deepEqual(heard, ["bytes begins", "bytes serves with it"]);
    await settled();
    assert.deepEqual(
      ["dialled", "server_spoke", "unused"].map((name) => metric(`server_first.${name}`)),
      [1, 1, 0],
    );
    assert.equal(metric("listener.downstream_pre_cx_timeout"), 0);
    assert.equal(clock.pending, 0);
  });

  test("cancels what was begun where the client speaks for another chain, and uses it where it is the same, or time is up", async () => {
    const listener = new Listener(listenerConfig(chains, sniffed), env, undefined);
    for (const [text, expected] of [
      ["GET / HTTP/1.1\r\n", ["bytes begins", "cancelled", "http serves"]],
      ["\0\0", ["bytes begins", "bytes serves with it"]],
      ["", ["bytes begins", "bytes serves with it"]],
    ] as const) {
      heard = [];
      const client = connect(listener);
      clock.advance(10);
      if (text === "") clock.advance(90);
      else says(client, text);
      assert.deepEqual(heard, expected);
      served.at(-1)!.close();
    }
    await settled();
    assert.equal(metric("server_first.unused"), 1);
  });

  test("begins with nothing for a client that has spoken, on ports it is disabled for, where no chain fits, and where one ends TLS", () => {
    const quick = connect(new Listener(listenerConfig(chains, sniffed), env, undefined));
    says(quick, "GET / ");
    clock.advance(10);
    const disabled = sniffed.listenerFilters.map((filter) => ({ ...filter, disabled: { type: "any" } as const }));
    connect(
      new Listener(
        listenerConfig(chains, { ...sniffed, listenerFilters: [disabled[0]!, filters[1]!] }),
        env,
        undefined,
      ),
    );
    connect(new Listener(listenerConfig([chain("none", { destinationPort: 9 })], sniffed), env, undefined));
    const ending = { ...chain("mtls", { transportProtocol: "tls" }), tls: ENDS_TLS };
    connect(new Listener(listenerConfig([ending, ...chains], sniffed), env, undefined));
    clock.advance(10);
    assert.deepEqual(heard, []);
  });

  test("gives what was begun to the listener that has its place by then, if the chain has stayed", () => {
    for (const [next, expected] of [
      [[chain("new", { destinationPort: 9 }), ...chains], "bytes serves with it"],
      [[chain("new", {})], "new serves"],
    ] as const) {
      heard = [];
      const listener = new Listener(listenerConfig(chains, sniffed), env, undefined);
      connect(listener);
      clock.advance(10);
      const heir = new Listener(listenerConfig(next, sniffed), env, listener);
      void listener.retire(heir);
      speak();
      assert.equal(heard.at(-1), expected);
      assert.equal(heard.includes("cancelled"), expected === "new serves");
      served.at(-1)!.close();
      void heir.retire(undefined);
    }
    heard = [];
    const ending = new Listener(listenerConfig(chains, sniffed), env, undefined);
    connect(ending);
    clock.advance(10);
    void ending.retire(undefined);
    assert.deepEqual(heard, ["bytes begins", "cancelled"]);
  });

  test("takes over who is waited for, and ends them when it goes itself", async () => {
    const first = new Listener(listenerConfig(chains, sniffed), env, undefined);
    const client = connect(first);
    const last = [1, 2].reduce((before) => {
      const next = new Listener(listenerConfig(chains, { ...sniffed, statPrefix: `${clock.pending}` }), env, before);
      void before.retire(next);
      return next;
    }, first);
    assert.deepEqual([last.connections, counts.sum[0]], [1, 1]);
    void last.retire(undefined);
    assert.equal(client.closed, true);
    await settled();
    const left = [last.connections, counts.sum[0], clock.pending, metric("listener.downstream_pre_cx_active")];
    assert.deepEqual(left, [0, 0, 0, 0]);
  });
});

describe("a listener that takes redirected connections", () => {
  const redirected = (address: string, port: number): ListenerEnv => ({
    ...env,
    originalDestination: () => ({ address, port }),
  });
  const to = (listener: Listener): ListenerLookup => {
    return (address, port) => (address === "10.0.0.7" && port === 80 ? listener : undefined);
  };
  const outbound = { name: "out", useOriginalDst: true } as const;

  test("hands each over to the listener for which it was meant, which counts it and knows where it came from", async () => {
    const meant = new Listener(listenerConfig([chain("web")], { bindToPort: false }), env, undefined);
    const first = new Listener(
      listenerConfig([chain("other")], outbound),
      redirected("10.0.0.7", 80),
      undefined,
      to(meant),
    );
    accept(first);
    const { info, chain: name } = served[0]!;
    assert.deepEqual([name, info.listener, info.localAddress, info.localPort], ["web", "in", "10.0.0.7", 80]);
    assert.deepEqual(info.restored, { listenPort: 8080 });
    assert.deepEqual(info.direct, { remotePort: 40_000, localAddress: "127.0.0.1", localPort: 8080 });
    assert.deepEqual([first.connections, meant.connections, counts.sum[0]], [0, 1, 1]);
    await settled();
    assert.equal(metric("listener.downstream_cx_total"), 1);
    served[0]!.close();
    assert.equal(counts.sum[0], 0);
  });

  test("serves those itself that were meant for nobody, and those of which the kernel knows nothing", () => {
    const meant = new Listener(listenerConfig([chain("web")], { bindToPort: false }), env, undefined);
    const chains = [chain("port 81", { destinationPort: 81 }), chain("rest", {})];
    accept(new Listener(listenerConfig(chains, outbound), redirected("10.0.0.7", 81), undefined, to(meant)));
    const unknown = { ...env, originalDestination: () => undefined };
    accept(new Listener(listenerConfig(chains, outbound), unknown, undefined, to(meant)));
    assert.deepEqual(
      served.map(({ chain: name, info }) => [name, info.localPort, info.restored?.listenPort]),
      [
        ["port 81", 81, 8080],
        ["rest", 8080, undefined],
      ],
    );
  });

  test("serves itself what was meant for it, and hands nothing over twice", () => {
    const own: { listener?: Listener } = {};
    const lookup: ListenerLookup = () => own.listener;
    own.listener = new Listener(
      listenerConfig([chain("own")], outbound),
      redirected("10.0.0.7", 80),
      undefined,
      lookup,
    );
    accept(own.listener);
    assert.deepEqual(
      served.map(({ chain: name }) => name),
      ["own"],
    );
    // Two that would give it to each other: the second one keeps it.
    const second = new Listener(
      listenerConfig([chain("second")], { name: "second", useOriginalDst: true, bindToPort: false }),
      redirected("10.0.0.7", 80),
      undefined,
      lookup,
    );
    accept(new Listener(listenerConfig([chain("first")], outbound), redirected("10.0.0.7", 80), undefined, to(second)));
    assert.equal(served.at(-1)?.chain, "second");
    assert.equal(served.length, 2);
  });

  test("asks filters that need no byte at once, and passes over those that are disabled for its port", () => {
    const inspector = (start: number, end: number): ListenerConfig["listenerFilters"][number] => ({
      type: "http-inspector",
      name: "http",
      disabled: { type: "destination-port", start, end },
    });
    const listenerFilters = [{ type: "original-dst", name: "od" } as const, inspector(3306, 3307)];
    const config = listenerConfig([chain("mysql", { destinationPort: 3306 })], { listenerFilters });
    accept(new Listener(config, redirected("10.0.0.7", 3306), undefined));
    assert.equal(served[0]?.chain, "mysql");
    // Before the address is put back the port is the socket's, as in Envoy.
    const early = listenerConfig([chain("any")], { listenerFilters: listenerFilters.toReversed() });
    const waiting = new Listener(early, redirected("10.0.0.7", 3306), undefined);
    const connection = Object.assign(new FakeConnection(), { start: () => undefined, destroy: () => undefined });
    waiting.accept(connection as unknown as Connection);
    assert.equal(served.length, 1);
    assert.equal(waiting.connections, 1);
    void waiting.retire(undefined);
  });

  test("original_src has upstream connections come from the client", () => {
    const listenerFilters = [{ type: "original-src", name: "os", mark: 5 } as const];
    accept(new Listener(listenerConfig([chain("a")], { listenerFilters }), env, undefined), "10.0.0.9");
    assert.deepEqual(served[0]?.info.originalSource, { address: "10.0.0.9", mark: 5 });
  });
});
