import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { failure, ok } from "@heddle/base";
import type { FilterModule, HttpFilter } from "@heddle/filter";
import { Harness, type HarnessOptions, type MemoryConnection } from "./testing-harness.ts";

/*
 * Whatever a filter throws, wherever it is entered: that exchange ends, it is counted, the stack is logged once for the place,
 * nothing is left behind, and the next request on a connection of its own is served as if nothing had been.
 */

const POST = "POST /broken HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nt: 1\r\n\r\n";
const FINE = "POST /fine HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nt: 1\r\n\r\n";
const ANSWER = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\ny\r\n0\r\nt: 1\r\n\r\n";

const broken = (): never => {
  throw new Error(`told to, ${Math.random()}`);
};

/** A filter that is broken for /broken alone. `make` gets what throws. */
function filterOf(make: (thrower: () => never) => HttpFilter): FilterModule {
  const fine = make(() => undefined as never);
  const bad = make(broken);
  const pick = (path: string): HttpFilter => (path === "/broken" ? bad : fine);
  let current = fine;
  const filter: HttpFilter = {
    requestHead(exchange, end) {
      current = pick(exchange.request.path);
      return current.requestHead?.(exchange, end) ?? "continue";
    },
  };
  for (const phase of PHASES) {
    if (phase === "requestHead" || !(phase in fine)) continue;
    (filter as Record<string, unknown>)[phase] = (exchange: { request: { path: string } }, ...rest: unknown[]) =>
      (pick(exchange.request.path)[phase] as (...all: unknown[]) => unknown)(exchange, ...rest);
  }
  return { parse: () => ok({}), create: () => ({ create: () => filter }) };
}

const PHASES = [
  "requestHead",
  "requestData",
  "requestTrailers",
  "selectUpstream",
  "connectFailure",
  "upstreamRequest",
  "responseHead",
  "responseData",
  "responseTrailers",
  "log",
] as const satisfies readonly (keyof HttpFilter)[];

/** Sends the broken request twice and the good one once, each on a connection of its own, all through one upstream. */
function serve(harness: Harness, failDials = 0): { readonly bad: string; readonly good: string } {
  const exchange = (text: string, dialFails: boolean): string => {
    if (dialFails) harness.dialFailures.push(failure("connect-refused", "upstream", "refused", "safe"));
    const client: MemoryConnection = harness.connect();
    client.send(text);
    harness.run();
    harness.advance(100); // timers of filters
    for (const upstream of harness.upstreams) {
      if (upstream.closed || upstream.take() === "") continue;
      upstream.send(ANSWER);
    }
    harness.run();
    harness.advance(100);
    return client.take();
  };
  exchange(POST, failDials > 0);
  return { bad: exchange(POST, failDials > 0), good: exchange(FINE, failDials > 0) };
}

function contained(options: HarnessOptions, expected: RegExp, failDials = 0, filterName = "bad"): void {
  const harness = new Harness(options);
  const { bad, good } = serve(harness, failDials);
  assert.match(bad, expected);
  assert.match(good, /^HTTP\/1\.1 200 OK[\s\S]*\r\n1\r\ny\r\n0\r\nt: 1\r\n\r\n$/);
  assert.ok(harness.value("http.internal_error") >= 2, "both are counted");
  assert.equal(harness.logged.length, 3, "every exchange reaches the access log");
  const stacks = harness.problems.filter((problem) => problem.includes("ended by an exception"));
  assert.equal(stacks.length, 1, "one place, told of once");
  assert.match(stacks[0] ?? "", new RegExp(`"filter":"${filterName}"`));
  assert.equal(harness.leaks(), "");
}

const FIVE_HUNDRED = /^HTTP\/1\.1 500 Internal Server Error\r\n[\s\S]*Internal Server Error$/;
/** The head had been sent. */
const BROKEN_OFF = /^HTTP\/1\.1 200 OK\r\n(?![\s\S]*\r\n0\r\n)/;
const SERVED = /^HTTP\/1\.1 200 OK[\s\S]*\r\n0\r\nt: 1\r\n\r\n$/;

describe("what a filter throws is contained", () => {
  for (const phase of ["requestHead", "requestData", "requestTrailers", "responseHead"] as const) {
    test(`in ${phase}`, () => {
      const bad = filterOf((thrower) => ({ [phase]: () => thrower() ?? "continue" }));
      contained({ filters: { bad } }, FIVE_HUNDRED);
    });
  }

  for (const phase of ["responseData", "responseTrailers"] as const) {
    test(`in ${phase}: the answer is broken off where the client can see it`, () => {
      const bad = filterOf((thrower) => ({ [phase]: () => thrower() ?? "continue" }));
      contained({ filters: { bad } }, BROKEN_OFF);
    });
  }

  test("in log: the answer has been given", () => {
    const bad = filterOf((thrower) => ({ log: () => thrower() }));
    contained({ filters: { bad } }, SERVED);
  });

  for (const phase of ["selectUpstream", "upstreamRequest"] as const) {
    test(`in ${phase}`, () => {
      const bad = filterOf((thrower) => ({ [phase]: () => thrower() }));
      contained({ filters: { bad } }, FIVE_HUNDRED, 0, phase === "selectUpstream" ? "bad" : ".*");
    });
  }

  test("in connectFailure", () => {
    const bad = filterOf((thrower) => ({ connectFailure: () => thrower() ?? "retry" }));
    contained({ filters: { bad } }, FIVE_HUNDRED, 1, ".*");
  });

  test("in a timer", () => {
    const bad = filterOf((thrower) => ({
      requestHead(exchange) {
        exchange.after(10, () => thrower() ?? exchange.continueRequest());
        return "pause";
      },
    }));
    contained({ filters: { bad } }, FIVE_HUNDRED);
  });

  test("when the answer to a request of its own comes", () => {
    const bad = filterOf((thrower) => ({
      requestHead(exchange) {
        const { request } = exchange;
        exchange.send("nobody", { head: request, timeoutMs: 50 }, () => thrower() ?? exchange.continueRequest());
        return "pause";
      },
    }));
    contained({ filters: { bad } }, FIVE_HUNDRED);
  });

  test("when it is made", () => {
    const harness = new Harness({
      filters: { bad: { parse: () => ok({}), create: () => ({ create: broken }) } },
    });
    const client = harness.connect();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    harness.run();
    assert.match(client.take(), /^HTTP\/1\.1 500 /);
    assert.equal(harness.logged[0]?.responseCodeDetails, "internal_error");
    assert.equal(harness.leaks(), "");
  });
});

describe("what our own code throws is contained", () => {
  test("in the access log: the answer has been given, and the connection goes on", () => {
    const harness = new Harness();
    const log = harness.logged.push.bind(harness.logged);
    harness.logged.push = (...all) => {
      log(...all);
      throw new Error("cannot format");
    };
    const client = harness.connect();
    for (let i = 0; i < 2; i++) {
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
      harness.run();
      harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      harness.run();
      assert.match(client.take(), /ok$/);
    }
    assert.equal(harness.value("http.internal_error"), 2);
    assert.equal(harness.value("http.downstream_rq_active"), 0);
    assert.equal(harness.leaks(), "");
  });

  test("in the timer of a connection: that connection is reset, and others have their time", () => {
    const harness = new Harness({ manager: { idleTimeoutMs: 1000, drainTimeoutMs: 500 } });
    const [one, other] = [harness.connect(), harness.connect()];
    const isFirst = (): boolean => one.closed === false && !poisoned;
    let poisoned = false;
    Object.defineProperty(harness.manager.stats, "cxIdleTimeout", {
      value: {
        add() {
          if (!isFirst()) return;
          poisoned = true;
          throw new Error("cannot count");
        },
      },
    });
    harness.advance(1100);
    harness.advance(2000);
    assert.equal(one.closed, true);
    assert.equal(other.closed || other.ended, true);
    assert.equal(harness.value("http.internal_error"), 1);
    assert.equal(harness.leaks(), "");
  });
});
