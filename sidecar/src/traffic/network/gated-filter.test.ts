import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { ManualClock, TimerWheel } from "@heddle/base";
import { type DownstreamInfo, ResponseFlag } from "@heddle/filter";
import { MemoryConnection } from "../http/testing-connection.ts";
import { Echo } from "./echo.ts";
import { GatedFilter } from "./gated-filter.ts";
import type { ConnectionEnd, NetworkFilter, Prepared, ServedConnection } from "./network-filter.ts";
import type { GateVerdict, GateVisit, NetworkGate } from "./network-gate.ts";

const INFO: DownstreamInfo = {
  directRemoteAddress: "192.0.2.1",
  remoteAddress: "192.0.2.1",
  remotePort: 40_000,
  localAddress: "192.0.2.2",
  localPort: 15_001,
  connectionId: 1,
  listener: "l",
  filterChain: "",
};

let clock: ManualClock;
let wheel: TimerWheel;
let ends: (ConnectionEnd | undefined)[];

beforeEach(() => {
  clock = new ManualClock();
  wheel = new TimerWheel(clock, 1);
  ends = [];
});

/** A gate that says the same of every connection. */
const saying = (verdict: GateVerdict): NetworkGate => ({ admit: () => verdict });

/** One that keeps the connection until the test decides. */
function waiting(): NetworkGate & { visit: GateVisit | undefined; cancelled: number } {
  return {
    visit: undefined,
    cancelled: 0,
    admit(visit) {
      this.visit = visit;
      return { type: "wait", cancel: () => this.cancelled++ };
    },
  };
}

function connect(...gates: NetworkGate[]): { client: MemoryConnection; served: ServedConnection } {
  const filter = new GatedFilter(gates, new Echo(), wheel);
  const client = new MemoryConnection();
  return { client, served: filter.serve(client, INFO, (end) => ends.push(end)) };
}

function turn(client: MemoryConnection): void {
  while (client.turn());
}

function assertNothingLeft(): void {
  assert.equal(wheel.running, 0);
  assert.equal(ends.length, 1);
}

describe("the gates of a filter chain", () => {
  test("let a connection through that all of them allow, and cost it nothing then", () => {
    const { client } = connect(saying("allow"), saying("allow"));
    client.send("hello");
    turn(client);
    assert.equal(client.take(), "hello");
    client.break();
    turn(client);
    assert.equal(ends[0], undefined);
    assertNothingLeft();
  });

  test("close a connection that one of them denies, unread and unanswered, and say who it was", () => {
    const after = waiting();
    const flags = ResponseFlag.UnauthorizedExternalService;
    const denial = { type: "deny", details: "rule_x", responseFlags: flags } as const;
    const { client } = connect(saying("allow"), saying(denial), after);
    client.send("hello");
    turn(client);
    assert.deepEqual([client.closed, client.bytesRead, client.take()], [true, 0, ""]);
    assert.equal(after.visit, undefined);
    assert.deepEqual(ends, [{ downstream: INFO, terminationDetails: "rule_x", responseFlags: flags }]);
    assertNothingLeft();
  });

  test("keep a denied connection as long as they are told to", () => {
    const { client } = connect(saying({ type: "deny", details: "d", delayMs: 500 }));
    client.send("hello");
    turn(client);
    clock.advance(499);
    assert.deepEqual([client.closed, client.bytesRead], [false, 0]);
    clock.advance(2);
    turn(client);
    assert.equal(client.closed, true);
    assertNothingLeft();
  });

  test("a client that goes during the delay leaves no timer behind", () => {
    const { client } = connect(saying({ type: "deny", details: "d", delayMs: 500 }));
    client.break();
    turn(client);
    assertNothingLeft();
  });

  test("read nothing while one of them waits, and lose nothing", () => {
    const gate = waiting();
    const { client } = connect(gate, saying("allow"));
    client.send("hello");
    turn(client);
    assert.equal(client.bytesRead, 0);
    client.paused = false; // whoever serves begins to read with `start`
    gate.visit!.decide("allow");
    turn(client);
    assert.equal(client.take(), "hello");
    client.break();
    turn(client);
    assert.equal(gate.cancelled, 0);
    assertNothingLeft();
  });

  test("a gate that waits may deny", () => {
    const gate = waiting();
    const { client } = connect(gate);
    gate.visit!.decide({ type: "deny", details: "late" });
    turn(client);
    assert.equal(ends[0]?.terminationDetails, "late");
    assertNothingLeft();
  });

  test("a gate that waits hears that the client is gone, and what it decides then is nobody's", () => {
    const gate = waiting();
    const { client } = connect(gate);
    client.break();
    turn(client);
    assert.equal(gate.cancelled, 1);
    gate.visit!.decide("allow");
    gate.visit!.decide({ type: "deny", details: "d" });
    turn(client);
    assertNothingLeft();
  });

  test("a connection that waits is ended by force, and drained when it is served", () => {
    const gate = waiting();
    const first = connect(gate);
    first.served.destroy();
    turn(first.client);
    assert.equal(gate.cancelled, 1);

    const second = connect(gate);
    second.served.drain();
    assert.equal(second.client.ended, false);
    gate.visit!.decide("allow");
    assert.equal(second.client.ended, true);
  });

  test("what a gate leaves in the metadata reaches the gates behind it, who serves, and the log", () => {
    const seen: unknown[] = [];
    const marks: NetworkGate = {
      admit(visit) {
        visit.setMetadata("envoy.filters.network.rbac", { shadow_engine_result: "denied" });
        visit.setMetadata("envoy.filters.network.rbac", { more: 1 });
        return "allow";
      },
    };
    const looks: NetworkGate = {
      admit(visit) {
        seen.push(visit.info.metadata?.get("envoy.filters.network.rbac")?.get("shadow_engine_result"));
        return "allow";
      },
    };
    const { client } = connect(marks, looks);
    client.break();
    turn(client);
    assert.deepEqual(seen, ["denied"]);
    assert.deepEqual(
      [...(ends[0]?.downstream.metadata?.get("envoy.filters.network.rbac") ?? [])],
      [
        ["shadow_engine_result", "denied"],
        ["more", 1],
      ],
    );
    assert.equal(INFO.metadata, undefined);
  });

  test("a gate that looks at each read closes before the bytes are seen", () => {
    let open = true;
    const { client } = connect({
      admit: () => "allow",
      onData: () => (open ? undefined : { type: "deny", details: "later" }),
    });
    client.send("one");
    turn(client);
    assert.equal(client.take(), "one");
    open = false;
    client.send("two");
    turn(client);
    assert.deepEqual([client.closed, client.take()], [true, ""]);
    assert.equal(ends[0]?.terminationDetails, "later");
    assertNothingLeft();
  });

  test("end with their chain", () => {
    let closed = 0;
    const gate: NetworkGate = { admit: () => "allow", close: () => closed++ };
    new GatedFilter([gate, gate], new Echo(), wheel).close();
    assert.equal(closed, 2);
  });

  describe("and what is begun for a client that is silent", () => {
    const foreseeing = (foreseen: boolean, verdict: GateVerdict): NetworkGate => ({
      ...saying(verdict),
      foresees: () => foreseen,
    });
    let heard: (Prepared | string | undefined)[];
    const made: Prepared = { cancel: () => void heard.push("cancelled") };
    const last = (): NetworkFilter => ({
      serve(client, info, onClosed, prepared) {
        heard.push(prepared);
        return new Echo().serve(client, info, onClosed);
      },
      prepare: () => made,
    });
    const gated = (...gates: NetworkGate[]): GatedFilter => new GatedFilter(gates, last(), wheel);
    const nobody = (): void => undefined;

    beforeEach(() => {
      heard = [];
    });

    test("is nothing unless all of them foresee that they admit it", () => {
      assert.equal(gated(foreseeing(true, "allow")).prepare(INFO, nobody), made);
      assert.equal(gated(foreseeing(true, "allow"), foreseeing(false, "allow")).prepare(INFO, nobody), undefined);
      assert.equal(gated(foreseeing(true, "allow"), waiting()).prepare(INFO, nobody), undefined);
    });

    test("comes to who serves, also after a gate has waited", () => {
      const gate = waiting();
      const client = new MemoryConnection();
      gated(gate).serve(client, INFO, (end) => ends.push(end), made);
      assert.deepEqual(heard, []);
      gate.visit!.decide("allow");
      assert.deepEqual(heard, [made]);
      client.break();
      turn(client);
      assertNothingLeft();
    });

    test("is cancelled, once, where a gate denies after all, or the client does not wait for it", () => {
      const client = new MemoryConnection();
      gated(saying({ type: "deny", details: "d" })).serve(client, INFO, (end) => ends.push(end), made);
      turn(client);
      assert.deepEqual(heard, ["cancelled"]);
      const leaving = new MemoryConnection();
      gated(waiting()).serve(leaving, INFO, (end) => ends.push(end), made);
      leaving.break();
      turn(leaving);
      assert.deepEqual(heard, ["cancelled", "cancelled"]);
    });
  });
});
