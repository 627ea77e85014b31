import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json } from "@heddle/base";
import { ScriptedExchange } from "@heddle/filter/testing";
import { Harness } from "../http/testing-harness.ts";
import { grpcHttp1BridgeType } from "./grpc-http1-bridge-type.ts";

const GRPC = { "content-type": "application/grpc" };

function scripted(config: Json = {}): ScriptedExchange {
  return new ScriptedExchange({ filters: [{ filter: grpcHttp1BridgeType, config }] });
}

test("a call over HTTP/1 has its answer's status in the head, and 503 where it failed", () => {
  for (const [status, http] of [
    ["0", 200],
    ["5", 503],
    ["x", 503],
  ] as const) {
    // biome-ignore format: a table
    const exchange = scripted();
    exchange.sendRequest("POST", "/shop.Cart/Add", GRPC, "\0\0\0\0\0");
    exchange.sendResponseHead(200, GRPC);
    exchange.sendResponseData("\0\0\0\0\u0002");
    exchange.sendResponseData("hi");
    assert.equal(exchange.responseBegun, false, "held until the trailers have come");
    exchange.sendResponseTrailers({ "grpc-status": status, "grpc-message": "m" });
    const { head, body, trailers, ended } = exchange.atClient;
    assert.equal(head?.status, http);
    assert.deepEqual(
      ["grpc-status", "grpc-message", "content-length"].map((name) => head.headers.get(name)),
      [status, "m", "7"],
    );
    assert.deepEqual([body, trailers, ended], ["\0\0\0\0\u0002hi", undefined, true]);
  }
});

test("an answer without trailers passes when it is whole", () => {
  const exchange = scripted();
  exchange.sendRequest("POST", "/shop.Cart/Add", GRPC, "x");
  exchange.respond(200, GRPC, "body");
  assert.deepEqual([exchange.atClient.head?.status, exchange.atClient.body], [200, "body"]);
});

test("other requests pass; the query is taken off where that is asked for", () => {
  const plain = scripted({ ignoreQueryParameters: true });
  plain.sendRequest("POST", "/a/b?c", { "content-type": "text/plain" }, "x");
  assert.equal(plain.atUpstream.head?.path, "/a/b?c");
  plain.sendResponseHead(200, GRPC);
  assert.equal(plain.atClient.head?.status, 200);
  const call = scripted({ ignoreQueryParameters: true });
  call.sendRequest("POST", "/a/b?c", GRPC, "x");
  assert.equal(call.atUpstream.head?.path, "/a/b");
});

test("an HTTP/1 client reads it: a length, and no trailers behind the body", () => {
  const harness = new Harness({ filters: { bridge: { ...grpcHttp1BridgeType } } });
  const client = harness.connect();
  client.send(
    "POST /shop.Cart/Add HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0",
  );
  harness.run();
  harness
    .upstream()
    .send(
      "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\n5\r\n\0\0\0\0\0\r\n0\r\ngrpc-status: 7\r\n\r\n",
    );
  harness.run();
  const answer = client.take();
  assert.match(answer, /^HTTP\/1\.1 503 .*\r\ngrpc-status: 7\r\ncontent-length: 5\r\n.*\r\n\r\n\0\0\0\0\0$/s);
  client.sendEnd();
  harness.run();
  assert.equal(harness.leaks(), "");
});
