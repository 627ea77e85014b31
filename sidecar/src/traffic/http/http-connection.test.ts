import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SERVING } from "../listener/serving-state.ts";
import { Harness, type HarnessOptions, type MemoryConnection } from "./testing-harness.ts";

const GET = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const CLOSE = /\r\nconnection: close\r\n/;

type Client = ReturnType<Harness["connect"]>;

function withHarness(options: HarnessOptions, body: (harness: Harness, client: Client) => void): void {
  const harness = new Harness(options);
  body(harness, harness.connect());
  assert.equal(harness.leaks(), "");
}

/** One exchange on that connection; what the client got. */
function exchange(harness: Harness, client: MemoryConnection): string {
  client.send(GET);
  harness.run();
  harness.upstreams.at(-1)?.send(OK);
  harness.run();
  return client.take();
}

describe("a client's connection that is idle", () => {
  test("ends drain_timeout after idle_timeout, and not a moment earlier", () => {
    withHarness({ manager: { idleTimeoutMs: 1000, drainTimeoutMs: 500 } }, (harness, client) => {
      harness.advance(900);
      assert.doesNotMatch(exchange(harness, client), CLOSE);
      harness.advance(990);
      assert.equal(harness.value("http.downstream_cx_idle_timeout"), 0);
      harness.advance(20);
      assert.equal(harness.value("http.downstream_cx_idle_timeout"), 1);
      harness.advance(480);
      assert.equal(client.ended, false);
      harness.advance(20);
      assert.equal(client.ended, true);
      assert.equal(harness.value("http.downstream_cx_idle_timeout"), 1);
    });
  });

  test("carries a request that comes when it is about to end, and ends with its answer", () => {
    withHarness({ manager: { idleTimeoutMs: 1000, drainTimeoutMs: 500 } }, (harness, client) => {
      harness.advance(1400);
      client.send(GET);
      harness.advance(2000);
      assert.equal(client.ended, false, "what is open is not idle");
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), CLOSE);
      assert.equal(client.ended, true);
    });
  });

  test("stays for ever where idle_timeout is 0", () => {
    withHarness({ manager: { idleTimeoutMs: 0 } }, (harness, client) => {
      harness.clock.advance(7 * 24 * 3_600_000);
      assert.equal(client.ended, false);
    });
  });
});

describe("a client's connection that is as old as it may be", () => {
  const manager = { maxConnectionDurationMs: 1000, drainTimeoutMs: 500 };

  test("ends with its next answer, or after drain_timeout", () => {
    withHarness({ manager }, (harness, idle) => {
      const busy = harness.connect();
      harness.advance(990);
      assert.doesNotMatch(exchange(harness, busy), CLOSE);
      assert.equal(harness.value("http.downstream_cx_max_duration_reached"), 0);
      harness.advance(20);
      assert.equal(harness.value("http.downstream_cx_max_duration_reached"), 2);
      assert.match(exchange(harness, busy), CLOSE);
      assert.deepEqual([idle.ended, busy.ended], [false, true]);
      harness.advance(500);
      assert.equal(idle.ended, true);
    });
  });

  test("ends behind the answer that it waits for, which tells so", () => {
    withHarness({ manager }, (harness, client) => {
      client.send(GET);
      harness.advance(3000);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), CLOSE);
      assert.equal(client.ended, true);
    });
  });

  test("http1_safe_max_connection_duration: an idle one waits for its next request, however long", () => {
    withHarness({ manager: { ...manager, http1SafeMaxConnectionDuration: true } }, (harness, client) => {
      harness.advance(100_000);
      assert.equal(client.ended, false);
      assert.match(exchange(harness, client), CLOSE);
      assert.equal(client.ended, true);
    });
  });

  test("jitter makes it older, by up to that part of the duration", () => {
    for (const [random, atMs] of [
      [0, 1000],
      [5000, 1100],
      [9999, 1199],
    ] as const) {
      const harness = new Harness({ manager: { ...manager, maxConnectionDurationJitterPercent: 20 } });
      harness.random = random;
      harness.connect();
      harness.clock.advance(atMs - 2);
      assert.equal(harness.value("http.downstream_cx_max_duration_reached"), 0, `${random}`);
      harness.clock.advance(4);
      assert.equal(harness.value("http.downstream_cx_max_duration_reached"), 1, `${random}`);
      harness.random = 0;
      assert.equal(harness.leaks(), "");
    }
  });
});

describe("the requests that a connection may carry", () => {
  test("are max_requests_per_connection: the last answer closes", () => {
    withHarness({ manager: { maxRequestsPerConnection: 2 } }, (harness, client) => {
      assert.doesNotMatch(exchange(harness, client), CLOSE);
      assert.match(exchange(harness, client), CLOSE);
      assert.equal(client.ended, true);
      assert.equal(harness.value("http.downstream_cx_max_requests_reached"), 1);
    });
  });

  test("are one where it is 1: no keep-alive", () => {
    withHarness({ manager: { maxRequestsPerConnection: 1 } }, (harness, client) => {
      client.send(GET + GET);
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.equal(client.take().split("HTTP/1.1 ").length - 1, 1, "the pipelined request is not read");
      assert.equal(client.ended, true);
    });
  });
});

describe("draining", () => {
  test("closes idle connections at once and the others with their answer", () => {
    const harness = new Harness();
    const idle = harness.connect();
    const busy = harness.connect();
    busy.send(GET);
    harness.run();
    idle.http.drain();
    busy.http.drain();
    assert.deepEqual([idle.ended, busy.ended], [true, false]);
    harness.upstream().send(OK);
    harness.run();
    assert.match(busy.take(), CLOSE);
    assert.equal(busy.ended, true);
    assert.equal(harness.leaks(), "");
  });

  test("gently, an idle connection carries one more exchange, or closes after drain_timeout", () => {
    const harness = new Harness({ manager: { drainTimeoutMs: 3000 } });
    const idle = harness.connect();
    const used = harness.connect();
    for (const client of [idle, used]) client.http.drainGently();
    harness.clock.advance(2900);
    used.send(GET);
    harness.run();
    assert.deepEqual([idle.ended, used.ended], [false, false]);
    harness.clock.advance(200);
    harness.run();
    assert.deepEqual([idle.ended, used.ended], [true, false]);
    harness.upstream().send(OK);
    harness.run();
    assert.match(used.take(), CLOSE);
    assert.equal(used.ended, true);
    assert.equal(harness.leaks(), "");
  });

  test("gently with less time closes earlier, and never later", () => {
    const harness = new Harness({ manager: { drainTimeoutMs: 3000 } });
    const client = harness.connect();
    client.http.drainGently(1000);
    client.http.drainGently();
    harness.clock.advance(990);
    assert.equal(client.ended, false);
    harness.clock.advance(20);
    assert.equal(client.ended, true);
    assert.equal(harness.value("http.downstream_cx_drain_close"), 1);
    assert.equal(harness.leaks(), "");
  });

  test("while the health check fails each answer closes its connection, and is counted", () => {
    withHarness({}, (harness, client) => {
      const later = harness.connect();
      assert.doesNotMatch(exchange(harness, client), CLOSE);
      harness.serving.publish({ ...SERVING, healthCheckFailed: true });
      assert.match(exchange(harness, client), CLOSE);
      assert.equal(client.ended, true);
      assert.equal(harness.value("http.downstream_cx_drain_close"), 1);
      harness.serving.publish(SERVING);
      assert.doesNotMatch(exchange(harness, later), CLOSE);
    });
    withHarness({ drainType: "MODIFY_ONLY" }, (harness, client) => {
      harness.serving.publish({ ...SERVING, healthCheckFailed: true });
      assert.doesNotMatch(exchange(harness, client), CLOSE);
    });
  });

  test("gradually, answers close as chance has it, in the end all", () => {
    withHarness({ drain: { strategy: "gradual", timeMs: 1000 } }, (harness, client) => {
      harness.random = 500;
      harness.manager.drainGradually();
      harness.advance(490);
      assert.doesNotMatch(exchange(harness, client), CLOSE);
      harness.advance(20);
      assert.match(exchange(harness, client), CLOSE);
      const other = harness.connect();
      harness.random = 999;
      assert.doesNotMatch(exchange(harness, other), CLOSE);
      harness.advance(490);
      assert.match(exchange(harness, other), CLOSE);
    });
  });

  test("a tunnel that opens meanwhile is no HTTP any more: its head does not say close", () => {
    const manager = { upgradeConfigs: [{ upgradeType: "websocket", enabled: true }] };
    withHarness({ manager }, (harness, client) => {
      harness.serving.publish({ ...SERVING, healthCheckFailed: true });
      client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      harness.run();
      harness.upstream().send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      harness.run();
      assert.doesNotMatch(client.take(), /close/);
      client.send("frame");
      harness.run();
      assert.match(harness.upstream().take(), /frame$/);
    });
  });
});

describe("the end of a connection", () => {
  test("a client that does not close after its last answer is closed after delayed_close_timeout", () => {
    withHarness({ manager: { delayedCloseTimeoutMs: 1000 } }, (harness, client) => {
      client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
      harness.run();
      harness.upstream().send(OK);
      harness.run();
      assert.equal(client.ended, true);
      harness.advance(990);
      assert.equal(client.closed, false);
      harness.advance(20);
      assert.equal(client.closed, true);
      assert.equal(harness.value("http.downstream_cx_delayed_close_timeout"), 1);
    });
  });

  test("delayed_close_timeout 0 closes it as soon as the answer is written", () => {
    withHarness({ manager: { delayedCloseTimeoutMs: 0 } }, (harness, client) => {
      client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
      harness.run();
      client.stall(true);
      harness.upstream().send(OK);
      harness.advance(500);
      assert.equal(client.closed, false, "what is written is not all with the client");
      client.stall(false);
      harness.advance(1000);
      assert.match(client.take(), /ok$/);
      assert.equal(client.closed, true);
      assert.equal(harness.value("http.downstream_cx_delayed_close_timeout"), 0);
    });
  });

  test("is counted by who ended it, and whether a request was open", () => {
    const counts = (harness: Harness) =>
      ["", "_local", "_remote", "_active_rq", "_local_active_rq", "_remote_active_rq"].map((suffix) =>
        harness.value(`http.downstream_cx_destroy${suffix}`),
      );
    withHarness({ manager: { codecType: "HTTP1" } }, (harness, client) => {
      assert.equal(harness.value("http.downstream_cx_http1_active"), 1);
      client.break();
      harness.run();
      assert.deepEqual(counts(harness), [1, 0, 1, 0, 0, 0]);
      const busy = harness.connect();
      busy.send(GET);
      harness.run();
      busy.break();
      harness.run();
      assert.deepEqual(counts(harness), [2, 0, 2, 1, 0, 1]);
      const ours = harness.connect();
      ours.http.drain();
      harness.advance(1100);
      assert.deepEqual(counts(harness), [3, 1, 2, 1, 0, 1]);
      const forced = harness.connect();
      forced.send(GET);
      harness.run();
      forced.http.destroy();
      harness.run();
      assert.deepEqual(counts(harness), [4, 2, 2, 2, 1, 1]);
      assert.equal(harness.value("http.downstream_cx_http1_total"), 4);
      assert.equal(harness.value("http.downstream_cx_http1_active"), 0);
    });
  });

  test("a client that never sends the rest of a request that was answered early is not waited for", () => {
    const half = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf ";
    const early = (harness: Harness, client: MemoryConnection): void => {
      client.send(half);
      harness.run();
      harness.upstreams.at(-1)?.send(OK);
      harness.run();
      assert.doesNotMatch(client.take(), CLOSE);
    };
    withHarness({ manager: { streamIdleTimeoutMs: 1000 } }, (harness, client) => {
      early(harness, client);
      harness.advance(990);
      assert.equal(client.ended, false);
      harness.advance(20);
      assert.equal(client.ended, true);
    });
    withHarness({ manager: { streamIdleTimeoutMs: 1000, idleTimeoutMs: 5000 } }, (harness, client) => {
      early(harness, client);
      harness.advance(500);
      client.send("whole");
      harness.advance(4000);
      assert.equal(client.ended, false, "with the rest the connection is an idle one");
    });
    withHarness({}, (harness, client) => {
      early(harness, client);
      client.http.drainGently(100);
      harness.advance(120);
      assert.equal(client.ended, true);
    });
  });

  test("a client that half-closes behind its request gets the answer", () => {
    withHarness({}, (harness, client) => {
      client.send(GET);
      client.sendEnd();
      harness.run();
      assert.equal(client.ended, false);
      harness.upstream().send(OK);
      harness.run();
      assert.match(client.take(), /^HTTP\/1\.1 200 .*connection: close.*ok$/s);
      assert.equal(client.ended, true);
      assert.equal(harness.value("http.downstream_rq_2xx"), 1);
    });
  });
});
