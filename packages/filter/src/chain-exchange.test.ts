import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ok } from "@heddle/base";
import { HeaderMap, ResponseHead } from "@heddle/http";
import fc from "fast-check";
import type { Exchange } from "./exchange.ts";
import { defineFilter, type HttpFilter } from "./http-filter.ts";
import { ScriptedExchange, type ScriptedFilter, type ScriptedOptions } from "./testing.ts";

/** A chain of these filters, called "filter-1", "filter-2" … */
function exchangeOf(filters: readonly HttpFilter[], options: Partial<ScriptedOptions> = {}): ScriptedExchange {
  return new ScriptedExchange({ filters: filters.map(scripted), ...options });
}

function scripted(filter: HttpFilter): ScriptedFilter {
  return { filter: defineFilter({ parse: () => ok(undefined), create: () => ({ create: () => filter }) }) };
}

/** What a phase answers after it has done something. */
const goOn = (..._effects: unknown[]): "continue" => "continue";
const pause = (..._effects: unknown[]): "pause" => "pause";

describe("the order of phases", () => {
  test("requests pass the filters in order, responses against it, logs in order", () => {
    const calls: string[] = [];
    const noting = (name: string): HttpFilter => ({
      requestHead: () => goOn(calls.push(`${name} requestHead`)),
      requestData: () => goOn(calls.push(`${name} requestData`)),
      requestTrailers: () => goOn(calls.push(`${name} requestTrailers`)),
      responseHead: () => goOn(calls.push(`${name} responseHead`)),
      responseData: () => goOn(calls.push(`${name} responseData`)),
      responseTrailers: () => goOn(calls.push(`${name} responseTrailers`)),
      log: () => void calls.push(`${name} log`),
    });
    const exchange = exchangeOf([noting("a"), {}, noting("b")]);
    exchange.sendHead("POST", "/");
    exchange.sendData("x");
    exchange.sendTrailers({ t: "1" });
    exchange.sendResponseHead(200);
    exchange.sendResponseData("y");
    exchange.sendResponseTrailers({ u: "1" });
    assert.deepEqual(calls, [
      "a requestHead",
      "b requestHead",
      "a requestData",
      "b requestData",
      "a requestTrailers",
      "b requestTrailers",
      "b responseHead",
      "a responseHead",
      "b responseData",
      "a responseData",
      "b responseTrailers",
      "a responseTrailers",
      "a log",
      "b log",
    ]);
    assert.equal(exchange.atUpstream.trailers?.get("t"), "1");
    assert.equal(exchange.atClient.trailers?.get("u"), "1");
  });

  test("bytes for trailers are the last of the body, whatever is held, and the log still has the trailers", () => {
    const ending: HttpFilter = { responseTrailers: () => Buffer.from("|end") };
    const holding: HttpFilter = {
      responseHead: pause,
      responseTrailers(exchange) {
        exchange.continueResponse();
        return Buffer.from("|held");
      },
    };
    const looking: HttpFilter = { responseData: (_exchange, chunk) => chunk };
    for (const [filters, body] of [
      [[ending], "y|end"],
      [[{}, ending], "y|end"],
      [[holding], "y|held"],
      [[looking, ending], "y|end"],
    ] as const) {
      const exchange = exchangeOf(filters);
      exchange.sendRequest("GET", "/");
      exchange.sendResponseHead(200);
      exchange.sendResponseData("y");
      exchange.sendResponseTrailers({ u: "1" });
      const { atClient } = exchange;
      assert.deepEqual([atClient.body, atClient.trailers, atClient.ended], [body, undefined, true]);
      assert.equal(exchange.responseTrailers?.get("u"), "1");
    }
    const upward = exchangeOf([{ requestTrailers: () => Buffer.from("!") }]);
    upward.sendHead("POST", "/");
    upward.sendTrailers({ t: "1" });
    assert.deepEqual(
      [upward.atUpstream.body, upward.atUpstream.trailers, upward.atUpstream.ended],
      ["!", undefined, true],
    );
  });

  test("without filters everything passes", () => {
    const exchange = exchangeOf([]);
    exchange.sendRequest("PUT", "/", {}, "body");
    exchange.respond(200, {}, "answer");
    assert.equal(exchange.atUpstream.body, "body");
    assert.equal(exchange.atClient.body, "answer");
    assert.equal(exchange.finished, true);
  });
});

describe("pausing", () => {
  test("holds the head and what follows until the filter continues", () => {
    const exchange = exchangeOf([{ requestHead: () => "pause" }]);
    exchange.sendHead("POST", "/");
    exchange.sendData("abc");
    exchange.sendTrailers({ t: "1" });
    assert.equal("method" in (exchange.atUpstream.head ?? {}), false);
    exchange.continueRequest();
    assert.equal(exchange.atUpstream.head?.method, "POST");
    assert.equal(exchange.atUpstream.body, "abc");
    assert.equal(exchange.atUpstream.trailers?.get("t"), "1");
    exchange.continueRequest();
    assert.equal(exchange.atUpstream.body, "abc");
  });

  test("asks the source to stop above the limit, and to go on afterwards", () => {
    const exchange = exchangeOf([{ requestHead: () => "pause" }], { bufferLimitBytes: 4 });
    exchange.sendHead("POST", "/");
    exchange.sendData("abcd");
    assert.equal(exchange.requestPaused, false);
    exchange.sendData("e");
    assert.equal(exchange.requestPaused, true);
    exchange.continueRequest();
    assert.equal(exchange.requestPaused, false);
    assert.equal(exchange.atUpstream.body, "abcde");
  });

  test("works for responses in the same way", () => {
    const exchange = exchangeOf([{ responseHead: () => "pause" }], { bufferLimitBytes: 2 });
    exchange.sendRequest("GET", "/");
    exchange.sendResponseHead(200);
    exchange.sendResponseData("abc");
    assert.equal(exchange.atClient.head, undefined);
    assert.equal(exchange.responsePaused, true);
    exchange.continueResponse();
    exchange.sendResponseData("d", true);
    assert.equal(exchange.responsePaused, false);
    assert.equal(exchange.atClient.body, "abcd");
  });

  test("a filter that continues within its own phase does not pause", () => {
    const exchange = exchangeOf([{ requestHead: (e: Exchange) => pause(e.continueRequest()) }]);
    exchange.sendRequest("GET", "/");
    assert.equal(exchange.atUpstream.ended, true);
  });

  test("a timer of the filter continues it, and ends with the exchange", () => {
    const paused: HttpFilter = {
      requestHead(exchange) {
        exchange.after(100, () => exchange.continueRequest());
        exchange.after(1000, () => assert.fail("the exchange has ended"));
        return "pause";
      },
    };
    const exchange = exchangeOf([paused]);
    exchange.sendRequest("GET", "/");
    exchange.advance(99);
    assert.equal(exchange.atUpstream.head, undefined);
    exchange.advance(1);
    exchange.respond(204);
    assert.equal(exchange.clock.pending, 0);
    exchange.advance(2000);
  });

  test("of two that hold, each continues itself", () => {
    const waits = (ms: number): HttpFilter => ({
      requestData(exchange, chunk) {
        if (chunk.length === 0) return "continue";
        exchange.after(ms, () => exchange.continueRequest());
        return "watermark";
      },
    });
    let skip = true;
    const first = waits(100);
    // Lets the first chunk pass, so that the second filter holds it while the first one holds what comes after it.
    const firstButOne: HttpFilter = {
      requestData: (exchange, chunk, end) => {
        if (!skip) return first.requestData?.(exchange, chunk, end) ?? "continue";
        skip = false;
        return "continue";
      },
    };
    const exchange = exchangeOf([firstButOne, waits(200)]);
    exchange.sendHead("POST", "/");
    exchange.sendData("a");
    exchange.sendData("b");
    exchange.continueRequest();
    assert.equal(exchange.failure, undefined);
    assert.equal(exchange.atClient.head?.status, 500, "nobody can know whom this was meant for");

    skip = true;
    const again = exchangeOf([firstButOne, waits(200)]);
    again.sendHead("POST", "/");
    again.sendData("a");
    again.sendData("b");
    again.advance(150);
    assert.equal(again.atUpstream.body, "");
    again.advance(200);
    assert.equal(again.atUpstream.body, "ab");
  });
});

describe("data", () => {
  test("buffers, then goes on as one piece when the filter lets the last chunk pass", () => {
    const seen: string[] = [];
    const buffering: HttpFilter = {
      requestData: (exchange, _chunk, end) => {
        seen.push(Buffer.from(exchange.bufferedRequest).toString());
        return end ? "continue" : "buffer";
      },
    };
    const pieces: number[] = [];
    const counting: HttpFilter = { requestData: (_exchange, chunk) => goOn(pieces.push(chunk.length)) };
    const exchange = exchangeOf([buffering, counting]);
    exchange.sendHead("POST", "/");
    exchange.sendData("ab");
    exchange.sendData("cd");
    exchange.sendData("ef", true);
    assert.deepEqual(seen, ["", "ab", "abcd"]);
    assert.deepEqual(pieces, [6]);
    assert.equal(exchange.atUpstream.ended, true);
  });

  test("trailers end what was buffered", () => {
    const exchange = exchangeOf([{ requestData: (_e, _chunk, end) => (end ? "continue" : "buffer") }]);
    exchange.sendHead("POST", "/");
    exchange.sendData("ab");
    exchange.sendTrailers({ t: "1" });
    assert.equal(exchange.atUpstream.body, "ab");
    assert.equal(exchange.atUpstream.trailers?.get("t"), "1");
  });

  test("above the limit of what is buffered: 413 for a request, 500 for a response", () => {
    const request = exchangeOf([{ requestData: () => "buffer" }], { bufferLimitBytes: 3 });
    request.sendHead("POST", "/");
    request.sendData("abc");
    assert.equal(request.finished, false);
    request.sendData("d");
    assert.equal(request.atClient.head?.status, 413);
    assert.equal(request.responseCodeDetails, "request_payload_too_large");

    const response = exchangeOf([{ responseHead: () => "pause", responseData: () => "buffer" }], {
      bufferLimitBytes: 3,
    });
    response.sendRequest("GET", "/");
    response.sendResponseHead(200);
    response.sendResponseData("abcd");
    assert.equal(response.atClient.head?.status, 500);
  });

  test("is replaced by what a filter returns, and dropped without losing the end", () => {
    const upper: HttpFilter = { requestData: (_e, chunk) => Buffer.from(Buffer.from(chunk).toString().toUpperCase()) };
    const exchange = exchangeOf([upper]);
    exchange.sendRequest("POST", "/", {}, "abc");
    assert.equal(exchange.atUpstream.body, "ABC");
    const dropping = exchangeOf([{ requestData: () => "drop" }]);
    dropping.sendRequest("POST", "/", {}, "abc");
    assert.equal(dropping.atUpstream.body, "");
    assert.equal(dropping.atUpstream.ended, true);
  });

  test("arrives whole and in order, whatever filters hold, for how long, in whatever pieces", () => {
    const result = fc.constantFrom("continue" as const, "watermark" as const);
    const filter = fc.record({ pauseHead: fc.boolean(), data: fc.array(result, { maxLength: 6 }) });
    const step = fc.oneof(fc.string({ minLength: 1, maxLength: 5 }), fc.constant("TICK"));
    fc.assert(
      fc.property(fc.array(filter, { maxLength: 3 }), fc.array(step, { maxLength: 12 }), (filters, steps) => {
        const exchange = exchangeOf(
          filters.map(({ pauseHead, data }): HttpFilter => {
            const answers = [...data];
            const later = (e: Exchange): void => void e.after(1, () => e.continueRequest());
            return {
              requestHead: (e) => (pauseHead ? pause(later(e)) : "continue"),
              requestData: (e) => {
                const answer = answers.shift() ?? "continue";
                if (answer === "watermark") later(e);
                return answer;
              },
            };
          }),
          { bufferLimitBytes: 7 },
        );
        exchange.sendHead("POST", "/");
        let sent = "";
        for (const text of steps) {
          if (text === "TICK") exchange.advance(1);
          else exchange.sendData((sent += text).slice(-text.length));
        }
        exchange.sendData("", true);
        exchange.advance(100);
        assert.equal(exchange.atUpstream.body, sent);
        assert.equal(exchange.atUpstream.ended, true);
        assert.equal(exchange.requestPaused, false);
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe("a local reply", () => {
  test("passes the response phases of the filters that have seen the request, and nothing goes upstream", () => {
    const seen: string[] = [];
    const noting = (name: string, replies = false): HttpFilter => ({
      requestHead(exchange) {
        if (replies)
          exchange.reply({ status: 403, body: "no", details: "denied", headers: new HeaderMap(["x-a", "1"]) });
        return "continue";
      },
      responseHead: (_e, head) => goOn(seen.push(name), head.headers.set(`x-${name}`, "1")),
    });
    const exchange = exchangeOf([noting("first"), noting("second", true), noting("third")]);
    exchange.sendRequest("POST", "/", {}, "body");
    assert.deepEqual(seen, ["second", "first"]);
    assert.equal(exchange.atClient.head?.status, 403);
    assert.equal(exchange.atClient.head?.headers.get("x-first"), "1");
    assert.equal(exchange.atClient.head?.headers.get("content-length"), "2");
    assert.equal(exchange.atClient.body, "no");
    assert.equal(exchange.atUpstream.head, undefined);
    assert.equal(exchange.responseCodeDetails, "denied");
    assert.equal(exchange.finished, true);
  });

  test("takes the place of an answer that has not begun, from the filter that gives it", () => {
    const replacing: HttpFilter = {
      responseHead(exchange, head) {
        if (head.status === 200) exchange.reply({ status: 418, details: "replaced" });
        return "continue";
      },
    };
    let seen = 0;
    const outer: HttpFilter = { responseHead: (_e, head) => goOn((seen = head.status)) };
    const exchange = exchangeOf([outer, replacing]);
    exchange.sendRequest("GET", "/");
    exchange.respond(200, {}, "hello");
    assert.equal(exchange.atClient.head?.status, 418);
    assert.equal(exchange.atClient.body, "");
    assert.equal(seen, 418);
  });

  test("after the answer has begun breaks it off", () => {
    const exchange = exchangeOf([{ responseData: (e) => goOn(e.reply({ status: 500, details: "late" })) }]);
    exchange.sendRequest("GET", "/");
    exchange.sendResponseHead(200);
    exchange.sendResponseData("a");
    assert.match(exchange.reset?.detail ?? "", /late/);
    assert.equal(exchange.finished, true);
  });

  test("has no body for HEAD and 204, and no length on 204", () => {
    const replying = (status: number): HttpFilter => ({
      requestHead: (e) => goOn(e.reply({ status, body: status === 204 ? "" : "text", details: "x" })),
    });
    const head = exchangeOf([replying(200)]);
    head.sendRequest("HEAD", "/");
    assert.deepEqual([head.atClient.body, head.atClient.head?.headers.get("content-length")], ["", "4"]);
    const none = exchangeOf([replying(204)]);
    none.sendRequest("GET", "/");
    assert.equal(none.atClient.head?.headers.has("content-length"), false);
  });
});

describe("a filter that throws", () => {
  const throws = (): never => {
    throw new Error("broken");
  };
  const phases: readonly (keyof HttpFilter)[] = ["requestHead", "requestData", "requestTrailers", "responseHead"];
  for (const phase of phases) {
    test(`in ${phase} ends its exchange with 500 (filter_error)`, () => {
      const exchange = exchangeOf([{}, { [phase]: throws }]);
      exchange.sendHead("POST", "/");
      exchange.sendData("x");
      exchange.sendTrailers({ t: "1" });
      if (!exchange.finished) exchange.respond(200);
      assert.equal(exchange.atClient.head?.status, 500);
      assert.equal(exchange.responseCodeDetails, "filter_error");
      assert.equal(exchange.exceptions[0]?.filter, "filter-2");
      assert.equal(exchange.finished, true);
    });
  }

  test("in responseData breaks the answer off", () => {
    const exchange = exchangeOf([{ responseData: throws }]);
    exchange.sendRequest("GET", "/");
    exchange.sendResponseHead(200);
    exchange.sendResponseData("x");
    assert.equal(exchange.reset?.kind, "internal");
  });

  test("also on the way of the answer to its first exception is passed by", () => {
    const exchange = exchangeOf([{ responseHead: throws }, { requestHead: throws }]);
    exchange.sendRequest("GET", "/");
    assert.equal(exchange.atClient.head?.status, 500);
    assert.equal(exchange.exceptions.length, 2);
  });

  test("in a timer or in log keeps others from nothing", () => {
    let logged = false;
    const late: HttpFilter = { requestHead: (e) => pause(e.after(10, throws)), log: throws };
    const exchange = exchangeOf([late, { log: () => void (logged = true) }]);
    exchange.sendRequest("GET", "/");
    exchange.advance(10);
    assert.equal(exchange.atClient.head?.status, 500);
    assert.equal(logged, true);
    assert.deepEqual(
      exchange.exceptions.map(({ filter }) => filter),
      ["filter-1", "filter-1"],
    );
  });
});

describe("side requests", () => {
  const asking: HttpFilter = {
    requestHead(exchange) {
      exchange.send("authz", { head: exchange.request, timeoutMs: 100 }, (result) => {
        if (result.ok && result.value.head.status === 200) exchange.continueRequest();
        else exchange.reply({ status: 403, details: "denied" });
      });
      return "pause";
    },
  };

  test("decide over the request", () => {
    const answer = (status: number) => ({
      head: new ResponseHead(status, new HeaderMap()),
      body: new Uint8Array(0),
      trailers: undefined,
    });
    for (const status of [200, 401]) {
      const exchange = exchangeOf([asking], { side: () => answer(status) });
      exchange.sendRequest("GET", "/");
      exchange.advance(0);
      assert.equal(exchange.atUpstream.ended, status === 200);
      assert.equal(exchange.atClient.head?.status, status === 200 ? undefined : 403);
    }
  });

  test("are cancelled with the exchange", () => {
    const exchange = exchangeOf([asking], { side: () => assert.fail("cancelled") });
    exchange.sendRequest("GET", "/");
    exchange.disconnect();
    assert.equal(exchange.clock.pending, 0);
  });
});

test("a route's configuration of a filter is parsed once", () => {
  let parsed = 0;
  const filter = defineFilter<undefined, { limit: number }>({
    parse: () => ok(undefined),
    parseRoute(config) {
      parsed++;
      return ok(config as { limit: number });
    },
    create: () => ({ create: () => ({}) }),
  });
  const exchange = new ScriptedExchange({ filters: [{ name: "limit", filter, routeConfig: { limit: 3 } }] });
  exchange.sendRequest("GET", "/");
  assert.deepEqual(exchange.routeConfig("limit"), { limit: 3 });
  exchange.clearRoute();
  assert.deepEqual(exchange.routeConfig("limit"), { limit: 3 });
  assert.equal(parsed, 1);
  assert.equal(exchange.routeConfig("other"), undefined);
});
