import assert from "node:assert/strict";
import { test } from "node:test";
import { ScriptedExchange } from "@heddle/filter/testing";
import requestTag from "./request-tag.ts";

const config = { header: "X-Tag", value: "canary", refusePrefix: "/internal" };

test("a request gets the header, whatever it had before", () => {
  const exchange = new ScriptedExchange({ filters: [{ filter: requestTag, config }] });
  exchange.sendRequest("GET", "/hello", { "x-tag": "forged" });
  assert.equal(exchange.atUpstream.head?.headers.get("x-tag"), "canary");
  exchange.respond(200, {}, "hi");
  assert.equal(exchange.atClient.body, "hi");
});

test("a path below the refused prefix is answered with 403 and goes nowhere", () => {
  const exchange = new ScriptedExchange({ filters: [{ filter: requestTag, config }] });
  exchange.sendRequest("GET", "/internal/keys");
  assert.equal(exchange.atClient.head?.status, 403);
  assert.equal(exchange.atClient.body, "This path is not served here.\n");
  assert.equal(exchange.atUpstream.head, undefined);
  assert.equal(exchange.responseCodeDetails, "request_tag_refused");
});

test("every mistake in a configuration is told with its path", () => {
  const parsed = requestTag.parse({ header: "not a name", refusePrefix: 7 });
  assert.equal(parsed.ok, false);
  assert.deepEqual(!parsed.ok && parsed.error.map(({ path }) => path), ["refusePrefix", "header", "value"]);
});
