import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness } from "./testing-harness.ts";

test("a request goes to the upstream and its answer comes back", () => {
  const harness = new Harness();
  const client = harness.connect();
  client.send("GET /hello?a=1 HTTP/1.1\r\nhost: example.org\r\n\r\n");
  harness.run();
  const request = harness.upstream().take();
  assert.match(request, /^GET \/hello\?a=1 HTTP\/1\.1\r\nhost: example\.org\r\n/);
  assert.match(request, /\r\nx-forwarded-proto: http\r\n/);
  assert.match(request, /\r\nx-request-id: [0-9a-f-]{36}\r\n/);
  assert.match(request, /\r\ntraceparent: 00-(ab){16}-(ab){8}-01\r\n/);
  harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
  harness.run();
  assert.equal(
    client.take(),
    `HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: ${"Thu, 01 Jan 2026 00:00:00 GMT"}\r\n\r\nhello`,
  );
  assert.equal(harness.logged.length, 1);
  assert.equal(harness.logged[0]?.responseCodeDetails, "via_upstream");
  assert.equal(harness.logged[0]?.responseBodyBytes, 5);
  assert.equal(harness.value("cluster.upstream_rq_2xx"), 1);
  assert.equal(harness.value("http.downstream_rq_2xx"), 1);
  assert.equal(harness.leaks(), "");
});
