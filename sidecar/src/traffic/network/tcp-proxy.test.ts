import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { failure } from "@heddle/base";
import { type DownstreamInfo, formatResponseFlags } from "@heddle/filter";
import type { TcpProxyConfig } from "@heddle/traffic";
import { clusterConfig, Harness, MemoryConnection } from "../http/testing-harness.ts";
import type { EarlyUpstream } from "./early-upstream.ts";
import type { Prepared } from "./network-filter.ts";
import { TcpProxy } from "./tcp-proxy.ts";
import type { TcpTunnel } from "./tcp-tunnel.ts";

const REFUSED = failure("connect-refused", "upstream", "10.0.0.1:80: ECONNREFUSED", "safe");
const HOUR_MS = 3_600_000;

const defaults: TcpProxyConfig = {
  statPrefix: "t",
  clusters: [{ name: "app", weight: 1 }],
  idleTimeoutMs: HOUR_MS,
  maxConnectAttempts: 1,
  maxDownstreamConnectionDurationMs: 0,
  accessLog: [{ name: "log", sink: { type: "stdout" }, format: { type: "default" }, filter: undefined }],
  accessLogFlushIntervalMs: 0,
  flushAccessLogOnConnected: false,
};

let harness: Harness;
let open: number;

beforeEach(() => {
  harness = new Harness();
  open = 0;
});

/** A client of a proxy with that configuration. */
function connect(config: Partial<TcpProxyConfig> = {}): { client: MemoryConnection; tunnel: TcpTunnel } {
  return serve(new TcpProxy({ ...defaults, ...config }, harness.env), new MemoryConnection());
}

function serve(
  proxy: TcpProxy,
  client: MemoryConnection,
  early?: Prepared,
): { client: MemoryConnection; tunnel: TcpTunnel } {
  harness.clients.push(client);
  open++;
  const tunnel = proxy.serve(client, infoOf(client), () => open--, early);
  return { client, tunnel };
}

function infoOf(client: MemoryConnection): DownstreamInfo {
  const { id, remoteAddress, remotePort, localAddress, localPort } = client;
  const info = { remoteAddress, remotePort, localAddress, localPort, directRemoteAddress: remoteAddress };
  return { ...info, connectionId: id, listener: "l", filterChain: "" };
}

/** Nothing is held any more once every connection is gone. */
function assertNoLeaks(): void {
  for (const upstream of harness.upstreams) upstream.destroy();
  assert.equal(harness.leaks(), "");
  assert.equal(open, 0);
}

function flags(index = -1): string {
  return formatResponseFlags(harness.loggedConnections.at(index)?.responseFlags ?? -1);
}

describe("a TCP proxy", () => {
  test("reads the client when there is an upstream to hear it, and loses nothing", () => {
    harness.holdDials = true;
    const { client } = connect();
    client.send("early");
    harness.run();
    assert.equal(client.bytesRead, 0);
    harness.holdDials = false;
    harness.run();
    assert.equal(harness.upstream().take(), "early");
    harness.upstream().send("answer");
    harness.run();
    assert.equal(client.take(), "answer");
    assertNoLeaks();
  });

  test("passes on the end of each direction alone", () => {
    const { client } = connect();
    harness.run();
    client.sendEnd();
    harness.run();
    assert.deepEqual([harness.upstream().ended, client.ended], [true, false]);
    harness.upstream().send("still");
    harness.upstream().sendEnd();
    harness.run();
    assert.equal(client.take(), "still");
    assert.equal(client.ended, true);
    assertNoLeaks();
  });

  test("breaks one side when the other breaks", () => {
    const { client } = connect();
    harness.run();
    harness.upstream().break();
    harness.run();
    assert.equal(client.closed, true);
    const { client: another } = connect();
    harness.run();
    another.break(failure("downstream-reset", "downstream", "ECONNRESET"));
    harness.run();
    assert.equal(harness.upstream(1).closed, true);
    assertNoLeaks();
  });

  test("stops reading a side while the other does not take its bytes", () => {
    const { client } = connect();
    harness.run();
    const upstream = harness.upstream();
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      to.highWatermarkBytes = 3;
      to.stall(true);
      from.send("abcd");
      from.send("efgh");
      harness.run();
      assert.equal(from.paused, true);
      assert.equal(to.bytesQueued, 4);
      to.stall(false);
      harness.run();
      assert.equal(to.take(), "abcdefgh");
      assert.equal(from.paused, false);
    }
    assert.equal(harness.value("tcp.downstream_flow_control_paused_reading_total"), 2);
    assert.equal(harness.value("tcp.downstream_flow_control_resumed_reading_total"), 2);
    assertNoLeaks();
  });

  test("tries as often as it may, and counts what it tried", () => {
    harness.dialFailures.push(REFUSED, REFUSED);
    const { tunnel } = connect({ maxConnectAttempts: 3 });
    harness.run();
    assert.equal(harness.upstreams.length, 1);
    tunnel.destroy();
    harness.run();
    assert.equal(harness.loggedConnections[0]?.upstream?.attempts, 3);
    assert.equal(flags(), "UF");

    harness.dialFailures.push(REFUSED, REFUSED);
    const { client: unlucky } = connect({ maxConnectAttempts: 2 });
    harness.run();
    assert.equal(unlucky.closed, true);
    assert.equal(flags(), "UF,URX");
    assert.equal(harness.value("cluster.upstream_cx_connect_attempts_exceeded"), 1);
    assert.equal(harness.value("cluster.upstream_cx_connect_fail"), 4);
    assertNoLeaks();
  });

  test("gives up an attempt whose client has gone", () => {
    harness.holdDials = true;
    const { client } = connect();
    harness.run();
    client.destroy();
    harness.run();
    harness.holdDials = false;
    harness.run();
    assert.equal(harness.upstreams.length, 0);
    assertNoLeaks();
  });

  test("lets the client go where there is no cluster, no endpoint, or no place in the circuit breaker", () => {
    const circuitBreakers = clusterConfig("app").circuitBreakers;
    harness.configure({
      clusters: [
        clusterConfig("empty"),
        {
          ...clusterConfig("full"),
          circuitBreakers: { ...circuitBreakers, default: { ...circuitBreakers.default, maxConnections: 0 } },
        },
      ],
      endpoints: { empty: [] },
    });
    for (const [name, expected] of [
      ["absent", "NC"],
      ["empty", "UH"],
      ["full", "UO"],
    ] as const) {
      const { client } = connect({ clusters: [{ name, weight: 1 }] });
      harness.run();
      assert.equal(client.closed, true, name);
      assert.equal(flags(), expected);
      assert.equal(harness.loggedConnections.at(-1)?.upstream?.attempts, 0);
    }
    assertNoLeaks();
  });

  test("draws the cluster by weight, anew for each attempt", () => {
    harness.configure({ clusters: [clusterConfig("a"), clusterConfig("b")], endpoints: { b: ["10.0.0.2:80"] } });
    const clusters = [
      { name: "a", weight: 3 },
      { name: "b", weight: 1 },
    ];
    for (harness.random = 0; harness.random < 4; harness.random++) {
      connect({ clusters });
      harness.run();
    }
    const addresses = harness.identities.map(({ address }) => address.type === "socket" && address.address);
    assert.deepEqual(addresses, ["10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"]);
    assertNoLeaks();
  });

  test("ends what is idle, and what a reader takes slowly is not idle", () => {
    const { client } = connect({ idleTimeoutMs: 1000 });
    harness.run();
    for (let i = 0; i < 5; i++) {
      harness.advance(900);
      client.send("x");
      harness.run();
    }
    assert.equal(client.closed, false);
    harness.advance(1100);
    assert.equal(client.closed, true);
    assert.equal(harness.upstream().closed, true);
    assert.equal(harness.value("tcp.idle_timeout"), 1);
    assert.equal(harness.loggedConnections[0]?.details, "idle_timeout");
    assertNoLeaks();
  });

  test("ends what is too old, while it connects too", () => {
    const { client } = connect({ maxDownstreamConnectionDurationMs: 500, idleTimeoutMs: 0 });
    harness.holdDials = false;
    harness.run();
    harness.holdDials = true;
    const { client: connecting } = connect({ maxDownstreamConnectionDurationMs: 500, idleTimeoutMs: 0 });
    harness.advance(600);
    assert.deepEqual([client.closed, connecting.closed], [true, true]);
    assert.deepEqual([flags(0), flags(1)], ["DT", "DT"]);
    harness.holdDials = false;
    harness.run();
    assert.equal(harness.upstreams.length, 1);
    assertNoLeaks();
  });

  test("writes a line when it is connected, each while, and at the end, if it is told to", () => {
    const { tunnel } = connect({ accessLogFlushIntervalMs: 1000, flushAccessLogOnConnected: true });
    harness.advance(2500);
    tunnel.destroy();
    harness.run();
    assert.deepEqual(
      harness.loggedConnections.map(({ logType }) => logType),
      ["TcpUpstreamConnected", "TcpPeriodic", "TcpPeriodic", undefined],
    );
    assertNoLeaks();
  });

  test("is drained by time alone, and destroyed at once", () => {
    const { client, tunnel } = connect();
    harness.run();
    tunnel.drain();
    harness.run();
    assert.equal(client.closed, false);
    tunnel.destroy();
    harness.run();
    assert.equal(client.closed, true);
    assert.equal(harness.upstream().closed, true);
    assertNoLeaks();
  });
});

describe("a TCP proxy that dials for a client that is silent", () => {
  let proxy: TcpProxy;
  let client: MemoryConnection;
  let spoken: number;

  beforeEach(() => {
    proxy = new TcpProxy(defaults, harness.env);
    client = new MemoryConnection();
    spoken = 0;
  });

  function prepare(): EarlyUpstream {
    const early = proxy.prepare(infoOf(client), () => spoken++);
    assert.ok(early !== undefined);
    return early;
  }

  test("hears the server, and the client gets all that it says, once", () => {
    const early = prepare();
    harness.run();
    harness.upstream().send("220 ");
    harness.run();
    assert.equal(spoken, 1);
    assert.equal(client.take(), "");
    harness.upstream().send("ready");
    harness.run();
    assert.equal(spoken, 1);
    serve(proxy, client, early);
    harness.run();
    assert.equal(client.take(), "220 ready");
    client.send("EHLO");
    harness.run();
    assert.equal(harness.upstream().take(), "EHLO");
    assert.equal(harness.upstreams.length, 1);
    harness.upstream().break();
    harness.run();
    assert.deepEqual([client.closed, harness.loggedConnections[0]?.upstream?.attempts], [true, 1]);
    assertNoLeaks();
  });

  test("uses the connection for a client that speaks first, or never, whether it is open yet or not", () => {
    for (const isOpen of [true, false]) {
      client = new MemoryConnection();
      harness.holdDials = !isOpen;
      const early = prepare();
      harness.run();
      serve(proxy, client, early);
      client.send("hello");
      harness.holdDials = false;
      harness.run();
      assert.equal(harness.upstreams.at(-1)!.take(), "hello");
      client.destroy();
      harness.run();
    }
    assert.equal(harness.upstreams.length, 2);
    assert.equal(spoken, 0);
    assertNoLeaks();
  });

  test("closes what nobody wants, in every state of it", () => {
    harness.holdDials = true;
    const dialling = prepare();
    dialling.cancel();
    harness.holdDials = false;
    harness.run();
    assert.equal(harness.upstreams.length, 0);
    for (const says of ["", "220 ready"]) {
      const early = prepare();
      harness.run();
      if (says !== "") harness.upstreams.at(-1)!.send(says);
      harness.run();
      early.cancel();
      harness.run();
      assert.equal(harness.upstreams.at(-1)!.closed, true);
    }
    assert.equal(harness.value("cluster.upstream_cx_active"), 0);
    assertNoLeaks();
  });

  test("dials anew where the connection has failed, or ended before it was wanted, and says of that what it finds", () => {
    harness.dialFailures.push(REFUSED, REFUSED);
    const failed = prepare();
    harness.run();
    serve(proxy, client, failed);
    harness.run();
    assert.deepEqual([client.closed, flags()], [true, "UF,URX"]);
    for (const end of ["sendEnd", "break"] as const) {
      client = new MemoryConnection();
      const early = prepare();
      harness.run();
      harness.upstreams.at(-1)![end]();
      harness.run();
      const dials = harness.upstreams.length;
      serve(proxy, client, early);
      harness.run();
      assert.equal(harness.upstreams.length, dials + 1);
      client.send("hello");
      harness.run();
      assert.equal(harness.upstreams.at(-1)!.take(), "hello");
      client.destroy();
      harness.run();
    }
    assert.equal(spoken, 0);
    assertNoLeaks();
  });

  test("dials for nobody where there is no such cluster", () => {
    proxy = new TcpProxy({ ...defaults, clusters: [{ name: "absent", weight: 1 }] }, harness.env);
    assert.equal(
      proxy.prepare(infoOf(client), () => spoken++),
      undefined,
    );
  });
});
