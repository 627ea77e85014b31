import assert from "node:assert/strict";
import { test } from "node:test";
import { ok } from "@heddle/base";
import { defineFilter, type HttpFilter } from "@heddle/filter";
import { compileFormat } from "@heddle/telemetry";
import { clusterConfig, Harness, type HarnessOptions, type MemoryConnection, routeTo } from "./testing-harness.ts";

/** The lines that a format gives for what is played. */
function lines(
  format: string,
  options: HarnessOptions,
  play: (harness: Harness, client: MemoryConnection) => void,
): readonly string[] {
  const compiled = compileFormat({ type: "text", text: format, omitEmptyValues: false });
  assert.ok(compiled.ok, compiled.ok ? "" : compiled.error);
  const harness = new Harness(options);
  const written: string[] = [];
  harness.onLog = (exchange) => written.push(compiled.value(exchange.logSource));
  play(harness, harness.connect());
  assert.equal(harness.leaks(), "");
  return written;
}

const POST = "POST /a HTTP/1.1\r\nhost: shop\r\ncontent-length: 2\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";

test("what happens when is told from the start of the exchange", () => {
  const format =
    "%REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% %DURATION% " +
    "%COMMON_DURATION(US_TX_BEG:US_TX_END:ms)% %COMMON_DURATION(US_RX_BEG:US_RX_END:ms)% %COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:us)%";
  const written = lines(format, {}, (harness, client) => {
    client.send(POST);
    harness.advance(20);
    client.send("ab");
    harness.advance(30);
    harness.upstream().send(OK);
    harness.advance(40);
    harness.upstream().send("ok");
    harness.run();
  });
  assert.deepEqual(written, ["20 20 50 40 90 20 40 50000"]);
});

test("bytes on the wire are those of the exchange, on both sides, also of the second one of a connection", () => {
  const format =
    "%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED%";
  const expected: string[] = [];
  const written = lines(format, {}, (harness, client) => {
    for (let round = 0; round < 2; round++) {
      client.send(`${POST}ab`);
      harness.run();
      const sentUp = harness.upstream().take().length;
      harness.upstream().send(`${OK}ok`);
      harness.run();
      expected.push(`${POST.length + 2} ${client.take().length} ${sentUp} ${OK.length + 2}`);
    }
  });
  assert.deepEqual(written, expected);
});

test("metadata of filters, of the cluster, of the route and of the endpoint; who was asked", () => {
  const leave: HttpFilter = {
    requestHead: (exchange) => {
      exchange.metadata.set("mine", new Map([["user", { name: "grete" }]]));
      return "continue";
    },
  };
  const filters = { leave: defineFilter({ parse: () => ok({}), create: () => ({ create: () => leave }) }) };
  const clusters = [clusterConfig("app", { statName: "app-stats", metadata: { ns: { tier: "gold" } } })];
  const routes = routeTo("app", {}, { metadata: { ns: { owner: "web" } } });
  const format =
    "%DYNAMIC_METADATA(mine:user:name)% %DYNAMIC_METADATA(mine)% %METADATA(CLUSTER:ns:tier)% %UPSTREAM_METADATA(ns)% " +
    "%METADATA(ROUTE:ns:owner)% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_HOST% %UPSTREAM_HOST_NAME% %UPSTREAM_PROTOCOL% %HOSTNAME%";
  const written = lines(format, { filters, clusters, routes }, (harness, client) => {
    client.send(`${POST}ab`);
    harness.run();
    harness.upstream().send(`${OK}ok`);
    harness.run();
  });
  const seen =
    'grete {"user":{"name":"grete"}} gold - web app-stats app 10.0.0.1:80 host-of-10.0.0.1 HTTP/1.1 test-host';
  assert.deepEqual(written, [seen]);
});

test("of a request whose head was never read there is nothing", () => {
  const written = lines(
    "%REQ(:path)% %REQ(host)% %DURATION% %UPSTREAM_HOST% %REQUEST_DURATION%",
    {},
    (harness, client) => {
      client.send("nonsense\r\n\r\n");
      harness.run();
    },
  );
  assert.deepEqual(written, ["- - 0 - -"]);
});
