import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness } from "./testing-harness.ts";

test("bytes of connections are counted with each exchange and at the end, on both sides", () => {
  const harness = new Harness();
  const client = harness.connect();
  let received = 0;
  let sent = 0;
  let up = 0;
  const answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
  for (let round = 0; round < 3; round++) {
    const request = `GET /${"x".repeat(round * 10)} HTTP/1.1\r\nhost: a\r\n\r\n`;
    client.send(request);
    harness.run();
    up += harness.upstream().take().length;
    harness.upstream().send(answer);
    harness.run();
    sent += client.take().length;
    received += request.length;
    assert.equal(harness.value("http.downstream_cx_rx_bytes_total"), received);
    assert.equal(harness.value("http.downstream_cx_tx_bytes_total"), sent);
  }
  client.send("GET / HT"); // never to be completed
  harness.run();
  assert.equal(harness.leaks(), "");
  assert.equal(harness.value("http.downstream_cx_rx_bytes_total"), received + 8);
  assert.equal(harness.value("cluster.upstream_cx_rx_bytes_total"), 3 * answer.length);
  assert.equal(harness.value("cluster.upstream_cx_tx_bytes_total"), up);
});
