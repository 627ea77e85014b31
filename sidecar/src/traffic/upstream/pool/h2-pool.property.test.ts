import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { MemoryConnection } from "../../http/testing-connection.ts";
import { clusterConfig, Harness } from "../../http/testing-harness.ts";
import { INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, REFUSED_STREAM, ScriptedH2Server } from "./scripted-h2-server.ts";

/*
 * Whatever HTTP/2 upstreams and clients do, and in whatever order: every request has one end, none that may have been
 * processed goes out again unless it is idempotent, no connection has more streams than its peer allows, and nothing leaks.
 */

type Step =
  | { readonly type: "ask"; readonly post: boolean }
  | { readonly type: "leave"; readonly client: number }
  | { readonly type: "settings"; readonly server: number; readonly limit: number }
  | { readonly type: "answer" | "refuse" | "reset"; readonly server: number; readonly stream: number }
  | { readonly type: "go-away"; readonly server: number; readonly stream: number }
  | { readonly type: "break" | "end"; readonly server: number }
  | { readonly type: "wait"; readonly ms: number };

const number = fc.nat({ max: 99 });
const server = fc.nat({ max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant("ask" as const), post: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("leave" as const), client: number }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant("settings" as const), server, limit: fc.constantFrom(0, 1, 2, 5, 100) }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("answer" as const), server, stream: number }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constantFrom("refuse" as const, "reset" as const), server, stream: number }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("go-away" as const), server, stream: number }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constantFrom("break" as const, "end" as const), server }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("wait" as const), ms: fc.constantFrom(10, 300, 1200) }) },
);

/** A server, and what the test knows of its streams. */
class Upstream {
  readonly script: ScriptedH2Server;
  /** Streams that it has, without those that a GOAWAY has left out. */
  readonly open = new Set<number>();
  #limit = 100;
  #settled = false;
  #lastStream = Infinity;

  constructor(connection: MemoryConnection) {
    this.script = new ScriptedH2Server(connection);
  }

  get alive(): boolean {
    return !this.script.connection.closed && !this.script.connection.ended;
  }

  read(): void {
    this.script.read();
    for (const id of this.script.beginsAndResets.splice(0)) {
      if (id < 0) this.open.delete(-id);
      else if (id <= this.#lastStream) this.open.add(id); // else it was on its way when the GOAWAY came
      assert.ok(id < 0 || this.open.size <= this.#limit, `${this.open.size} streams where ${this.#limit} are allowed`);
    }
  }

  /** One of its streams, if it has any. */
  stream(choice: number): number | undefined {
    return [...this.open][choice % Math.max(1, this.open.size)];
  }

  settings(limit = this.#limit): ScriptedH2Server {
    if (!this.#settled || limit !== this.#limit) this.script.settings({ [MAX_CONCURRENT_STREAMS]: limit });
    this.#settled = true;
    this.#limit = limit;
    return this.script;
  }

  goAway(lastStream: number): void {
    this.#lastStream = Math.min(this.#lastStream, lastStream);
    for (const id of this.open) if (id > this.#lastStream) this.open.delete(id);
    this.settings().goAway(this.#lastStream);
  }
}

interface Client {
  readonly connection: MemoryConnection;
  /** What came with its request, if it is a POST. */
  readonly body: string;
  received: string;
  left: boolean;
}

class World {
  readonly harness: Harness;
  readonly upstreams: Upstream[] = [];
  readonly clients: Client[] = [];
  /** How often the POST with that body may have been processed. */
  readonly processed = new Map<string, number>();

  constructor(maxConnections: number) {
    const thresholds = { maxConnections, maxPendingRequests: 99, maxRequests: 99, maxRetries: 3 };
    this.harness = new Harness({
      clusters: [
        clusterConfig("app", {
          upstreamProtocol: "http2",
          idleTimeoutMs: 500,
          maxConnectionDurationMs: 2000,
          maxRequestsPerConnection: 7,
          circuitBreakers: { default: thresholds, high: thresholds },
        }),
      ],
    });
  }

  happen(one: Step): void {
    switch (one.type) {
      case "ask":
        this.#ask(one.post);
        break;
      case "leave":
        this.#leave(one.client);
        break;
      case "wait":
        this.harness.advance(one.ms);
        break;
      default:
        this.#atServer(one);
    }
    this.#settle();
  }

  /** Lets every request come to an end. */
  finish(): void {
    for (let round = 0; round < 100; round++) {
      for (const upstream of this.upstreams) {
        if (!upstream.alive) continue;
        upstream.settings(100);
        for (const id of upstream.open) this.#answer(upstream, id);
      }
      this.#settle();
      if (this.clients.every(({ received, left }) => left || received !== "")) return;
    }
    assert.fail("a request has no end");
  }

  #ask(post: boolean): void {
    const body = post ? String(this.clients.length).padStart(4, "0") : "";
    const connection = this.harness.connect();
    this.clients.push({ connection, body, received: "", left: false });
    connection.send(
      post ? `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n${body}` : "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    );
  }

  #leave(choice: number): void {
    const client = this.clients[choice % Math.max(1, this.clients.length)];
    if (client === undefined || client.left) return;
    client.left = true;
    client.connection.break();
  }

  #atServer(one: Exclude<Step, { readonly type: "ask" | "leave" | "wait" }>): void {
    const upstream = this.upstreams[one.server % Math.max(1, this.upstreams.length)];
    if (upstream === undefined || !upstream.alive) return;
    switch (one.type) {
      case "settings":
        upstream.settings(one.limit);
        return;
      case "go-away":
        upstream.goAway(upstream.stream(one.stream) ?? 0);
        return;
      case "break":
      case "end":
        for (const id of upstream.open) this.#count(upstream, id);
        upstream.open.clear();
        if (one.type === "break") upstream.script.connection.break();
        else upstream.script.connection.sendEnd();
        return;
      default: {
        const id = upstream.stream(one.stream);
        if (id !== undefined) this.#atStream(upstream, id, one.type);
      }
    }
  }

  #atStream(upstream: Upstream, id: number, what: "answer" | "refuse" | "reset"): void {
    if (what === "answer") {
      this.#answer(upstream, id);
      return;
    }
    if (what === "reset") this.#count(upstream, id);
    upstream.open.delete(id);
    upstream.settings().reset(id, what === "refuse" ? REFUSED_STREAM : INTERNAL_ERROR);
  }

  #answer(upstream: Upstream, id: number): void {
    this.#count(upstream, id);
    upstream.open.delete(id);
    upstream.settings().answer(id);
  }

  #count(upstream: Upstream, id: number): void {
    const body = upstream.script.data.get(id);
    if (body !== undefined) this.processed.set(body, (this.processed.get(body) ?? 0) + 1);
  }

  #settle(): void {
    this.harness.run();
    for (const connection of this.harness.upstreams.slice(this.upstreams.length)) {
      this.upstreams.push(new Upstream(connection));
    }
    for (const upstream of this.upstreams) upstream.read();
    for (const client of this.clients) client.received += client.connection.take();
  }
}

test("requests over HTTP/2 upstreams have one end each, and are processed once, whatever happens", () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 20, maxLength: 80, size: "max" }),
      fc.constantFrom(1, 2, 99),
      (steps, maxConnections) => {
        const world = new World(maxConnections);
        for (const one of steps) world.happen(one);
        world.finish();
        for (const { body, received, left } of world.clients) {
          const processed = world.processed.get(body) ?? 0;
          if (body !== "") assert.ok(processed <= 1, `a POST was processed ${processed} times`);
          if (left) continue;
          const [status, ...more] = [...received.matchAll(/^HTTP\/1\.1 (\d+)/gm)].map(([, code]) => code);
          assert.ok(status === "200" || status === "503", received);
          assert.deepEqual(more, []);
          if (body !== "" && status === "200") assert.equal(processed, 1);
        }
        assert.equal(world.harness.leaks(), "");
      },
    ),
    { seed: 7, numRuns: 100 },
  );
});
