import assert from "node:assert/strict";
import { test } from "node:test";
import type { EncodedResource, Snapshot } from "../snapshot.ts";
import { textResource } from "../testing.ts";
import { takesTtl } from "./client-features.ts";
import { deltaServer, type ServerResponse, ServerSession, type ServerStep, sotwServer } from "./server-session.ts";
import { CLUSTER_TYPE_URL } from "./type-urls.ts";

for (const variant of ["sotw", "delta"] as const) {
  test(`${variant}: statement 70: heartbeats come when half of the time to live is over, and again`, () => {
    const s = new Stream(variant, { a: 1000, b: undefined });
    s.ack(s.take());
    assert.deepEqual(s.next(), { step: "hold", untilMs: 500 });
    s.nowMs = 500;
    const beat = s.take();
    assert.deepEqual([beat.resources, beat.removed], [[], []]);
    assert.deepEqual(
      beat.bodiless?.map(({ name, ttlMs }) => [name, ttlMs]),
      [["a", 1000]],
    );
    s.ack(beat);
    assert.deepEqual(s.next(), { step: "hold", untilMs: 1000 });
    s.nowMs = 1000;
    assert.equal(s.take().bodiless?.length, 1);
  });

  test(`${variant}: statement 70: a client that does not know of times to live hears of none`, () => {
    const s = new Stream(variant, { a: 1000 }, false);
    const response = s.take();
    assert.equal(response.withTtl, false);
    s.ack(response);
    assert.deepEqual(s.next(), { step: "idle" });
  });

  test(`${variant}: statement 70: what the client brought from an earlier stream gets a heartbeat at once`, () => {
    const earlier = new Stream(variant, { a: 1000 });
    const { version } = earlier.take();
    const s = new Stream(variant, { a: 1000 }, true, version);
    const beat = s.take();
    assert.deepEqual([beat.resources.length, beat.bodiless?.length], [0, 1]);
  });

  test(`${variant}: statement 26: the verdict on a heartbeat triggers nothing, and holds nothing back`, () => {
    const s = new Stream(variant, { a: 1000 });
    s.ack(s.take());
    s.nowMs = 500;
    const beat = s.take();
    s.set({ a: 1000, c: undefined });
    const response = s.take();
    assert.ok(
      response.resources.some(({ name }) => name === "c"),
      "what is new does not wait for it",
    );
    s.ack(beat);
    s.ack(response);
    assert.deepEqual(s.next(), { step: "hold", untilMs: 1000 });
  });
}

test("statement 70: heartbeats that are nearly due go along with one that is", () => {
  const s = new Stream("delta", { a: 1000, b: 1500 });
  s.ack(s.take());
  s.nowMs = 500;
  assert.deepEqual(
    s.take().bodiless?.map(({ name }) => name),
    ["a", "b"],
  );
});

test("what was in a rejected response has heartbeats: the client may have taken a part of it", () => {
  const s = new Stream("delta", { a: 1000, b: 1000 });
  s.nack(s.take(), "bad");
  s.nowMs = 900;
  assert.equal(s.take().bodiless?.length, 2);
});

test("what was removed has no heartbeat", () => {
  const t = new Stream("delta", { a: 1000 });
  t.ack(t.take());
  t.set({});
  t.ack(t.take());
  t.nowMs = 900;
  assert.deepEqual(t.next(), { step: "idle" });
});

test("a client that gives no verdict has its heartbeats all the same, and pushes are held no longer for them", () => {
  const s = new Stream("delta", { a: 8000 });
  s.take();
  assert.deepEqual(s.next(), { step: "hold", untilMs: 5000 });
  s.nowMs = 5000;
  assert.equal(s.take().bodiless?.length, 1);
  s.set({ a: 8000, b: undefined });
  assert.equal(s.take().resources.length, 1);
});

test("statement 69: a client of state of the world is given times to live only if it opens envelopes too", () => {
  const ttl = "xds.config.supports-resource-ttl";
  assert.equal(takesTtl([ttl], "delta"), true);
  assert.equal(takesTtl([ttl], "sotw"), false);
  assert.equal(takesTtl([ttl, "xds.config.resource-in-sotw"], "sotw"), true);
  assert.equal(takesTtl([ttl, "xds.config.supports-resource-in-sotw"], "sotw"), true);
  assert.equal(takesTtl(["xds.config.resource-in-sotw"], "sotw"), false);
});

/** A stream that asks for all clusters; `held` is the version of everything that the client brings along. */
class Stream {
  nowMs = 0;
  readonly #take: (more: { responseNonce: string; message?: string }) => void;
  readonly #next: () => ServerStep;
  #snapshot: Snapshot;

  constructor(
    variant: "sotw" | "delta",
    ttls: Readonly<Record<string, number | undefined>>,
    withTtl = true,
    held?: string,
  ) {
    this.#snapshot = world(ttls);
    const common = { typeUrl: CLUSTER_TYPE_URL, node: undefined };
    const errorDetail = (message: string | undefined) => (message === undefined ? undefined : { code: 3, message });
    if (variant === "sotw") {
      const session = new ServerSession(sotwServer);
      session.withTtl = withTtl;
      this.#next = () => session.next(this.#snapshot, this.nowMs);
      this.#take = ({ responseNonce, message }) =>
        session.take({
          ...common,
          responseNonce,
          resourceNames: [],
          versionInfo: held ?? "",
          errorDetail: errorDetail(message),
        });
    } else {
      const session = new ServerSession(deltaServer);
      session.withTtl = withTtl;
      this.#next = () => session.next(this.#snapshot, this.nowMs);
      const versions =
        held === undefined ? [] : [...resources(ttls)].map(({ name, version }) => [name, version] as const);
      this.#take = ({ responseNonce, message }) =>
        session.take({
          ...common,
          responseNonce,
          resourceNamesSubscribe: [],
          resourceNamesUnsubscribe: [],
          initialResourceVersions: new Map(responseNonce === "" ? versions : []),
          errorDetail: errorDetail(message),
        });
    }
    this.#take({ responseNonce: "" });
  }

  set(ttls: Readonly<Record<string, number | undefined>>): void {
    this.#snapshot = world(ttls);
  }

  next(): ServerStep {
    return this.#next();
  }

  take(): ServerResponse {
    const step = this.#next();
    assert.ok(step.step === "send");
    return step.response;
  }

  ack({ nonce }: ServerResponse): void {
    this.#take({ responseNonce: nonce });
  }

  nack({ nonce }: ServerResponse, message: string): void {
    this.#take({ responseNonce: nonce, message });
  }
}

function resources(ttls: Readonly<Record<string, number | undefined>>): EncodedResource[] {
  return Object.entries(ttls).map(([name, ttlMs]) => {
    const resource = textResource(name, "1");
    return ttlMs === undefined ? resource : { ...resource, ttlMs };
  });
}

function world(ttls: Readonly<Record<string, number | undefined>>): Snapshot {
  return { resources: new Map([[CLUSTER_TYPE_URL, new Map(resources(ttls).map((one) => [one.name, one]))]]) };
}
