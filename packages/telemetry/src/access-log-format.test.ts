import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { compileJsonFormat, compileTextFormat, DEFAULT_ACCESS_LOG_FORMAT } from "./access-log-format.ts";
import type { AccessLogSource } from "./access-log-source.ts";

const REQUEST: Readonly<Record<string, string>> = {
  ":method": "GET",
  ":path": "/a?b=1",
  ":authority": "shop.example",
  "user-agent": "curl/8",
  "x-request-id": "id-1",
  "x-long": "0123456789",
  "x-utf8": Buffer.from("grüß").toString("latin1"),
  "x-evil": "a\r\nforged\u001b[31m",
};

const source: AccessLogSource = {
  startWallMs: Date.UTC(2026, 0, 2, 3, 4, 5, 67),
  durationMs: 12.4,
  responseDurationMs: 10,
  requestHeader: (name) => REQUEST[name],
  responseHeader: (name) => (name === "x-envoy-upstream-service-time" ? "9" : undefined),
  responseTrailer: (name) => (name === "grpc-status" ? "0" : undefined),
  protocol: "HTTP/1.1",
  responseCode: 200,
  responseFlags: "-",
  responseCodeDetails: "via_upstream",
  bytesReceived: 3,
  bytesSent: 170,
  upstreamHost: "127.0.0.1:8080",
  upstreamCluster: "orders",
  upstreamLocalAddress: "",
  upstreamTransportFailureReason: "",
  upstreamAttempts: 1,
  downstreamRemoteAddress: "::1",
  downstreamRemotePort: 5000,
  downstreamDirectRemoteAddress: "10.0.0.1",
  downstreamLocalAddress: "127.0.0.1",
  downstreamLocalPort: 80,
  connectionId: 7,
  routeName: "",
  virtualHost: "all",
  filterChainName: "",
  requestId: "id-1",
  traceId: "ab",
  metadata: (namespace, path) =>
    namespace === "ns" ? (path.length === 0 ? { a: 1 } : path[0] === "a" ? 1 : undefined) : undefined,
};

function text(format: string): string {
  const compiled = compileTextFormat(format, "host-1");
  assert.ok(compiled.ok, compiled.ok ? "" : compiled.error);
  return compiled.value(source);
}

function problem(format: string): string {
  const compiled = compileTextFormat(format, "host-1");
  assert.ok(!compiled.ok);
  return compiled.error;
}

describe("the text format", () => {
  test("is Envoy's by default", () => {
    assert.equal(
      text(DEFAULT_ACCESS_LOG_FORMAT),
      '[2026-01-02T03:04:05.067Z] "GET /a?b=1 HTTP/1.1" 200 - 3 170 12 9 "-" "curl/8" "id-1" "shop.example" "127.0.0.1:8080"\n',
    );
  });

  for (const [format, line] of [
    ["%REQ(X-Missing?USER-AGENT)%", "curl/8"],
    ["%REQ(X-LONG):4%", "0123"],
    ["%REQ(NO):4%", "-"],
    ["%REQ_WITHOUT_QUERY(:path)%", "/a"],
    ["%TRAILER(grpc-status)% %RESP(none)%", "0 -"],
    ["%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "[::1]:5000 ::1"],
    ["%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "127.0.0.1:80 10.0.0.1:5000"],
    ["%UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %ROUTE_NAME% %VIRTUAL_CLUSTER_NAME%", "orders - - -"],
    ["%DYNAMIC_METADATA(ns:a)% %DYNAMIC_METADATA(ns)% %DYNAMIC_METADATA(other:a)%", '1 {"a":1} -'],
    ["%HOSTNAME% %TRACE_ID% 100%%", "host-1 ab 100%"],
    ["%START_TIME(%Y/%m/%d %H:%M:%S.%3f)%", "2026/01/02 03:04:05.067"],
    ["%START_TIME(%s.%6f)% %START_TIME(%E3S)% %START_TIME(%d/%b/%Y:%T %z)%",
      "1767323045.067000 05.067 02/Jan/2026:03:04:05 +0000"],
    ["%RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "10 2"],
    ["%REQ(X-UTF8)%", "grüß"],
    ["%REQ(X-EVIL)%", "a\\x0d\\x0aforged\\x1b[31m"],
  ] as const /* biome-ignore format: a table */) {
    test(format, () => assert.equal(text(format), line));
  }

  for (const [format, error] of [
    ["%NOPE%", /^%NOPE% is not known; known are .*RESPONSE_CODE/],
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
        const compiled = compileTextFormat("%REQ(x)%", "h");
        assert.ok(compiled.ok);
        const line = compiled.value({ ...source, requestHeader: () => value });
        assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029]/u);
      }),
      { seed: 3, numRuns: 300 },
    );
  });
});

describe("the JSON format", () => {
  test("keeps numbers, writes null for what is missing, and mixes text", () => {
    const compiled = compileJsonFormat(
      {
        code: "%RESPONSE_CODE%",
        flags: "%RESPONSE_FLAGS%",
        path: "%REQ(:path)%",
        none: "%REQ(none)%",
        mixed: "%PROTOCOL% %REQ(none)%",
        fixed: "v1",
        meta: "%DYNAMIC_METADATA(ns)%",
      },
      "h",
    );
    assert.ok(compiled.ok);
    const line = compiled.value(source);
    assert.equal(line.at(-1), "\n");
    assert.deepEqual(JSON.parse(line), {
      code: 200,
      flags: "-",
      path: "/a?b=1",
      none: null,
      mixed: "HTTP/1.1 -",
      fixed: "v1",
      meta: { a: 1 },
    });
  });

  test("names the key of a bad format", () => {
    const compiled = compileJsonFormat({ good: "x", bad: "%NOPE%" }, "h");
    assert.match(compiled.ok ? "" : compiled.error, /^bad: %NOPE% is not known/);
  });

  test("is one line of valid JSON whatever comes in", () => {
    const compiled = compileJsonFormat({ a: "%REQ(x)%", b: "x %REQ(x)% y" }, "h");
    assert.ok(compiled.ok);
    const format = compiled.value;
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
