import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ok } from "@heddle/base";
import { defineFilter, formatResponseFlags, type HttpFilter } from "@heddle/filter";
import type { AccessLogFilterConfig, LocalReplyConfig, ResponseMapperConfig } from "@heddle/traffic";
import { Harness, type HarnessOptions, type MemoryConnection, routeTo } from "./testing-harness.ts";

const GET = "GET /a?b=c HTTP/1.1\r\nhost: shop\r\nx-user: grete\r\n\r\n";
const STATUS_503: AccessLogFilterConfig = { type: "status-code", op: "EQ", value: 503 };
const NOTHING = { statusCode: undefined, body: undefined, bodyFormatOverride: undefined, headersToAdd: [] };

function text(format: string, contentType = "") {
  return { format: { type: "text" as const, text: format, omitEmptyValues: false }, contentType };
}

function mapper(filter: AccessLogFilterConfig, more: Partial<ResponseMapperConfig> = {}): ResponseMapperConfig {
  return { ...NOTHING, filter, ...more };
}

/** The answer to one request of a proxy with these mappers, whose upstream does not exist. */
function answer(
  localReply: Partial<LocalReplyConfig>,
  options: HarnessOptions = {},
  request = GET,
): { readonly head: string; readonly body: string; readonly harness: Harness } {
  const config: LocalReplyConfig = { mappers: [], bodyFormat: undefined, ...localReply };
  const harness = new Harness({
    routes: routeTo("nobody"),
    ...options,
    manager: { localReply: config, ...options.manager },
  });
  const client: MemoryConnection = harness.connect();
  client.send(request);
  harness.run();
  const [head = "", body = ""] = client.take().split(/\r\n\r\n/);
  client.sendEnd();
  harness.run();
  assert.equal(harness.leaks(), "");
  return { head, body, harness };
}

describe("local_reply_config", () => {
  test("leaves answers as they are where no mapper matches and there is no format", () => {
    const { head, body } = answer({ mappers: [mapper({ type: "status-code", op: "LE", value: 499 }, { body: "no" })] });
    assert.match(head, /^HTTP\/1\.1 503 .*content-length: 0/s);
    assert.equal(body, "");
  });

  test("the first mapper that matches gives status, body and headers", () => {
    const header = {
      name: "x-why",
      value: "%RESPONSE_CODE_DETAILS% %REQ(x-user)%",
      appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" as const,
      keepEmptyValue: false,
    };
    const { head, body, harness } = answer({
      mappers: [
        mapper(STATUS_503, { statusCode: 418, body: "sorry, grüße", headersToAdd: [header] }),
        mapper(STATUS_503, { statusCode: 200 }),
      ],
    });
    assert.match(head, /^HTTP\/1\.1 418 /);
    assert.match(head, /x-why: cluster_not_found grete/);
    assert.match(head, /content-type: text\/plain\r\ncontent-length: 14/);
    assert.equal(Buffer.from(body, "latin1").toString(), "sorry, grüße");
    const [logged] = harness.logged;
    assert.deepEqual(
      [logged?.response?.status, logged?.localReplyBody, formatResponseFlags(logged?.responseFlags ?? 0)],
      [418, "sorry, grüße", "NC"],
    );
    assert.equal(harness.value("http.downstream_rq_4xx"), 1);
  });

  test("the body is put into its format; what is empty stays empty in it", () => {
    const { head, body } = answer({
      bodyFormat: text("[%LOCAL_REPLY_BODY%] %RESPONSE_CODE% %REQ(:path)% %REQ(none)%\n", "text/html; charset=UTF-8"),
    });
    assert.match(head, /content-type: text\/html; charset=UTF-8\r\n/);
    assert.equal(body, "[] 503 /a?b=c -\n");
  });

  test("JSON keeps types and has its own content type; an override counts more than the format of all", () => {
    const json = {
      format: {
        type: "json" as const,
        json: { status: "%RESPONSE_CODE%", message: "%LOCAL_REPLY_BODY%", flags: "%RESPONSE_FLAGS_LONG%" },
        omitEmptyValues: false,
      },
      contentType: "",
    };
    const { head, body } = answer({
      bodyFormat: text("never"),
      mappers: [mapper(STATUS_503, { statusCode: 404, body: "gone", bodyFormatOverride: json })],
    });
    assert.match(head, /^HTTP\/1\.1 404 .*content-type: application\/json\r\n/s);
    assert.deepEqual(JSON.parse(body), { status: 404, message: "gone", flags: "NoClusterFound" });
  });

  for (const [name, filter, matches] of [
    ["response flag", { type: "response-flag", flags: ["NC"] }, true],
    ["another response flag", { type: "response-flag", flags: ["UF", "NR"] }, false],
    ["any response flag", { type: "response-flag", flags: [] }, true],
    ["duration", { type: "duration", op: "GE", value: 1 }, false],
    ["and", { type: "and", filters: [STATUS_503, { type: "not-health-check" }] }, true],
    ["or", { type: "or", filters: [{ type: "traceable" }, { type: "log-type", types: ["DownstreamEnd"], exclude: true }] }, true],
    ["header", { type: "header", header: {
      name: "x-user", match: { type: "string", matcher: { type: "prefix", value: "gr", ignoreCase: false } },
      invert: false, treatMissingHeaderAsEmpty: false } }, true],
  ] as const satisfies readonly (readonly [string, AccessLogFilterConfig, boolean])[] /* biome-ignore format: a table */) {
    test(`a mapper by ${name} ${matches ? "matches" : "does not match"}`, () => {
      const { head } = answer({ mappers: [mapper(filter, { statusCode: 299 })] });
      assert.equal(head.startsWith("HTTP/1.1 299 "), matches);
    });
  }

  test("HEAD gets the length and no body", () => {
    const { head, body } = answer({ bodyFormat: text("12345") }, {}, GET.replace("GET", "HEAD"));
    assert.match(head, /content-length: 5(\r\n|$)/);
    assert.equal(body, "");
  });

  test("answers of filters and of the codec are mapped as well, and the upstream's are not", () => {
    const deny: HttpFilter = {
      requestHead: (exchange) => {
        exchange.reply({ status: 403, body: "no", details: "denied" });
        return "pause";
      },
    };
    const filters = { deny: defineFilter({ parse: () => ok({}), create: () => ({ create: () => deny }) }) };
    const bodyFormat = text("<%LOCAL_REPLY_BODY%>");
    assert.equal(answer({ bodyFormat }, { filters }).body, "<no>");

    const bad = answer({ bodyFormat }, {}, "GET / HTTP/1.1\r\nhost: a\r\nbad header: x\r\n\r\n");
    assert.match(bad.head, /^HTTP\/1\.1 400 .*content-length: 13\r\n.*connection: close$/s);
    assert.equal(bad.body, "<Bad Request>");
    const [logged] = bad.harness.logged;
    assert.deepEqual(
      [logged?.response?.status, formatResponseFlags(logged?.responseFlags ?? 0), logged?.responseCodeDetails],
      [400, "DPE", "http1.invalid_characters"],
    );

    const harness = new Harness({ manager: { localReply: { mappers: [], bodyFormat } } });
    const client = harness.connect();
    client.send(GET);
    harness.run();
    harness.upstream().send("HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nup");
    harness.run();
    assert.match(client.take(), /^HTTP\/1\.1 503 .*\r\n\r\nup$/s);
    assert.equal(harness.leaks(), "");
  });
});
