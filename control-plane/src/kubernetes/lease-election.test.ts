import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { type JsonObject, ManualClock } from "@heddle/base";
import { quietLog } from "@heddle/xds/testing";
import type { KubeRequest } from "./kube-client.ts";
import { KubeError } from "./kube-error.ts";
import { LeaseElection } from "./lease-election.ts";
import { settle } from "./testing.ts";

describe("leader election", () => {
  const clock = new ManualClock();
  const open: LeaseElection[] = [];
  afterEach(async () => {
    for (const election of open.splice(0)) await election.close();
    assert.equal(clock.pending, 0);
  });

  const run = (lease: FakeLease, identity: string): LeaseElection => {
    const api = lease.as(identity);
    const names = { namespace: "heddle-system", name: "a", identity };
    const election = new LeaseElection({ api, clock, log: quietLog, ...names, random: () => 0.5 });
    open.push(election);
    election.start();
    return election;
  };
  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second += 1) {
      await settle();
      clock.advance(1000);
      await settle();
    }
  };

  it("one of two leads, as long as it renews", async () => {
    const lease = new FakeLease();
    const first = run(lease, "first");
    await pass(1);
    const second = run(lease, "second");
    await pass(60);
    assert.deepEqual([first.isLeader.current, second.isLeader.current], [true, false]);
    assert.equal(lease.spec?.["leaseTransitions"], 0);
  });

  it("whoever cannot renew stops leading before another one begins", async () => {
    const lease = new FakeLease();
    const first = run(lease, "first");
    await pass(1);
    const second = run(lease, "second");
    const both: boolean[] = [];
    for (const one of [first, second])
      one.isLeader.watch(() => both.push(first.isLeader.current && second.isLeader.current));
    lease.cutOff.add("first");
    const began: number[] = [];
    for (let second_ = 0; second_ < 30 && !second.isLeader.current; second_ += 1) {
      await pass(1);
      if (!first.isLeader.current) began.push(second_);
    }
    assert.ok(second.isLeader.current);
    assert.ok(began.length >= 3, "for some seconds nobody led");
    assert.deepEqual(both, [false, false]);
    assert.equal(lease.spec?.["leaseTransitions"], 1);
    lease.cutOff.clear();
    await pass(30);
    assert.deepEqual([first.isLeader.current, second.isLeader.current], [false, true]);
  });

  it("requests that hang hold nobody in office", async () => {
    const lease = new FakeLease();
    const first = run(lease, "first");
    await pass(1);
    assert.ok(first.isLeader.current);
    lease.hangs = true;
    await pass(11);
    assert.equal(first.isLeader.current, false);
    lease.hangs = false;
    lease.release();
  });

  it("whoever ends gives it back, and another one need not wait", async () => {
    const lease = new FakeLease();
    const first = run(lease, "first");
    await pass(1);
    const second = run(lease, "second");
    await pass(3);
    await first.close();
    assert.equal(lease.spec?.["holderIdentity"], "");
    await pass(3);
    assert.ok(second.isLeader.current);
  });

  it("a clock that is wrong elsewhere elects nobody: what counts is how long nothing changed", async () => {
    const lease = new FakeLease();
    lease.spec = { holderIdentity: "other", leaseDurationSeconds: 15, renewTime: "1999-01-01T00:00:00.000000Z" };
    const first = run(lease, "first");
    await pass(14);
    assert.equal(first.isLeader.current, false);
    await pass(4);
    assert.equal(first.isLeader.current, true);
  });

  it("of two who come at once one is refused, and does not lead", async () => {
    const lease = new FakeLease();
    lease.spec = { holderIdentity: "", leaseDurationSeconds: 1 };
    const both = [run(lease, "first"), run(lease, "second")];
    await pass(10);
    assert.equal(both.filter(({ isLeader }) => isLeader.current).length, 1);
  });
});

/** One Lease, with the conflicts of an API server. */
class FakeLease {
  spec: JsonObject | undefined;
  hangs = false;
  readonly cutOff = new Set<string>();
  #version = 0;
  #released = Promise.withResolvers<void>();

  release(): void {
    this.#released.resolve();
  }

  as(identity: string) {
    return {
      request: (request: KubeRequest) => this.#serve(identity, request),
      watch: () => Promise.reject(new Error()),
    };
  }

  async #serve(identity: string, { method, body, signal }: KubeRequest): Promise<unknown> {
    await Promise.resolve();
    if (this.hangs) {
      const aborted = new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
      await Promise.race([this.#released.promise, aborted]);
      throw new KubeError(0, "", "hung");
    }
    if (this.cutOff.has(identity)) throw new KubeError(0, "", "no answer: ECONNREFUSED");
    const { metadata, spec } = (body ?? {}) as { metadata?: { resourceVersion?: string }; spec?: JsonObject };
    if (method === "GET" && this.spec === undefined) throw new KubeError(404, "NotFound", "not found");
    if (method === "POST" && this.spec !== undefined) throw new KubeError(409, "AlreadyExists", "exists");
    if (method === "PUT" && metadata?.resourceVersion !== String(this.#version))
      throw new KubeError(409, "Conflict", "conflict");
    if (method !== "GET") {
      this.spec = spec;
      this.#version += 1;
    }
    return { metadata: { name: "a", resourceVersion: String(this.#version) }, spec: this.spec };
  }
}
