import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import fc from "fast-check";
import { COMMAND_NAMES } from "./access-log-command.ts";
import {
  compileFormat,
  DEFAULT_ACCESS_LOG_FORMAT,
  type SubstitutionFormat,
  unfilledCommands,
} from "./access-log-format.ts";
import { type AccessLogSource, TIME_POINTS } from "./access-log-source.ts";

const REQUEST: Readonly<Record<string, string>> = {
  ":method": "GET",
  ":path": "/a?b=1",
  ":authority": "shop.example",
  "user-agent": "curl/8",
  "x-request-id": "id-1",
  "x-long": "0123456789",
  "x-utf8": Buffer.from("grüß").toString("latin1"),
  "content-type": "application/grpc+proto",
  "x-envoy-original-path": "/old?c=2&d=%20x&d=y",
  "x-evil": "a\r\nforged\u001b[31m",
};

const TIMES: { readonly [point: string]: number } = {
  DS_RX_BEG: 0,
  DS_RX_END: 1.25,
  US_TX_END: 2.5,
  US_RX_BEG: 10,
  DS_TX_END: 12.4,
};

const environment = {
  hostname: "host-1",
  variable: (name: string) => (name === "ZONE" ? "eu" : undefined),
  wallNow: () => Date.UTC(2026, 0, 2, 3, 4, 6),
  uuid: () => "u-u-i-d",
};

const source: AccessLogSource = {
  environment,
  logType: "DownstreamEnd",
  startWallMs: Date.UTC(2026, 0, 2, 3, 4, 5, 67),
  durationMs: 12.4,
  elapsedMs: 12.4,
  timeOf: (point) => TIMES[point] ?? -1,
  requestHeader: (name) => REQUEST[name],
  requestHeaderValues: (name) => (REQUEST[name] === undefined ? [] : [REQUEST[name]]),
  responseHeader: (name) => (name === "x-envoy-upstream-service-time" ? "9" : undefined),
  responseTrailer: (name) => (name === "grpc-status" ? "5" : undefined),
  headersBytes: (of) => ({ request: 100, response: 20, "response-trailers": 3 })[of],
  protocol: "HTTP/1.1",
  upstreamProtocol: "HTTP/1.1",
  responseCode: 200,
  responseFlags: 0,
  responseCodeDetails: "via upstream",
  connectionTerminationDetails: "",
  localReplyBody: "sorry",
  bytesReceived: 3,
  bytesSent: 170,
  wireBytes: (of) => (of === "downstream-received" ? 120 : -1),
  upstreamHost: "127.0.0.1:8080",
  upstreamHostName: "orders.example",
  upstreamCluster: "orders-stats",
  upstreamClusterRaw: "orders",
  upstreamLocalAddress: "",
  upstreamConnectionId: 3,
  upstreamTransportFailureReason: "",
  upstreamAttempts: 1,
  downstreamRemoteAddress: "2001:db8:1234:5678:9abc::1",
  downstreamRemotePort: 5000,
  downstreamDirectRemoteAddress: "10.1.10.23",
  downstreamDirectRemotePort: 5001,
  downstreamLocalAddress: "127.0.0.1",
  downstreamLocalPort: 80,
  downstreamDirectLocalAddress: "127.0.0.2",
  downstreamDirectLocalPort: 81,
  connectionId: 7,
  requestedServerName: "",
  downstreamTls: undefined,
  upstreamTls: undefined,
  downstreamTransportFailureReason: "",
  routeName: "",
  virtualHost: "all",
  virtualCluster: "",
  filterChainName: "",
  requestId: "id-1",
  traceId: "ab",
  spanId: "cd",
  traceForced: false,
  healthCheck: false,
  metadata: (of, namespace, path) => {
    if (of === "ROUTE") return namespace === "ns" ? "of the route" : undefined;
    return namespace === "ns" ? (path.length === 0 ? { a: 1 } : path[0] === "a" ? 1 : undefined) : undefined;
  },
};

function compile(format: SubstitutionFormat, use?: "body") {
  const compiled = compileFormat(format, use);
  assert.ok(compiled.ok, compiled.ok ? "" : compiled.error);
  return compiled.value;
}

function text(format: string, omitEmptyValues = false): string {
  return compile({ type: "text", text: format, omitEmptyValues })(source);
}

function problem(format: string): string {
  const compiled = compileFormat({ type: "text", text: format, omitEmptyValues: false });
  assert.ok(!compiled.ok);
  return compiled.error;
}

describe("the text format", () => {
  test("is Envoy's by default", () => {
    assert.equal(
      text(DEFAULT_ACCESS_LOG_FORMAT),
      '[2026-01-02T03:04:05.067Z] "GET /old?c=2&d=%20x&d=y HTTP/1.1" 200 - 3 170 12 9 "-" "curl/8" "id-1" "shop.example" "127.0.0.1:8080"\n',
    );
  });

  for (const [format, line] of [
    ["%REQ(X-Missing?USER-AGENT)% %REQUEST_HEADER(user-agent)%", "curl/8 curl/8"],
    ["%REQ(X-LONG):4%", "0123"],
    ["%REQ(NO):4%", "-"],
    ["%REQ_WITHOUT_QUERY(:path)%", "/a"],
    ["%PATH% %PATH(NQ)% %PATH(WQ:PATH)% %PATH(NQ:PATH)%", "/old?c=2&d=%20x&d=y /old /a?b=1 /a"],
    ["%QUERY_PARAM(b)% %QUERY_PARAM(z)% %QUERY_PARAMS% %QUERY_PARAMS(DECODED):1%", "1 - b=1 b"],
    ["%TRAILER(grpc-status)% %RESPONSE_TRAILER(grpc-status)% %RESP(none)%", "5 5 -"],
    ["%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%", "NotFound NOT_FOUND 5 5"],
    ["%DOWNSTREAM_REMOTE_ADDRESS%", "[2001:db8:1234:5678:9abc::1]:5000"],
    ["%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%", "2001:db8:1234:5678:9abc::1 5000"],
    ["%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(64)%", "2001:db8:1234:5678::/64"],
    ["%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT(16)%", "10.1.0.0/16"],
    ["%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT(33)%", "-"],
    ["%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "127.0.0.1:80 10.1.10.23:5001"],
    ["%DOWNSTREAM_DIRECT_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_LOCAL_PORT%", "127.0.0.2:81 81"],
    ["%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%",
      "127.0.0.1:8080 127.0.0.1 8080"],
    ["%UPSTREAM_HOST_NAME% %UPSTREAM_CONNECTION_ID% %UPSTREAM_LOCAL_PORT%", "orders.example 3 -"],
    ["%UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %ROUTE_NAME%", "orders-stats orders - -"],
    ["%DYNAMIC_METADATA(ns:a)% %DYNAMIC_METADATA(ns)% %DYNAMIC_METADATA(other:a)%", '1 {"a":1} -'],
    ["%METADATA(ROUTE:ns:a)% %METADATA(DYNAMIC:ns:a)% %CLUSTER_METADATA(ns:a)% %UPSTREAM_METADATA(no)%",
      "of the route 1 1 -"],
    ["%HOSTNAME% %TRACE_ID% %SPAN_ID% %STREAM_ID% %UNIQUE_ID% 100%%", "host-1 ab cd id-1 u-u-i-d 100%"],
    ["%ENVIRONMENT(ZONE)% %ENVIRONMENT(ZONE):1% %ENVIRONMENT(HOME)%", "eu e -"],
    ["%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%", "2026/01/02 03:04:05.067"],
    ["%START_TIME(%s.%6f)% %START_TIME(%E3S)% %START_TIME(%d/%b/%Y:%T %z)%",
      "1767323045.067000 05.067 02/Jan/2026:03:04:05 +0000"],
    ["%EMIT_TIME% %EMIT_TIME(%s)%", "2026-01-02T03:04:06.000Z 1767323046"],
    ["%DURATION% %REQUEST_DURATION% %REQUEST_TX_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "12 1 2 10 2"],
    ["%COMMON_DURATION(DS_RX_END:US_TX_END:us)% %COMMON_DURATION(DS_RX_BEG:US_CX_END:ms)%", "1250 -"],
    ["%RESPONSE_CODE_DETAILS% %RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", "via_upstream via upstream"],
    ["%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %ACCESS_LOG_TYPE%", "- - DownstreamEnd"],
    ["%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%", "100 20 3"],
    ["%DOWNSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_WIRE_BYTES_SENT% %BYTES_RETRANSMITTED%", "120 - 0"],
    ["%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(SNI_FIRST)% %REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%",
      "- shop.example -"],
    ["%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_CERT_V_START(%Y)%", "- - -"],
    ['%COALESCE({"operators": ["REQUESTED_SERVER_NAME", {"command": "REQ", "param": ":authority", "max_length": 4}]})%',
      "shop"],
    ["%CEL(response.code)% %FILTER_STATE(key:PLAIN)%", "- -"],
    ["%REQ(X-UTF8)%", "grüß"],
    ["%REQ(X-EVIL)%", "a\\x0d\\x0aforged\\x1b[31m"],
  ] as const /* biome-ignore format: a table */) {
    test(format, () => assert.equal(text(format), line));
  }

  for (const [format, error] of [
    ["%NOPE%", /^%NOPE% is no command; docs\/access-log.md lists them$/],
    ["%RESPONSE_STATUS_CODE%", /^%RESPONSE_STATUS_CODE% is no command; there are RESPONSE_CODE, /],
    ["%START_TIME(%s)", /begins no command/],
    ["%GRPC_STATUS(LOUD)%", /"LOUD" is not one of CAMEL_STRING, SNAKE_STRING, NUMBER/],
    ["%COMMON_DURATION(A:B)%", /is not START:END:PRECISION/],
    ["%METADATA(NOBODY:a)%", /does not begin with one of DYNAMIC/],
    ["%PATH(X)%", /is not WQ or NQ/],
    ["%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(129)%", /no prefix length/],
    ["%COALESCE([])%", /needs JSON with a list "operators"/],
    ['%COALESCE({"operators": ["NOPE"]})%', /%COALESCE% NOPE is no command/],
    ["50%", /at character 2: "%" begins no command/],
    ["%REQ%", /%REQ% needs an argument/],
    ["%REQ(a?b?c)%", /is not NAME or NAME\?ALTERNATIVE/],
    ["%PROTOCOL(x)%", /takes no argument/],
    ["%START_TIME(%Q)%", /has %Q, which is not known/],
    ["%REQ(x)", /begins no command/],
  ] as const) {
    test(`${format} is refused`, () => assert.match(problem(format), error));
  }

  test("never lets a value end a line", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const format = compile({ type: "text", text: "%REQ(x)%", omitEmptyValues: false });
        const line = format({ ...source, requestHeader: () => value });
        assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029]/u);
      }),
      { seed: 3, numRuns: 300 },
    );
  });
});

describe("every command of the list", () => {
  for (const name of COMMAND_NAMES) {
    test(`${name} can be compiled, and gives a value or a dash`, () => {
      const argument = ARGUMENTS[name];
      assert.notEqual(text(argument === undefined ? `%${name}%` : `%${name}(${argument})%`), "");
    });
  }
});

/** For those that are nothing without one. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  REQ: "a",
  REQUEST_HEADER: "a",
  REQ_WITHOUT_QUERY: "a",
  RESP: "a",
  RESPONSE_HEADER: "a",
  TRAILER: "a",
  RESPONSE_TRAILER: "a",
  DYNAMIC_METADATA: "a",
  CLUSTER_METADATA: "a",
  UPSTREAM_METADATA: "a",
  METADATA: "LISTENER:a",
  COMMON_DURATION: "DS_RX_BEG:DS_TX_END:ns",
  ENVIRONMENT: "A",
  QUERY_PARAM: "a",
  COALESCE: '{"operators":["HOSTNAME"]}',
};

test("docs/access-log.md lists every command, and no other", () => {
  const page = readFileSync(new URL("../../../docs/access-log.md", import.meta.url), "utf8");
  const listed = [...page.matchAll(/`([A-Z][A-Z0-9_]{2,})(?:\([^`]*)?`/g)].map(([, name = ""]) => name);
  const others = new Set<string>([...TIME_POINTS, "DYNAMIC", "CLUSTER", "ROUTE", "UPSTREAM_HOST", "SIGUSR1"]);
  assert.deepEqual(
    COMMAND_NAMES.filter((name) => !listed.includes(name)),
    [],
  );
  assert.deepEqual(
    listed.filter((name) => !COMMAND_NAMES.includes(name) && !others.has(name)),
    [],
  );
});

describe("empty values", () => {
  test("are nothing where they shall be left out", () => {
    assert.equal(text("a%REQ(none)%b%RESPONSE_FLAGS%", true), "ab-");
  });

  test("what Envoy knows and we never have is told, each once", () => {
    const format = { a: "%CEL(x)% %CEL(y)%", b: ["%UPSTREAM_HOSTS_ATTEMPTED%", { c: "%HOSTNAME%" }] };
    assert.deepEqual(unfilledCommands({ type: "json", json: format, omitEmptyValues: false }), [
      "%CEL% is always empty: expressions (CEL) are not evaluated",
      "%UPSTREAM_HOSTS_ATTEMPTED% is always empty: it is not recorded",
    ]);
    const text =
      "%METADATA(DYNAMIC:a)% %METADATA(LISTENER:a):3% %COMMON_DURATION(DS_RX_BEG:US_HS_END:ms)% %START_TIME(%s)%";
    assert.deepEqual(unfilledCommands({ type: "text", text, omitEmptyValues: false }), [
      "%METADATA% is always empty: metadata of LISTENER is not copied",
      "%COMMON_DURATION% is always empty: US_HS_END is not recorded",
    ]);
  });
});

describe("times", () => {
  for (const [format, expected] of [
    ["%A %a %B %b %d %e", "Friday Fri January Jan 02  2"],
    ["%j %U %W %V %G %u %w", "002 00 00 01 2026 5 5"],
    ["%D %R %r %p %I %k", "01/02/26 03:04 03:04:05 AM AM 03  3"],
    ["%c", "Fri Jan  2 03:04:05 2026"],
    ["%f %1f %9f %E3f %E*f", "067000000 0 067000000 067 067"],
    ["%E*S %E4Y %Ez %E*z %Z", "05.067 2026 +00:00 +00:00:00 UTC"],
  ] as const) {
    test(format, () => assert.equal(text(`%START_TIME(${format})%`), expected));
  }

  test("in the process's own zone", () => {
    const date = new Date(source.startWallMs);
    const expected = [date.getHours(), date.getMinutes()].map((n) => String(n).padStart(2, "0")).join(":");
    assert.equal(text("%START_TIME_LOCAL(%H:%M)%"), expected);
    assert.equal(Date.parse(text("%START_TIME_LOCAL%")), source.startWallMs);
  });
});

describe("a body", () => {
  test("keeps its lines", () => {
    const format = compile(
      { type: "text", text: "%LOCAL_REPLY_BODY% %RESPONSE_CODE%", omitEmptyValues: false },
      "body",
    );
    assert.equal(format({ ...source, localReplyBody: "two\nlines, grüße" }), "two\nlines, grüße 200");
  });
});

describe("the JSON format", () => {
  const fields = {
    code: "%RESPONSE_CODE%",
    flags: "%RESPONSE_FLAGS%",
    path: "%REQ(:path)%",
    none: "%REQ(none)%",
    mixed: "%PROTOCOL% %REQ(none)%",
    fixed: "v1",
    meta: "%DYNAMIC_METADATA(ns)%",
    nested: { attempt: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%", deeper: { none: "%REQ(none)%" } },
    list: ["%RESPONSE_CODE%", "%REQ(none)%", 3],
    number: 1.5,
    yes: true,
    nothing: null,
  };

  test("keeps types, nests, writes null for what is missing, and mixes text", () => {
    const line = compile({ type: "json", json: fields, omitEmptyValues: false })(source);
    assert.equal(line.at(-1), "\n");
    assert.deepEqual(JSON.parse(line), {
      code: 200,
      flags: "-",
      path: "/a?b=1",
      none: null,
      mixed: "HTTP/1.1 -",
      fixed: "v1",
      meta: { a: 1 },
      nested: { attempt: 1, deeper: { none: null } },
      list: [200, null, 3],
      number: 1.5,
      yes: true,
      nothing: null,
    });
    assert.deepEqual(Object.keys(JSON.parse(line)), Object.keys(fields).sort());
  });

  test("leaves out what is missing where it shall", () => {
    const line = compile({ type: "json", json: fields, omitEmptyValues: true })(source);
    const { none, nested, ...rest } = JSON.parse(line);
    assert.deepEqual([none, nested, rest.mixed, rest.list], [undefined, { attempt: 1 }, "HTTP/1.1 ", [200, null, 3]]);
    assert.equal(compile({ type: "json", json: { a: "%REQ(none)%" }, omitEmptyValues: true })(source), "{}\n");
  });

  test("names the place of a bad format", () => {
    const json = { good: "x", bad: { deep: ["%HOSTNAME%", "%NOPE%"] } };
    const compiled = compileFormat({ type: "json", json, omitEmptyValues: false });
    assert.match(compiled.ok ? "" : compiled.error, /^bad: deep: \[1\]: %NOPE% is no command/);
  });

  test("is one line of valid JSON whatever comes in", () => {
    const format = compile({ type: "json", json: { a: "%REQ(x)%", b: "x %REQ(x)% y" }, omitEmptyValues: false });
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const line = format({ ...source, requestHeader: () => value });
        assert.equal(line.indexOf("\n"), line.length - 1);
        JSON.parse(line);
      }),
      { seed: 3, numRuns: 300 },
    );
  });
});
