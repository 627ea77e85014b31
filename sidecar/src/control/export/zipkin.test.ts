import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { SpanRecord } from "@heddle/telemetry";
import { postSpans, toZipkin } from "./zipkin.ts";

const span: SpanRecord = {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  parentSpanId: "05e3ac9a4f6e3b90",
  traceState: "",
  name: "ingress",
  kind: "server",
  startWallMs: 1000.5,
  durationMs: 0.0001,
  isError: false,
  attributes: ["http.method", "GET"],
};

test("a span is written as Zipkin's version 2 has it", () => {
  assert.deepEqual(toZipkin(span, "shop"), {
    traceId: span.traceId,
    id: span.spanId,
    parentId: span.parentSpanId,
    kind: "SERVER",
    name: "ingress",
    timestamp: 1_000_500,
    duration: 1,
    localEndpoint: { serviceName: "shop" },
    tags: { "http.method": "GET" },
  });
});

test("spans are posted to the collector, and an answer that is no success is an error", async (t) => {
  const got: { readonly host: string; readonly body: readonly unknown[] }[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      got.push({ host: request.headers.host ?? "", body: JSON.parse(Buffer.concat(chunks).toString()) });
      response.writeHead(request.url === "/api/v2/spans" ? 202 : 404).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await postSpans(`${url}/api/v2/spans`, "zipkin", "shop", [span, span]);
  assert.equal(got[0]?.host, "zipkin");
  assert.equal(got[0]?.body.length, 2);
  await assert.rejects(postSpans(`${url}/other`, "zipkin", "shop", [span]), /the collector answered 404/);
});
