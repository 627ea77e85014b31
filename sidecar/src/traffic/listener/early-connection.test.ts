import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import { unseenMetrics } from "@heddle/filter/testing";
import type { ProxyProtocolConfig } from "@heddle/traffic";
import { MemoryConnection } from "../http/testing-connection.ts";
import { EarlyConnection, type EarlyConnectionOptions } from "./early-connection.ts";
import type { BytesFilter, Inspection, ListenerFilter } from "./listener-filter.ts";
import { ProxyProtocolFilter } from "./proxy-protocol-filter.ts";

const INFO: DownstreamInfo = {
  directRemoteAddress: "10.0.0.9",
  remoteAddress: "10.0.0.9",
  remotePort: 40000,
  localAddress: "10.0.0.1",
  localPort: 80,
  connectionId: 1,
  listener: "l",
  filterChain: "",
};

/** Takes the byte that it is named by, wherever it stands first. */
function takes(letter: string): BytesFilter {
  return {
    inspect(bytes, info) {
      if (bytes.length === 0) return { type: "more" };
      if (bytes[0] !== letter.charCodeAt(0)) return { type: "refuse", reason: `not ${letter}` };
      return { type: "done", consumed: 1, info: { ...info, filterChain: info.filterChain + letter } };
    },
  };
}

let clock: ManualClock;
let connection: MemoryConnection;
let heard: string[];

beforeEach(() => {
  clock = new ManualClock();
  connection = new MemoryConnection();
  heard = [];
});

function look(list: readonly ListenerFilter[], options: Partial<EarlyConnectionOptions> = {}): EarlyConnection {
  const filters = list.map((filter) => ({ filter, isDisabled: undefined }));
  const given = { clock, filters, first: 0, timeoutMs: 15_000, continueOnTimeout: false, ...options };
  return new EarlyConnection(connection, INFO, given, {
    onInspected: (info, prepared) => {
      heard.push(`inspected ${info.filterChain}${prepared === undefined ? "" : " prepared"}`);
      connection.start({
        onData: (bytes) => void heard.push(`data ${Buffer.from(bytes)}`),
        onEnd: () => void heard.push("end"),
        onDrain: () => undefined,
        onClose: () => void heard.push("close"),
      });
    },
    onRefused: (reason) => void heard.push(`refused ${reason}`),
    onTimeout: (served) => void heard.push(served ? "late" : "timeout"),
    onGone: () => void heard.push("gone"),
    onSilent: (info) => {
      heard.push(`silent ${info.filterChain}`);
      return { cancel: () => void heard.push("cancelled") };
    },
  });
}

function run(): void {
  while (connection.turn()) {}
}

describe("a connection that is looked at", () => {
  test("passes its filters in their order, and what they leave comes to who serves it", () => {
    look([takes("a"), takes("b")]);
    connection.send("abrest");
    connection.sendEnd();
    run();
    assert.deepEqual(heard, ["inspected ab", "data rest", "end"]);
    assert.equal(connection.bytesRead, 4);
    assert.equal(clock.pending, 0);
  });

  test("may come in pieces", () => {
    look([takes("a"), takes("b")]);
    connection.send("a");
    run();
    assert.deepEqual(heard, []);
    connection.send("b");
    run();
    connection.send("rest");
    run();
    assert.deepEqual(heard, ["inspected ab", "data rest"]);
    assert.equal(clock.pending, 0);
  });

  test("is closed when a filter refuses it", () => {
    look([takes("a"), takes("b")]);
    connection.send("ax");
    run();
    assert.deepEqual(heard, ["refused not b"]);
    assert.equal(connection.closed, true);
    assert.equal(clock.pending, 0);
  });

  test("is closed at the end of its time, or served with what there is", () => {
    const slow: ListenerFilter = { inspect: () => ({ type: "more" }) };
    look([slow]);
    connection.send("abc");
    run();
    clock.advance(15_000);
    assert.deepEqual(heard, ["timeout"]);
    assert.equal(connection.closed, true);

    connection = new MemoryConnection();
    heard = [];
    look([slow], { continueOnTimeout: true, timeoutMs: 100 });
    connection.send("abc");
    run();
    clock.advance(100);
    run();
    assert.deepEqual(heard, ["late", "inspected ", "data abc"]);

    connection = new MemoryConnection();
    look([slow], { timeoutMs: 0 });
    assert.equal(clock.pending, 0);
  });

  test("is told to be gone when it ends before, and only once", () => {
    look([takes("a")]);
    connection.sendEnd();
    run();
    assert.deepEqual(heard, ["gone"]);
    assert.equal(connection.closed, true);
    assert.equal(clock.pending, 0);
  });

  test("that is silent is told so once, and what is made for it comes with it, or is cancelled", () => {
    const named: ListenerFilter = { look: (_connection, info) => ({ ...info, filterChain: `${info.filterChain}!` }) };
    const silent = { silentAfterMs: 10, continueOnTimeout: true, timeoutMs: 100 };
    const outcomes: readonly (readonly [string, (early: EarlyConnection) => void, readonly string[]])[] = [
      ["speaks", () => connection.send("arest"), ["silent !", "inspected a! prepared", "data rest"]],
      ["speaks badly", () => connection.send("x"), ["silent !", "cancelled", "refused not a"]],
      ["ends", () => connection.sendEnd(), ["silent !", "cancelled", "gone"]],
      ["goes on being silent", () => clock.advance(89), ["silent !"]],
      ["is silent to the end", () => clock.advance(90), ["silent !", "late", "inspected ! prepared"]],
      ["is settled", (early) => early.settle(), ["silent !", "inspected ! prepared"]],
      ["is destroyed", (early) => early.destroy(), ["silent !", "cancelled"]],
    ];
    for (const [name, happens, expected] of outcomes) {
      connection = new MemoryConnection();
      clock = new ManualClock();
      heard = [];
      const early = look([takes("a"), named], silent);
      clock.advance(10);
      happens(early);
      run();
      assert.deepEqual(heard, expected, name);
      early.settle();
      clock.advance(1000);
      if (!name.startsWith("goes on")) assert.deepEqual(heard, expected, name);
      assert.equal(clock.pending, 0, name);
    }
  });

  test("is not silent that has said anything, or that is waited for no longer than silence would take", () => {
    look([{ inspect: () => ({ type: "more" }) }], { silentAfterMs: 10, timeoutMs: 100 });
    connection.send("a");
    run();
    clock.advance(99);
    assert.deepEqual(heard, []);
    clock.advance(1);
    assert.deepEqual(heard, ["timeout"]);
    connection = new MemoryConnection();
    heard = [];
    look([takes("a")], { silentAfterMs: 100, timeoutMs: 100 });
    clock.advance(100);
    assert.deepEqual(heard, ["timeout"]);
  });

  test("is not settled in the middle of what it says", () => {
    const word: BytesFilter = {
      inspect: (bytes, info) => (bytes.length < 2 ? { type: "more" } : { type: "done", consumed: 0, info }),
    };
    const early = look([word], { silentAfterMs: 10 });
    clock.advance(10);
    connection.send("a");
    run();
    early.settle();
    assert.deepEqual(heard, ["silent "]);
    connection.send("b");
    run();
    assert.deepEqual(heard, ["silent ", "inspected  prepared", "data ab"]);
  });

  test("is not silent before PROXY protocol has told who it is", () => {
    const config = { allowWithout: true, disallowedVersions: [], passThroughTlvs: [], rules: [], statPrefix: "" };
    const proxy = new ProxyProtocolFilter(config, unseenMetrics);
    look([proxy, takes("a")], { silentAfterMs: 10 });
    clock.advance(10);
    assert.deepEqual(heard, [], "what would be dialled was dialled for somebody else");
    connection = new MemoryConnection();
    look([proxy, takes("a")], { silentAfterMs: 10 });
    connection.send("PROXY TCP4 1.2.3.4 10.0.0.2 5 80\r\n");
    run();
    clock.advance(10);
    assert.deepEqual(heard, ["silent "]);
  });

  test("says nothing when it is destroyed", () => {
    look([takes("a")]).destroy();
    run();
    assert.deepEqual(heard, []);
    assert.equal(clock.pending, 0);
  });
});

describe("the PROXY protocol filter", () => {
  const config: ProxyProtocolConfig = {
    rules: [],
    allowWithout: false,
    disallowedVersions: [],
    passThroughTlvs: [],
    statPrefix: "",
  };
  const LINE = "PROXY TCP4 192.0.2.1 198.51.100.2 4096 443\r\n";

  function inspect(text: string, more: Partial<ProxyProtocolConfig> = {}): Inspection {
    return new ProxyProtocolFilter({ ...config, ...more }, unseenMetrics).inspect(Buffer.from(text, "latin1"), INFO);
  }

  test("gives the connection the addresses that it is told, and keeps the socket's as the direct ones", () => {
    const inspection = inspect(LINE);
    assert.deepEqual(inspection, {
      type: "done",
      consumed: LINE.length,
      info: {
        ...INFO,
        remoteAddress: "192.0.2.1",
        remotePort: 4096,
        localAddress: "198.51.100.2",
        localPort: 443,
        direct: { remotePort: 40000, localAddress: "10.0.0.1", localPort: 80 },
        restored: { listenPort: 80 },
      },
    });
    const same = inspect("PROXY TCP4 192.0.2.1 10.0.0.1 4096 80\r\n");
    assert.equal(same.type === "done" && same.info.restored, undefined);
  });

  test("leaves the addresses of a connection that the proxy does not know", () => {
    assert.deepEqual(inspect("PROXY UNKNOWN\r\n"), { type: "done", consumed: 15, info: INFO });
  });

  test("refuses a version that is not allowed; where none is needed its bytes are data", () => {
    assert.equal(inspect(LINE, { disallowedVersions: [1] }).type, "refuse");
    assert.deepEqual(inspect(LINE, { disallowedVersions: [1], allowWithout: true }), {
      type: "done",
      consumed: 0,
      info: INFO,
    });
    assert.equal(inspect(LINE, { disallowedVersions: [2] }).type, "done");
  });

  test("refuses what is no header unless none is needed, and a bad one always", () => {
    assert.equal(inspect("GET / HTTP/1.1").type, "refuse");
    assert.deepEqual(inspect("GET / HTTP/1.1", { allowWithout: true }), { type: "done", consumed: 0, info: INFO });
    assert.equal(inspect("PROXY TCP4 x\r\n", { allowWithout: true }).type, "refuse");
    assert.equal(inspect("PRO").type, "more");
  });
});
