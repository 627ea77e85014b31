import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HeaderMap, RequestHead } from "@heddle/http";
import { MemoryConnection } from "../../http/testing-connection.ts";
import { clusterConfig, Harness, type HarnessOptions } from "../../http/testing-harness.ts";
import type { Pool } from "./pool.ts";
import type { ConnectionGiver, ConnectionPast, ConnectionTaker, PoolShare, PoolSharing } from "./pool-sharing.ts";

const REQUEST = new RequestHead("GET", "http", "a", "/", new HeaderMap());
const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/** Another worker that says what the test says. */
class OtherWorker implements PoolSharing, PoolShare {
  /** What the board says of it, less what it is asked for. */
  has = 0;
  readonly asked: ConnectionTaker[] = [];
  readonly keys: string[] = [];
  giver: ConnectionGiver | undefined;
  /** What the board says of the pool under test. */
  idle = 0;

  join(key: string, giver: ConnectionGiver): PoolShare {
    this.keys.push(key);
    this.giver = giver;
    return this;
  }

  countIdle(change: 1 | -1): void {
    this.idle += change;
  }

  ask(taker: ConnectionTaker): boolean {
    if (this.has === 0) return false;
    this.has--;
    this.asked.push(taker);
    return true;
  }

  leave(): void {
    this.giver = undefined;
  }

  /** Answers the first question. */
  offer(harness: Harness, past: Partial<ConnectionPast> = {}): MemoryConnection {
    const connection = new MemoryConnection("handed over");
    harness.upstreams.push(connection);
    const whole = { requests: 3, ageMs: 100, idleLeftMs: 4000, announcedIdleMs: undefined, counted: true, ...past };
    this.asked.shift()?.onOffer({ past: whole, adopt: () => connection });
    return connection;
  }

  refuse(): void {
    this.asked[0]?.onNothing();
  }
}

function withOther(
  body: (harness: Harness, other: OtherWorker) => void,
  options: HarnessOptions = {},
  maxConnections?: number,
): void {
  const clusters = maxConnections === undefined ? options : { ...options, clusters: [limited(maxConnections)] };
  const harness = new Harness(clusters);
  const other = new OtherWorker();
  Object.assign(harness.env, { sharing: other });
  body(harness, other);
  assert.equal(harness.leaks(), "");
  assert.equal(other.idle, 0);
}

function limited(maxConnections: number) {
  const config = clusterConfig("app");
  const limits = { ...config.circuitBreakers.default, maxConnections };
  return { ...config, circuitBreakers: { ...config.circuitBreakers, default: limits } };
}

function request(harness: Harness): MemoryConnection {
  const client = harness.connect();
  client.send(GET);
  return client;
}

/** One request, answered on the upstream connection that it went to. */
function carry(harness: Harness): void {
  const client = request(harness);
  harness.run();
  for (const upstream of harness.upstreams) if (upstream.take() !== "") upstream.send(OK);
  harness.run();
  assert.match(client.take(), /^HTTP\/1\.1 200 /);
}

function poolOf(harness: Harness): Pool {
  const cluster = harness.runtime.current.clusters.get("app");
  const [endpoint] = cluster?.endpoints?.byKey.values() ?? [];
  assert.ok(cluster !== undefined && endpoint !== undefined);
  return cluster.pool(endpoint, REQUEST);
}

const breakerOf = (harness: Harness): number =>
  harness.runtime.current.clusters.get("app")?.breaker.counts.connections ?? -1;

describe("a pool that shares", () => {
  test("takes another worker's idle connection instead of making one, and counts it", () => {
    withOther((harness, other) => {
      other.has = 1;
      const client = request(harness);
      harness.run();
      assert.equal(harness.upstreams.length, 0);
      const given = other.offer(harness);
      harness.run();
      assert.match(given.take(), /^GET/);
      given.send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
      assert.equal(breakerOf(harness), 1);
      assert.equal(harness.value("cluster.upstream_cx_active"), 1);
      assert.equal(harness.value("cluster.upstream_cx_handed_over"), 1);
      assert.equal(harness.value("cluster.upstream_cx_total"), 0);
      assert.equal(harness.logged[0]?.upstream.connectionReused, true);
      carry(harness);
      assert.equal(harness.upstreams.length, 1);
    });
  });

  test("makes one when it is refused, and asks nobody when nobody has one", () => {
    withOther((harness, other) => {
      other.has = 1;
      const client = request(harness);
      harness.run();
      other.refuse();
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
      assert.equal(harness.value("cluster.upstream_cx_total"), 1);
      harness.upstream().destroy();
      other.asked.length = 0;
      carry(harness);
      assert.equal(other.asked.length, 0);
    });
  });

  test("keeps what comes when its request has left as idle, for as long as it had left", () => {
    withOther((harness, other) => {
      other.has = 1;
      const gone = request(harness);
      harness.run();
      gone.destroy();
      harness.run();
      const given = other.offer(harness, { idleLeftMs: 300 });
      assert.deepEqual(poolOf(harness).counts, { idle: 1, connections: 1, waiting: 0, dialling: 0 });
      assert.equal(other.idle, 1);
      harness.advance(290);
      assert.equal(given.closed, false);
      harness.advance(20);
      assert.equal(given.closed, true);
    });
  });

  test("takes one for each that waits and the others have, and makes the rest", () => {
    withOther((harness, other) => {
      other.has = 2;
      for (let i = 0; i < 3; i++) harness.connect().send(GET);
      harness.run();
      assert.equal(harness.upstreams.length, 1);
      other.offer(harness);
      other.offer(harness);
      harness.run();
      assert.deepEqual(
        harness.upstreams.map((upstream) => upstream.take().slice(0, 3)),
        ["GET", "GET", "GET"],
      );
      for (const upstream of harness.upstreams) upstream.send(OK);
      harness.run();
    });
  });

  test("sends a request again, on a connection of its own making, when the one that came had been closed", () => {
    withOther((harness, other) => {
      other.has = 2;
      const client = request(harness);
      harness.run();
      other.offer(harness).sendEnd();
      harness.run();
      // There is still one to be had, and nobody asks for it.
      assert.equal(other.asked.length, 0);
      assert.match(harness.upstream(1).take(), /^GET/);
      harness.upstream(1).send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
      assert.equal(harness.value("cluster.upstream_rq_replay"), 1);
    });
  });

  test("what comes after the request has left stays; what comes after the cluster has left is closed", () => {
    withOther((harness, other) => {
      other.has = 2;
      const gone = request(harness);
      harness.run();
      gone.destroy();
      harness.run();
      other.offer(harness);
      assert.equal(poolOf(harness).counts.idle, 1);
      carry(harness);

      harness.upstream().destroy();
      harness.run();
      harness.connect().send(GET);
      harness.run();
      const pool = poolOf(harness);
      pool.destroy();
      assert.equal(other.giver, undefined);
      assert.equal(other.offer(harness).closed, true);
      harness.run();
      assert.deepEqual(pool.counts, { idle: 0, connections: 0, waiting: 0, dialling: 0 });
    });
  });

  test("a connection that is lost while it is adopted is replaced by one of its own", () => {
    withOther((harness, other) => {
      other.has = 1;
      const client = request(harness);
      harness.run();
      const past = { requests: 1, ageMs: 1, idleLeftMs: 1000, announcedIdleMs: undefined, counted: true };
      other.asked.shift()?.onOffer({ past, adopt: () => undefined });
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 /);
      assert.equal(breakerOf(harness), 1);
    });
  });

  test("goes on counting a connection's requests and age where the other worker stopped", () => {
    withOther(
      (harness, other) => {
        other.has = 2;
        harness.connect().send(GET);
        harness.run();
        const used = other.offer(harness, { requests: 4 });
        harness.run();
        used.send(OK);
        harness.run();
        assert.equal(used.closed, true);
        assert.equal(harness.value("cluster.upstream_cx_max_requests"), 1);
        harness.connect().send(GET);
        harness.run();
        const old = other.offer(harness, { ageMs: 900, requests: 1 });
        harness.run();
        old.send(OK);
        harness.advance(90);
        assert.equal(old.closed, false);
        harness.advance(20);
        assert.equal(old.closed, true);
      },
      { clusters: [clusterConfig("app", { maxRequestsPerConnection: 5, maxConnectionDurationMs: 1000 })] },
    );
  });

  test("takes an idle one also where the limit on connections is reached, since it makes none", () => {
    withOther(
      (harness, other) => {
        carry(harness);
        other.has = 1;
        harness.connect().send(GET);
        harness.connect().send(GET);
        harness.run();
        assert.equal(other.asked.length, 1);
        other.offer(harness);
        harness.run();
        assert.equal(harness.value("cluster.upstream_cx_overflow"), 0);
        assert.equal(breakerOf(harness), 2); // the other worker gives its own count back afterwards
        for (const upstream of harness.upstreams) upstream.send(OK);
        harness.run();
      },
      {},
      1,
    );
  });
});

describe("a pool that is asked", () => {
  test("gives its coldest idle connection, and holds its counts until the other worker has it", () => {
    withOther((harness, other) => {
      for (let i = 0; i < 2; i++) harness.connect().send(GET);
      harness.run();
      for (const upstream of harness.upstreams) upstream.send(OK);
      harness.run();
      assert.equal(other.idle, 2);
      harness.advance(1000);
      const released: unknown[] = [];
      const given = other.giver?.give((connection) => released.push(connection) && 77);
      assert.deepEqual(released, [harness.upstream(0)]);
      assert.equal(given?.descriptor, 77);
      const { ageMs, idleLeftMs, ...past } = given.past;
      assert.deepEqual(past, { requests: 1, announcedIdleMs: undefined, counted: true });
      assert.ok(ageMs >= 1000 && idleLeftMs <= 3000 && idleLeftMs > 2900, `${ageMs} ${idleLeftMs}`);
      assert.equal(other.idle, 1);
      assert.deepEqual(poolOf(harness).counts, { idle: 1, connections: 1, waiting: 0, dialling: 0 });
      assert.equal(breakerOf(harness), 2);
      given.settle();
      assert.equal(breakerOf(harness), 1);
      assert.equal(harness.value("cluster.upstream_cx_active"), 1);
      harness.upstream(0).destroy(); // as `release` has
      harness.run();
      assert.equal(harness.value("cluster.upstream_cx_active"), 1);
    });
  });

  test("keeps a connection that cannot move, and has none to give that is in use or closed", () => {
    withOther((harness, other) => {
      carry(harness);
      assert.equal(
        other.giver?.give(() => -1),
        undefined,
      );
      carry(harness);
      assert.equal(harness.upstreams.length, 1);
      harness.connect().send(GET);
      harness.run();
      assert.equal(
        other.giver?.give(() => 1),
        undefined,
      );
      harness.upstream().send(OK);
      harness.run();
      harness.upstream().destroy();
      assert.equal(
        other.giver?.give(() => 1),
        undefined,
      );
    });
  });

  test("of a cluster that was replaced does not stand in the way of the new one's", () => {
    withOther((harness, other) => {
      const old = harness.runtime.current.clusters.get("app");
      harness.configure({ clusters: [clusterConfig("app", { maxRequestsPerConnection: 7 })] });
      carry(harness);
      const { giver } = other;
      const [endpoint] = old?.endpoints?.byKey.values() ?? [];
      assert.ok(giver !== undefined && old !== undefined && endpoint !== undefined);
      old.pool(endpoint, REQUEST);
      assert.equal(other.giver, giver);
    });
  });

  test("gives nothing once it drains", () => {
    withOther((harness, other) => {
      carry(harness);
      assert.ok(other.giver !== undefined);
      poolOf(harness).drain();
      assert.equal(other.giver, undefined);
    });
  });
});
