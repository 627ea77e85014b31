import assert from "node:assert/strict";
import { before, test } from "node:test";
import { failure, type Json, ok } from "@heddle/base";
import { defineFilter, type Exchange, type SideRequest, type SideResponse } from "@heddle/filter";
import { ScriptedExchange, type ScriptedFilter, type ScriptedOptions } from "@heddle/filter/testing";
import {
  grpcMessageBytes,
  HeaderMap,
  ProtobufReader,
  ProtobufWriter,
  RequestHead,
  ResponseHead,
  WireType,
} from "@heddle/http";
import { LiveRuntime } from "@heddle/traffic";
import { rbacType } from "../../rbac/rbac-types.ts";
import { extAuthzType } from "../ext-authz-type.ts";

/* The life of a question within one exchange. What it says and what an answer changes is told by tests of the messages. */

before(() => extAuthzType.load?.());

const GRPC = { grpcService: { envoyGrpc: { clusterName: "authz" } } };
const HTTP = { httpService: { serverUri: { uri: "http://authz", cluster: "authz" } } };

/** A `CheckResponse` in its frame; without a status it allows. */
function answer(write: (writer: ProtobufWriter) => void = () => undefined, status = "0"): SideResponse {
  const writer = new ProtobufWriter();
  write(writer);
  const head = new ResponseHead(200, new HeaderMap(["content-type", "application/grpc"]));
  return { head, body: grpcMessageBytes(writer.finish()), trailers: new HeaderMap(["grpc-status", status]) };
}

/** `status.code` 7, and a denied_response with that HTTP status. */
function denies(writer: ProtobufWriter, httpStatus = 0): void {
  const status = writer.open(1);
  writer.varint(1, 7);
  writer.close(status);
  const denied = writer.open(2);
  const code = writer.open(1);
  writer.varint(1, httpStatus);
  writer.close(code);
  writer.text(3, "no");
  writer.close(denied);
}

function setsHeader(name: string, value: string): (writer: ProtobufWriter) => void {
  return (writer) => {
    const allowed = writer.open(3);
    const option = writer.open(2);
    const header = writer.open(1);
    writer.text(1, name);
    writer.latin1(2, value);
    writer.close(header);
    writer.close(option);
    writer.close(allowed);
  };
}

interface Case extends Partial<ScriptedOptions> {
  readonly config?: Json;
  readonly routeConfig?: Json;
  readonly answers?: SideResponse;
  readonly before?: readonly ScriptedFilter[];
}

function exchangeWith({ config = {}, routeConfig, answers = answer(), before: first = [], ...options }: Case = {}) {
  const asked: SideRequest[] = [];
  const filter: ScriptedFilter = {
    name: "authz",
    filter: extAuthzType,
    config: { ...GRPC, ...(config as object) },
    ...(routeConfig !== undefined && { routeConfig }),
  };
  const exchange = new ScriptedExchange({
    side: (_cluster, request) => {
      asked.push(request);
      return answers;
    },
    ...options,
    filters: [...first, filter],
  });
  return { exchange, asked };
}

test("a client that waits with its body is told to send it where the service is shown it, and the upstream is not asked for that", () => {
  for (const [config, expectation] of [
    [{ withRequestBody: { maxRequestBytes: 9 } }, undefined],
    [{}, "100-continue"],
  ] as const) {
    const { exchange } = exchangeWith({ config });
    exchange.sendRequest("POST", "/a", { expect: "100-continue" }, "one");
    exchange.advance(1);
    assert.equal(exchange.atUpstream.head?.headers.get("expect"), expectation);
    assert.equal(exchange.atUpstream.body, "one");
  }
});

test("nothing of a request goes on before it is allowed, and all of it in its order after", () => {
  const { exchange, asked } = exchangeWith();
  exchange.sendHead("POST", "/a");
  exchange.sendData("one ");
  exchange.sendData("two");
  exchange.sendTrailers({ "x-sum": "1" });
  assert.equal(exchange.atUpstream.head, undefined);
  exchange.advance(1);
  assert.equal(asked.length, 1);
  assert.equal(exchange.atUpstream.body, "one two");
  assert.equal(exchange.atUpstream.trailers?.get("x-sum"), "1");
  exchange.respond(200);
  assert.equal(exchange.atClient.head?.status, 200);
  assert.equal(exchange.clock.pending, 0);
});

test("CVE-2024-34362: a client that goes away while its request is asked about leaves nothing behind", () => {
  for (const when of ["asking", "gathering"] as const) {
    const { exchange, asked } = exchangeWith({ config: { withRequestBody: { maxRequestBytes: 100 } } });
    exchange.sendHead("POST", "/a", {}, when === "asking");
    if (when === "gathering") exchange.sendData("half");
    exchange.disconnect();
    exchange.advance(10_000);
    exchange.continueRequest();
    assert.equal(asked.length, 0, "the question is taken back before it is sent");
    assert.equal(exchange.atUpstream.head, undefined);
    assert.deepEqual(exchange.exceptions, []);
    assert.equal(exchange.clock.pending, 0);
  }
});

test("CVE-2024-34363: an answer that comes after somebody else's reply changes nothing", () => {
  const impatient = defineFilter({
    parse: () => ok(undefined),
    create: () => ({
      create: () => ({
        requestHead(exchange: Exchange) {
          exchange.after(0, () => exchange.reply({ status: 504, details: "impatient" }));
          return "continue" as const;
        },
      }),
    }),
  });
  const { exchange } = exchangeWith({
    before: [{ name: "impatient", filter: impatient }],
    answers: answer(setsHeader("x-late", "1")),
  });
  exchange.sendRequest("GET", "/");
  exchange.advance(1000);
  assert.equal(exchange.atClient.head?.status, 504);
  assert.equal(exchange.atUpstream.head, undefined);
  assert.equal(exchange.request.headers.has("x-late"), false);
  assert.deepEqual(exchange.exceptions, []);
  assert.equal(exchange.clock.pending, 0);
});

test("what is sent while the service thinks is bounded: the client is stopped, and goes on afterwards", () => {
  const { exchange } = exchangeWith({ bufferLimitBytes: 1000 });
  exchange.sendHead("POST", "/");
  exchange.sendData("x".repeat(900));
  assert.equal(exchange.requestPaused, false);
  exchange.sendData("y".repeat(200));
  assert.equal(exchange.requestPaused, true);
  exchange.advance(1);
  assert.equal(exchange.requestPaused, false);
  exchange.sendData("z", true);
  assert.equal(exchange.atUpstream.body.length, 1101);
});

test("a body above max_request_bytes is 413 unasked, whatever the listener would hold, and what follows is dropped", () => {
  const { exchange, asked } = exchangeWith({
    config: { withRequestBody: { maxRequestBytes: 2000 }, failureModeAllow: true },
    bufferLimitBytes: 1000,
  });
  exchange.sendHead("POST", "/");
  exchange.sendData("x".repeat(1999));
  assert.equal(exchange.atClient.ended, false, "the listener's limit is not this filter's");
  exchange.sendData("yy");
  assert.equal(exchange.atClient.head?.status, 413);
  exchange.sendData("z", true);
  exchange.advance(1000);
  assert.equal(asked.length, 0);
  assert.equal(exchange.atUpstream.head, undefined);
  assert.deepEqual(exchange.exceptions, []);
});

test("a partial body is asked about as soon as there is enough, and goes on whole", () => {
  const body = { maxRequestBytes: 10, allowPartialMessage: true, packAsBytes: true };
  const { exchange, asked } = exchangeWith({ config: { withRequestBody: body } });
  exchange.sendHead("POST", "/");
  exchange.sendData("01234567");
  exchange.advance(1);
  assert.equal(asked.length, 0);
  exchange.sendData("89abc");
  exchange.advance(1);
  const question = Buffer.from(asked[0]?.body ?? "").toString("latin1");
  assert.ok(question.includes("0123456789") && !question.includes("0123456789a"));
  assert.match(question, /x-envoy-auth-partial-body..true/s);
  exchange.sendData("def", true);
  assert.equal(exchange.atUpstream.body, "0123456789abcdef");
});

test("a body that ends with trailers, or with nothing, is asked about when it ends", () => {
  for (const end of ["trailers", "nothing"] as const) {
    const { exchange, asked } = exchangeWith({ config: { withRequestBody: { maxRequestBytes: 100 } } });
    exchange.sendHead("POST", "/");
    exchange.sendData("body");
    exchange.advance(1);
    assert.equal(asked.length, 0);
    if (end === "trailers") exchange.sendTrailers({ "x-t": "1" });
    else exchange.sendData("", true);
    exchange.advance(1);
    assert.equal(asked.length, 1);
    assert.equal(exchange.atUpstream.body, "body");
    assert.equal(exchange.atUpstream.ended, true);
  }
});

test("upgrades and CONNECT are asked about by their head, whatever comes behind it", () => {
  for (const [method, path, upgrade] of [
    ["CONNECT", "", undefined],
    ["GET", "/ws", "websocket"],
  ] as const) {
    const config = { withRequestBody: { maxRequestBytes: 9 } };
    const { exchange, asked } = exchangeWith({ config, answers: answer(denies) });
    exchange.request = new RequestHead(method, "http", "db:5432", path, new HeaderMap(), "1.1", upgrade);
    exchange.receiveHead(false);
    exchange.advance(1);
    assert.equal(asked.length, 1);
    assert.equal(exchange.atClient.head?.status, 403);
  }
});

test("where the service fails the request is denied with status_on_error, or passes as configured", () => {
  const failures: readonly SideResponse[] = [
    answer(undefined, "14"),
    answer((writer) => writer.bytes(1, Buffer.from([0xff]))),
    { head: new ResponseHead(503, new HeaderMap()), body: Buffer.alloc(0), trailers: undefined },
    { ...answer(), body: Buffer.alloc(0) },
    { ...answer(), body: Buffer.concat([answer().body, answer().body]) },
    { ...answer(), body: Buffer.from([1, 0, 0, 0, 0]) },
    { ...answer(), body: Buffer.from([0, 0, 0, 0, 9, 1]) },
  ];
  for (const answers of failures) {
    const { exchange } = exchangeWith({ answers, config: { statusOnError: { code: "ServiceUnavailable" } } });
    exchange.sendRequest("GET", "/");
    exchange.advance(1);
    assert.equal(exchange.atClient.head?.status, 503);
    assert.equal(exchange.responseCodeDetails, "ext_authz_error");
    const open = exchangeWith({ answers, config: { failureModeAllow: true, failureModeAllowHeaderAdd: true } });
    open.exchange.sendRequest("GET", "/");
    open.exchange.advance(1);
    assert.equal(open.exchange.atUpstream.head?.headers.get("x-envoy-auth-failure-mode-allowed"), "true");
  }
  const unreachable = exchangeWith({ side: () => failure("no-healthy-upstream", "upstream", "nobody") });
  unreachable.exchange.sendRequest("GET", "/");
  unreachable.exchange.advance(1);
  assert.equal(unreachable.exchange.atClient.head?.status, 403);
});

test("statuses that only announce an answer, and those that are none, are denials with 403", () => {
  for (const [status, given] of [
    [0, 403],
    [100, 403],
    [101, 403],
    [199, 403],
    [204, 204],
    [401, 401],
    [599, 599],
    [600, 403],
    [70_000, 403],
  ] as const) {
    const { exchange } = exchangeWith({ answers: answer((writer) => denies(writer, status)) });
    exchange.sendRequest("GET", "/");
    exchange.advance(1);
    assert.equal(exchange.atClient.head?.status, given, String(status));
    assert.equal(exchange.responseCodeDetails, "ext_authz_denied");
  }
});

test("an answer that asks for what no request may be is not followed", () => {
  for (const [name, value] of [
    ["bad name", "x"],
    ["", "x"],
    ["x", "a\r\nb: c"],
    ["x", "a\0b"],
    [":path", "no/slash"],
    [":path", "/a b"],
    [":path", "/a#b"],
    [":method", "GET /x"],
    [":method", "CONNECT"],
    [":authority", "a/b"],
    [":authority", "user@a"],
    ["host", ""],
    [":scheme", "file"],
    [":unknown", "x"],
  ] as const) {
    const { exchange } = exchangeWith({ answers: answer(setsHeader(name, value)) });
    exchange.sendRequest("GET", "/");
    exchange.advance(1);
    assert.equal(exchange.atClient.head?.status, 500, JSON.stringify([name, value]));
    assert.equal(exchange.responseCodeDetails, "ext_authz_invalid");
    assert.equal(exchange.atUpstream.head, undefined);
  }
});

test("a service may change where a request goes, and never how it is framed", () => {
  const changed = (name: string, value: string) => {
    const { exchange } = exchangeWith({ answers: answer(setsHeader(name, value)) });
    exchange.sendRequest("GET", "/", { host: "a" });
    exchange.advance(1);
    const head = exchange.atUpstream.head;
    assert.ok(head !== undefined, name);
    return head;
  };
  assert.equal(changed(":path", "/b?c").path, "/b?c");
  assert.equal(changed("host", "b:80").authority, "b:80");
  assert.equal(changed(":method", "PUT").method, "PUT");
  for (const name of ["transfer-encoding", "content-length", "connection", "upgrade", "te"])
    assert.equal(changed(name, "chunked").headers.has(name), false, name);
});

test("what a service adds is held to the listener's limits", () => {
  const { exchange } = exchangeWith({ answers: answer(setsHeader("x-large", "x".repeat(61 * 1024))) });
  exchange.sendRequest("GET", "/");
  exchange.advance(1);
  assert.equal(exchange.atClient.head?.status, 500);
});

test("decoder_header_mutation_rules pass over what they forbid, or refuse the answer", () => {
  const rules = (more: Json): Json => ({
    decoderHeaderMutationRules: { disallowExpression: { regex: "x-no.*" }, ...(more as object) },
  });
  const { exchange } = exchangeWith({ answers: answer(setsHeader("x-not", "1")), config: rules({}) });
  exchange.sendRequest("GET", "/");
  exchange.advance(1);
  assert.equal(exchange.atUpstream.head?.headers.has("x-not"), false);
  const strict = exchangeWith({ answers: answer(setsHeader("x-not", "1")), config: rules({ disallowIsError: true }) });
  strict.exchange.sendRequest("GET", "/");
  strict.exchange.advance(1);
  assert.equal(strict.exchange.atClient.head?.status, 500);
  const routing = exchangeWith({ answers: answer(setsHeader("host", "evil")), config: rules({}) });
  routing.exchange.sendRequest("GET", "/", { host: "a" });
  routing.exchange.advance(1);
  assert.equal(routing.exchange.atUpstream.head?.authority, "a");
});

test("filter_enabled follows the runtime, and deny_at_disable closes what is not asked about", () => {
  const runtime = new LiveRuntime();
  const config = {
    filterEnabled: { defaultValue: { numerator: 100 }, runtimeKey: "on" },
    denyAtDisable: { defaultValue: false, runtimeKey: "deny" },
  };
  const status = (): number | undefined => {
    const { exchange } = exchangeWith({ config, runtime, answers: answer(denies) });
    exchange.sendRequest("GET", "/");
    exchange.advance(1);
    return exchange.atClient.head?.status;
  };
  assert.equal(status(), 403);
  runtime.publish({ on: 0 });
  assert.equal(status(), undefined, "it passes");
  runtime.publish({ on: 0, deny: true });
  assert.equal(status(), 403);
});

test("filter_enabled_metadata asks only about requests that have it", () => {
  const matcher = { filter: "first", path: [{ key: "check" }], value: { boolMatch: true } };
  const marks = (value: boolean): ScriptedFilter => ({
    name: "first",
    filter: defineFilter({
      parse: () => ok(undefined),
      create: () => ({
        create: () => ({
          requestHead(exchange: Exchange) {
            exchange.metadata.set("first", new Map([["check", value]]));
            return "continue" as const;
          },
        }),
      }),
    }),
  });
  for (const value of [true, false]) {
    const { exchange, asked } = exchangeWith({ config: { filterEnabledMetadata: matcher }, before: [marks(value)] });
    exchange.sendRequest("GET", "/");
    exchange.advance(1);
    assert.equal(asked.length, value ? 1 : 0);
  }
});

test("a service is asked about what RBAC before it has noted, as policies of action CUSTOM are made", async () => {
  await rbacType.load?.();
  const policies = {
    "ns[a]-policy[b]-rule[0]": {
      permissions: [{ urlPath: { path: { prefix: "/admin" } } }],
      principals: [{ any: true }],
    },
  };
  const note: ScriptedFilter = {
    name: "rbac_custom_door",
    filter: rbacType,
    config: { shadowRules: { action: "DENY", policies }, shadowRulesStatPrefix: "custom_door_" },
  };
  const filterEnabledMetadata = {
    filter: "envoy.filters.http.rbac",
    path: [{ key: "custom_door_shadow_effective_policy_id" }],
    value: { stringMatch: { prefix: "ns[" } },
  };
  for (const [path, status] of [
    ["/admin/x", 403],
    ["/else", undefined],
  ] as const) {
    const { exchange, asked } = exchangeWith({
      config: { filterEnabledMetadata },
      before: [note],
      answers: answer(denies),
    });
    exchange.sendRequest("GET", path);
    exchange.advance(1);
    assert.equal(asked.length, status === undefined ? 0 : 1);
    assert.equal(exchange.atClient.head?.status, status);
    assert.equal(exchange.atUpstream.head === undefined, status !== undefined);
  }
});

test("in shadow mode a denial and a failure are counted and noted, and the request passes", () => {
  for (const [answers, result] of [
    [answer((writer) => denies(writer, 401)), "DENIED"],
    [answer(undefined, "14"), "ERROR"],
  ] as const) {
    const { exchange } = exchangeWith({ config: { shadowMode: true }, answers });
    exchange.sendRequest("GET", "/");
    exchange.advance(1);
    assert.notEqual(exchange.atUpstream.head, undefined);
    assert.equal(exchange.metadata.get("authz.shadow")?.get("check_result"), result);
  }
});

test("in shadow mode a request that is allowed is not changed either", () => {
  for (const [name, value] of [
    ["x-new", "1"],
    ["bad name", "1"],
  ] as const) {
    const { exchange } = exchangeWith({ config: { shadowMode: true }, answers: answer(setsHeader(name, value)) });
    exchange.sendRequest("GET", "/");
    exchange.advance(1);
    assert.deepEqual(exchange.atUpstream.head?.headers.fields, []);
  }
});

test("filters behind may hold back what they could without this one", () => {
  const holds = defineFilter({
    parse: () => ok(undefined),
    create: () => ({
      create: () => ({ requestData: (_: Exchange, _chunk: Uint8Array, end: boolean) => (end ? "continue" : "buffer") }),
    }),
  });
  const asked: SideRequest[] = [];
  const config = { ...GRPC, withRequestBody: { maxRequestBytes: 4, allowPartialMessage: true } };
  const exchange = new ScriptedExchange({
    side: (_cluster, request) => {
      asked.push(request);
      return answer();
    },
    filters: [{ filter: extAuthzType, config }, { filter: holds }],
  });
  exchange.sendHead("POST", "/");
  exchange.sendData("0123456789");
  exchange.advance(1);
  exchange.sendData("abcdefghij", true);
  assert.equal(asked.length, 1);
  assert.equal(exchange.atUpstream.body, "0123456789abcdefghij");
});

test("CVE-2021-32777: every value of a header goes to either service, and what a client says of partial bodies to none", () => {
  const fields = ["x-role", "user", "authorization", "a", "x-role", "admin", "x-envoy-auth-partial-body", "true"];
  const askedWith = (config: Json): SideRequest => {
    const asked: SideRequest[] = [];
    const side = (_cluster: string, request: SideRequest): SideResponse => {
      asked.push(request);
      return answer();
    };
    const exchange = new ScriptedExchange({ side, filters: [{ filter: extAuthzType, config }] });
    exchange.request = new RequestHead("GET", "http", "a", "/", new HeaderMap([...fields]));
    exchange.receiveHead(true);
    exchange.advance(1);
    return asked[0]!;
  };
  const overGrpc = Buffer.from(askedWith(GRPC).body ?? "").toString("latin1");
  assert.match(overGrpc, /x-role..user,admin/s);
  assert.doesNotMatch(overGrpc, /x-envoy-auth-partial-body/);
  const { headers } = askedWith({ ...HTTP, allowedHeaders: { patterns: [{ prefix: "x-" }] } }).head;
  assert.deepEqual(headers.getAll("x-role"), ["user", "admin"]);
  assert.equal(headers.get("authorization"), "a");
  assert.equal(headers.has("x-envoy-auth-partial-body"), false);
});

test("a caller from inside that asks is told who denied", () => {
  const { exchange } = exchangeWith({ answers: answer(denies) });
  exchange.sendRequest("GET", "/", { "x-envoy-internal": "true", "x-heddle-explain": "denial" });
  exchange.advance(1);
  assert.equal(exchange.atClient.head?.headers.get("x-heddle-denied-by"), "authz/denied");
});

test("a CheckRequest is one frame, and its deadline goes along", () => {
  const { exchange, asked } = exchangeWith();
  exchange.sendRequest("GET", "/");
  exchange.advance(1);
  const { head, body = new Uint8Array(0), timeoutMs } = asked[0]!;
  assert.equal(timeoutMs, 200);
  assert.equal(head.headers.get("grpc-timeout"), "200m");
  assert.equal(Buffer.from(body).readUInt32BE(1), body.length - 5);
  const reader = new ProtobufReader(body.subarray(5));
  assert.ok(reader.next() && reader.is(1, WireType.Bytes));
  assert.equal(reader.next() || reader.broken, false);
});
