import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ScriptedExchange } from "@heddle/filter/testing";
import { grpcMessageBytes, WebTextReader } from "@heddle/http";
import fc from "fast-check";
import { clusterConfig, Harness, routesOf, routeTo } from "../http/testing-harness.ts";
import { grpcWebType } from "./grpc-web-type.ts";

const WEB = { "content-type": "application/grpc-web+proto", "content-length": "5", accept: "*/*" };
const TEXT = { "content-type": "application/grpc-web-text", accept: "application/grpc-web-text" };
const MESSAGE = grpcMessageBytes(Buffer.from("hello"));

function scripted(): ScriptedExchange {
  return new ScriptedExchange({ filters: [{ filter: grpcWebType }] });
}

function base64(...bytes: readonly Uint8Array[]): string {
  return Buffer.concat(bytes).toString("base64");
}

/** The last message of a body: trailers. */
function trailers(text: string): Buffer {
  return grpcMessageBytes(Buffer.from(text), 0x80);
}

describe("a request that is gRPC-Web becomes gRPC", () => {
  test("in its head: content type, te, accepted encodings, and no content-length", () => {
    const exchange = scripted();
    exchange.sendHead("POST", "/shop.Cart/Add", WEB);
    const headers = exchange.atUpstream.head?.headers;
    assert.deepEqual(headers?.fields, [
      "content-type", "application/grpc", "accept", "*/*", "te", "trailers", "grpc-accept-encoding", "identity",
    ]); // biome-ignore format: a table
  });

  test("with parameters behind its type too; what it accepts itself is kept", () => {
    const exchange = scripted();
    const own = { "content-type": "application/grpc-web; charset=utf-8", "grpc-accept-encoding": "gzip" };
    exchange.sendHead("POST", "/shop.Cart/Add", own);
    assert.equal(exchange.atUpstream.head?.headers.get("content-type"), "application/grpc");
    assert.equal(exchange.atUpstream.head?.headers.get("grpc-accept-encoding"), "gzip");
  });

  test("in its body: text is decoded however it is cut, and binary passes", () => {
    for (const size of [1, 2, 3, 5, 100]) {
      const exchange = scripted();
      exchange.sendHead("POST", "/shop.Cart/Add", TEXT);
      const text = base64(MESSAGE) + base64(Buffer.from("é"));
      for (let at = 0; at < text.length; at += size) exchange.sendData(text.slice(at, at + size));
      exchange.sendData("", true);
      assert.equal(exchange.atUpstream.body, `\0\0\0\0\u0005helloé`);
      assert.equal(exchange.atUpstream.ended, true);
    }
    const binary = scripted();
    binary.sendHead("POST", "/shop.Cart/Add", WEB);
    binary.sendData(MESSAGE, true);
    assert.equal(binary.atUpstream.body, "\0\0\0\0\u0005hello");
  });

  test("text that is not base64 is refused with 400, and the refusal has a gRPC status", () => {
    for (const [text, details] of [
      ["AA*A", "grpc_base_64_decode_failed"],
      ["AAAAA", "grpc_base_64_decode_failed_bad_size"],
    ] as const) {
      const exchange = scripted();
      exchange.sendHead("POST", "/shop.Cart/Add", TEXT);
      exchange.sendData(text, true);
      assert.equal(exchange.responseCodeDetails, details);
      const { head, body } = exchange.atClient;
      assert.equal(head?.status, 400);
      assert.equal(head?.headers.get("content-type"), "application/grpc-web-text+proto");
      assert.equal(head?.headers.get("grpc-status"), "13");
      assert.equal(head?.headers.get("grpc-message"), "Bad gRPC-web request, invalid base64 data.");
      assert.equal(body, "");
    }
  });

  test("any other request passes, gRPC and formats that are not protobuf too", () => {
    for (const type of ["application/grpc", "application/grpc-web+json", "text/plain"]) {
      const exchange = scripted();
      exchange.sendRequest("POST", "/", { "content-type": type }, "AA*A");
      assert.equal(exchange.atUpstream.head?.headers.get("content-type"), type);
      exchange.sendResponseHead(200, { "content-type": type });
      exchange.sendResponseTrailers({ "grpc-status": "0" });
      assert.equal(exchange.atClient.trailers?.get("grpc-status"), "0");
      assert.equal(exchange.atClient.head?.headers.get("content-type"), type);
    }
  });
});

describe("a response becomes gRPC-Web", () => {
  const GRPC = { "content-type": "application/grpc+proto", "content-length": "10" };

  test("text: trailers are the last message, padding stands between messages alone", () => {
    const exchange = scripted();
    exchange.sendRequest("POST", "/shop.Cart/Watch", TEXT, base64(MESSAGE));
    exchange.sendResponseHead(200, GRPC);
    const { head } = exchange.atClient;
    assert.equal(head?.headers.get("content-type"), "application/grpc-web-text+proto");
    assert.equal(head?.headers.has("content-length"), false);
    exchange.sendResponseData(MESSAGE.subarray(0, 7));
    assert.equal(exchange.atClient.body, base64(MESSAGE).slice(0, 8), "what makes no group waits");
    exchange.sendResponseData(MESSAGE.subarray(7));
    assert.equal(exchange.atClient.body, base64(MESSAGE), "a whole message does not");
    exchange.sendResponseData(MESSAGE);
    exchange.sendResponseTrailers({ "grpc-status": "0", "grpc-message": "fine" });
    const end = base64(trailers("grpc-status:0\r\ngrpc-message:fine\r\n"));
    assert.equal(exchange.atClient.body, base64(MESSAGE) + base64(MESSAGE) + end);
    assert.equal(exchange.atClient.trailers, undefined);
    assert.equal(exchange.atClient.ended, true);
  });

  test("messages come out as they went in, however they are cut, and each as soon as it is whole", () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 5 });
    fc.assert(
      fc.property(bodies, fc.integer({ min: 1, max: 50 }), (messages, size) => {
        const exchange = scripted();
        exchange.sendRequest("POST", "/shop.Cart/Watch", TEXT, base64(MESSAGE));
        exchange.sendResponseHead(200, GRPC);
        const sent = Buffer.concat(messages.map((message) => grpcMessageBytes(message)));
        for (let at = 0; at < sent.length; at += size) exchange.sendResponseData(sent.subarray(at, at + size));
        const read = (text: string): Buffer | undefined => new WebTextReader().read(Buffer.from(text));
        assert.deepEqual(read(exchange.atClient.body), sent, "before the trailers");
        exchange.sendResponseTrailers({ "grpc-status": "3" });
        assert.deepEqual(read(exchange.atClient.body), Buffer.concat([sent, trailers("grpc-status:3\r\n")]));
      }),
      { numRuns: 100, seed: 4 },
    );
  });

  test("trailers-only stays a head", () => {
    const exchange = scripted();
    exchange.sendRequest("POST", "/shop.Cart/Add", WEB, "x");
    exchange.respond(200, { "content-type": "application/grpc", "grpc-status": "5", "grpc-message": "gone" });
    const { head, body } = exchange.atClient;
    assert.equal(head?.headers.get("content-type"), "application/grpc-web+proto");
    assert.equal(head?.headers.get("grpc-status"), "5");
    assert.equal(body, "");
  });

  test("what is no gRPC keeps its status, and its body becomes the message, of 16 KiB at most", () => {
    for (const [status, body, code] of [
      [503, "upstream is down: 100%", "14"],
      [404, "", "12"],
      [200, "<html>", "2"],
      [502, "x".repeat(20_000), "14"],
    ] as const) {
      const exchange = scripted();
      exchange.sendRequest("POST", "/shop.Cart/Add", WEB, "x");
      exchange.respond(status, { "content-type": "text/html", "content-length": String(body.length) }, body);
      const { head } = exchange.atClient;
      assert.equal(head?.status, status);
      assert.equal(head.headers.get("grpc-status"), code);
      assert.equal(
        head.headers.get("grpc-message"),
        body === "" ? undefined : body.slice(0, 16_384).replace("%", "%25"),
      );
      assert.equal(head.headers.get("content-type"), "application/grpc-web+proto");
      assert.equal(exchange.atClient.body, "");
      assert.equal(exchange.atClient.ended, true);
    }
  });

  test("one that ends with trailers though it is no gRPC has them as such a message, too", () => {
    const exchange = scripted();
    exchange.sendRequest("POST", "/shop.Cart/Add", WEB, "x");
    exchange.sendResponseHead(500, { "content-type": "text/plain" });
    exchange.sendResponseData("oh");
    exchange.sendResponseTrailers({ "x-a": "b" });
    const { head, body, ended } = exchange.atClient;
    assert.deepEqual([head?.headers.get("grpc-message"), body, ended], ["oh", "", true]);
  });
});

describe("through the data path", () => {
  const REQUEST =
    "POST /shop.Cart/Add HTTP/1.1\r\nhost: shop\r\ncontent-type: application/grpc-web\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0";
  const filters = { web: { ...grpcWebType } };

  test("binary: the trailers' message ends the body, and calls are counted for the cluster", () => {
    const harness = new Harness({ filters });
    const client = harness.connect();
    client.send(REQUEST);
    harness.run();
    assert.match(harness.upstream().take(), /\r\ncontent-type: application\/grpc\r\n.*te: trailers\r\n/s);
    harness
      .upstream()
      .send(
        "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ntransfer-encoding: chunked\r\n\r\na\r\n\0\0\0\0\u0005hello\r\n0\r\ngrpc-status: 9\r\n\r\n",
      );
    harness.run();
    const frame = trailers("grpc-status:9\r\n").toString("latin1");
    const answer = client.take();
    assert.ok(answer.endsWith(`\r\na\r\n\0\0\0\0\u0005hello\r\n14\r\n${frame}\r\n0\r\n\r\n`), JSON.stringify(answer));
    assert.equal(harness.value("cluster.grpc-web.failure"), 1);
    assert.equal(harness.value("cluster.grpc-web.9"), 1);
    assert.equal(harness.logged[0]?.responseTrailers?.get("grpc-status"), "9", "the log sees it still");
    client.sendEnd();
    harness.run();
    assert.equal(harness.leaks(), "");
  });

  test("answers of ours keep their HTTP status and tell gRPC's in their head", () => {
    for (const [options, status, code, message] of [
      [{ routes: routesOf([]) }, 404, 12, undefined],
      [{ clusters: [clusterConfig("app")], endpoints: { app: [] } }, 503, 14, "no healthy upstream"],
      [{ routes: routeTo("nobody") }, 503, 14, undefined],
    ] as const) {
      const harness = new Harness({ ...options, filters });
      const client = harness.connect();
      client.send(REQUEST);
      harness.run();
      const answer = client.take();
      assert.ok(answer.startsWith(`HTTP/1.1 ${status} `), answer);
      assert.match(answer, new RegExp(`\r\ngrpc-status: ${code}\r\n`));
      assert.match(answer, /\r\ncontent-type: application\/grpc-web\+proto\r\n/);
      assert.equal(/\r\ngrpc-message: (.*)\r\n/.exec(answer)?.[1], message);
      assert.ok(answer.endsWith("\r\n\r\n"));
      client.sendEnd();
      harness.run();
      assert.equal(harness.leaks(), "");
    }
  });
});
