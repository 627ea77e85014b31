import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ok } from "@heddle/base";
import type { TlsInfo } from "@heddle/net";
import { denial } from "./denial.ts";
import { defineFilter } from "./http-filter.ts";
import { ScriptedExchange } from "./scripted-exchange.ts";

/** What a caller gets that is denied by "the rule" with a new line in its name. */
function deniedBy(headers: Readonly<Record<string, string>>, tls?: Partial<TlsInfo>): string | undefined {
  const filter = defineFilter({
    parse: ok,
    create: () => ({
      create: () => ({
        requestHead(exchange) {
          exchange.reply(denial(exchange, { status: 403, details: "denied" }, "rbac", "the rule\r\nx: y"));
          return "pause";
        },
      }),
    }),
  });
  const downstream = tls === undefined ? {} : { tls: tls as TlsInfo };
  const exchange = new ScriptedExchange({ filters: [{ filter }], downstream });
  exchange.sendRequest("GET", "/", headers);
  assert.equal(exchange.atClient.head?.status, 403);
  return exchange.atClient.head.headers.get("x-heddle-denied-by");
}

const ASKS = { "x-heddle-explain": "denial" };
const workload = (peerVerified: boolean, ...uriSans: readonly string[]): Partial<TlsInfo> => ({
  peerVerified,
  peer: { uriSans } as unknown as NonNullable<TlsInfo["peer"]>,
});

describe("a denial names its rule", () => {
  test("to a caller from inside that asks", () => {
    assert.equal(deniedBy({ ...ASKS, "x-envoy-internal": "true" }), "rbac/the_rule__x:_y");
  });

  test("to a verified workload that asks", () => {
    assert.equal(deniedBy(ASKS, workload(true, "spiffe://td/ns/a/sa/b")), "rbac/the_rule__x:_y");
  });

  test("to nobody else", () => {
    assert.equal(deniedBy(ASKS), undefined);
    assert.equal(deniedBy({ "x-envoy-internal": "true" }), undefined);
    assert.equal(deniedBy({ "x-heddle-explain": "all", "x-envoy-internal": "true" }), undefined);
    assert.equal(deniedBy(ASKS, workload(false, "spiffe://td/ns/a/sa/b")), undefined);
    assert.equal(deniedBy(ASKS, workload(true, "https://shop.example/")), undefined);
  });
});
