import assert from "node:assert/strict";
import { test } from "node:test";
import { type Failure, ManualClock, type Result } from "@heddle/base";
import type { SideResponse } from "@heddle/filter";
import { HeaderMap, RequestHead, type ResponseDecoder, ResponseHead } from "@heddle/http";
import type { Cluster } from "./cluster.ts";
import { sendSideRequest } from "./side-request.ts";
import type { UpstreamEnv } from "./upstream-env.ts";

/** A request on a connection of its own, whose answer the test gives. */
function asked(method: string) {
  const clock = new ManualClock();
  const results: Result<SideResponse, Failure>[] = [];
  const resets: Failure[] = [];
  const counted: number[] = [];
  let decoder: ResponseDecoder | undefined;
  const encoder = { sendHead: () => true, sendData: () => true, reset: (reason: Failure) => void resets.push(reason) };
  const counter = { add: () => undefined };
  const endpoint = { activeRequests: 0 };
  const connection = {
    startExchange: (made: ResponseDecoder) => {
      decoder = made;
      return encoder;
    },
  };
  const cluster = {
    pick: () => ({ type: "endpoint", endpoint }),
    pool: () => ({ take: () => connection, leave: () => undefined }),
    breaker: { tryAcquireRequest: () => true, releaseRequest: () => undefined },
    stats: {
      rqActive: counter,
      rqTotal: counter,
      rqTimeout: counter,
      countResponse: (status: number) => counted.push(status),
    },
  } as unknown as Cluster;
  const head = new RequestHead(method, "http", "db:5432", method === "CONNECT" ? "" : "/", new HeaderMap());
  sendSideRequest(cluster, "authz", { head, timeoutMs: 200 }, { clock } as unknown as UpstreamEnv, (result) =>
    results.push(result),
  );
  assert.ok(decoder !== undefined);
  return { clock, results, resets, counted, decoder, endpoint };
}

test("a 2xx to CONNECT is answered with its head, and the tunnel behind it is closed", () => {
  const { clock, results, resets, counted, decoder, endpoint } = asked("CONNECT");
  decoder.onHead(new ResponseHead(200, new HeaderMap()), false);
  assert.equal(results.length, 1);
  assert.ok(results[0]?.ok && results[0].value.head.status === 200 && results[0].value.body.length === 0);
  assert.equal(resets.length, 1, "its connection serves nobody else");
  assert.deepEqual([counted, endpoint.activeRequests, clock.pending], [[200], 0, 0]);
});

test("any other answer to CONNECT is read to its end, as one to another method is", () => {
  for (const [method, status] of [
    ["CONNECT", 403],
    ["GET", 200],
  ] as const) {
    const { results, resets, decoder } = asked(method);
    decoder.onHead(new ResponseHead(status, new HeaderMap()), false);
    assert.equal(results.length, 0);
    decoder.onData(Buffer.from("no"), true);
    assert.ok(results[0]?.ok && results[0].value.body.length === 2);
    assert.equal(resets.length, 0, "the connection serves on");
  }
});

test("an answer that does not come in time is a failure", () => {
  const { clock, results, resets } = asked("CONNECT");
  clock.advance(200);
  assert.ok(results[0]?.ok === false && results[0].error.kind === "response-timeout");
  assert.equal(resets.length, 1);
});
