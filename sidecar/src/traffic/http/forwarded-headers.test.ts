import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DownstreamInfo } from "@heddle/filter";
import { HeaderMap, RequestHead } from "@heddle/http";
import { defaultManners, type HttpConnectionManagerConfig, type HttpManners } from "@heddle/traffic";
import fc from "fast-check";
import { type ForwardedRequest, Forwarding, valueAt } from "./forwarded-headers.ts";
import { managerConfig } from "./testing-config.ts";

const PEER: DownstreamInfo = {
  directRemoteAddress: "192.0.2.1",
  remoteAddress: "192.0.2.1",
  remotePort: 40000,
  localAddress: "192.0.2.2",
  localPort: 8080,
  connectionId: 1,
  listener: "l",
  filterChain: "",
};

type Options = Partial<HttpConnectionManagerConfig> & { readonly with?: Partial<HttpManners> };

interface Outcome extends ForwardedRequest {
  readonly refused: number | undefined;
  /** Where the traceparent is found to stand. */
  readonly traceparentAt: number;
  header(name: string): string | undefined;
}

/** Sends one request with these fields through. */
function pass(
  options: Options,
  fields: readonly string[] | Readonly<Record<string, string>> = [],
  downstream: DownstreamInfo = PEER,
  head = new RequestHead("GET", "http", "a", "/", new HeaderMap()),
): Outcome {
  const { with: manners, ...config } = options;
  head.headers = Array.isArray(fields)
    ? new HeaderMap([...fields])
    : HeaderMap.from(fields as Readonly<Record<string, string>>);
  const exchange: ForwardedRequest = { request: head, downstream, requestId: "", internal: false };
  let ids = 0;
  const forwarding = new Forwarding(
    { ...managerConfig, ...config, manners: { ...defaultManners, ...manners } },
    () => `id-${++ids}`,
  );
  const refused = forwarding.apply(exchange, "http");
  const { traceparentAt } = forwarding.found;
  return { ...exchange, refused, traceparentAt, header: (name) => exchange.request.headers.joined(name) };
}

const EDGE: Options = { useRemoteAddress: true };

/** The client's address, then x-forwarded-for and x-forwarded-proto as they go on. */
function way(options: Options, fields: Readonly<Record<string, string>>): unknown[] {
  const passed = pass(options, fields);
  return [passed.downstream.remoteAddress, passed.header("x-forwarded-for"), passed.header("x-forwarded-proto")];
}

describe("inside", () => {
  test("the last address that the hop before has written is the client", () => {
    assert.deepEqual(way({}, {}), ["192.0.2.1", undefined, "http"]);
    assert.deepEqual(way({}, { "x-forwarded-for": "1.1.1.1, 2.2.2.2", "x-forwarded-proto": "https" }), [
      "2.2.2.2",
      "1.1.1.1, 2.2.2.2",
      "https",
    ]);
    assert.equal(way({ xffNumTrustedHops: 1 }, { "x-forwarded-for": "1.1.1.1, 2.2.2.2" })[0], "1.1.1.1");
  });

  test("addresses in several fields count as one list", () => {
    const passed = pass({}, ["x-forwarded-for", "1.1.1.1", "x-a", "b", "x-forwarded-for", "2.2.2.2"]);
    assert.equal(passed.downstream.remoteAddress, "2.2.2.2");
    assert.equal(pass({}, ["x-forwarded-for", "1.1.1.1, 3.3.3.3"]).downstream.remotePort, 0);
  });

  test("what is no address is not believed", () => {
    for (const value of ["unknown", "_hidden", "1.1.1.1:80", "", "a, b", "<script>", "1.1.1.1,"]) {
      assert.equal(way({}, { "x-forwarded-for": value })[0], "192.0.2.1", value);
    }
    assert.equal(way({}, { "x-forwarded-for": "2001:db8::1" })[0], "2001:db8::1");
  });

  test("the scheme is what x-forwarded-proto says, unless the target says another", () => {
    assert.equal(pass({}, { "x-forwarded-proto": "HTTPS" }).request.scheme, "https");
    assert.equal(pass({}, { "x-forwarded-proto": "ftp" }).request.scheme, "http");
    const absolute = new RequestHead("GET", "https", "a", "/", new HeaderMap());
    assert.equal(pass({}, {}, PEER, absolute).request.scheme, "https");
    assert.equal(absolute.headers.get("x-forwarded-proto"), "http", "which tells of the connection");
  });
});

describe("at the edge", () => {
  test("the peer is the client, and what it claims is only passed on", () => {
    assert.deepEqual(way(EDGE, { "x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https" }), [
      "192.0.2.1",
      "6.6.6.6,192.0.2.1",
      "http",
    ]);
    assert.deepEqual(way({ ...EDGE, skipXffAppend: true }, {}), ["192.0.2.1", undefined, "http"]);
    assert.equal(pass(EDGE, { "x-forwarded-proto": "https" }).request.scheme, "http");
  });

  test("with trusted hops before it the address that the outermost has written is the client", () => {
    const options = { ...EDGE, xffNumTrustedHops: 1 };
    assert.deepEqual(way(options, { "x-forwarded-for": "6.6.6.6, 3.3.3.3", "x-forwarded-proto": "https" }), [
      "3.3.3.3",
      "6.6.6.6, 3.3.3.3,192.0.2.1",
      "https",
    ]);
    assert.equal(way({ ...EDGE, xffNumTrustedHops: 3 }, { "x-forwarded-for": "3.3.3.3" })[0], "192.0.2.1");
  });

  test("the client that a PROXY protocol told of is the one that is appended", () => {
    const passed = pass(EDGE, {}, { ...PEER, remoteAddress: "203.0.113.9" });
    assert.equal(passed.header("x-forwarded-for"), "203.0.113.9");
    assert.equal(passed.header("x-envoy-external-address"), "203.0.113.9");
  });

  test("a peer on a Unix socket has no address to append", () => {
    const passed = pass(EDGE, {}, { ...PEER, directRemoteAddress: "", remoteAddress: "" });
    assert.equal(passed.header("x-forwarded-for"), undefined);
    assert.equal(passed.header("x-envoy-external-address"), undefined);
  });

  test("the client's address is told, whatever it says itself", () => {
    const claim = { "x-envoy-external-address": "6.6.6.6" };
    assert.equal(pass(EDGE, claim).header("x-envoy-external-address"), "192.0.2.1");
    assert.equal(pass({}, claim).header("x-envoy-external-address"), "6.6.6.6");
  });
});

describe("x-forwarded-port", () => {
  const options: Options = { with: { appendXForwardedPort: true } };

  test("is told where it is asked for, and believed from a hop that is trusted", () => {
    assert.equal(pass({}).header("x-forwarded-port"), undefined);
    assert.equal(pass(options).header("x-forwarded-port"), "8080");
    assert.equal(pass(options, { "x-forwarded-port": "443" }).header("x-forwarded-port"), "443");
    assert.equal(pass({ ...EDGE, ...options }, { "x-forwarded-port": "443" }).header("x-forwarded-port"), "8080");
    const trusting = { ...EDGE, ...options, xffNumTrustedHops: 1 };
    assert.equal(pass(trusting, { "x-forwarded-port": "443" }).header("x-forwarded-port"), "443");
  });
});

describe("internal requests", () => {
  const INTERNAL: Options = { with: { internalAddresses: { unixSockets: true, cidrRanges: ["192.0.2.0/24"] } } };
  const STEERING = { "x-envoy-retry-on": "5xx", "x-envoy-upstream-rq-timeout-ms": "5" };
  const CALLER = { "x-envoy-downstream-service-cluster": "c" };

  function left(options: Options, fields: Readonly<Record<string, string>>, downstream = PEER): readonly string[] {
    const all = { ...STEERING, ...CALLER, "x-envoy-other": "1", "x-envoy-internal": "true", ...fields };
    const { request } = pass(options, all, downstream);
    return request.headers.fields.filter((name) => name.startsWith("x-envoy-") && name !== "x-envoy-external-address");
  }

  test("alone may ask at the edge who denies them: others' word would be believed inside", () => {
    const asks = { "x-heddle-explain": "denial" };
    const asked = (options: Options): string | undefined => pass(options, asks).header("x-heddle-explain");
    assert.equal(asked(EDGE), undefined);
    assert.equal(asked({ ...EDGE, ...INTERNAL }), "denial");
    assert.equal(asked({}), "denial");
  });

  test("are none unless addresses are named; then headers that steer a proxy are taken from everybody", () => {
    assert.deepEqual(left(EDGE, {}), ["x-envoy-other"]);
    assert.deepEqual(left({}, { "x-forwarded-for": "10.0.0.1" }), [...Object.keys(CALLER), "x-envoy-other"]);
  });

  test("come at the edge from a peer inside, without any hop before", () => {
    const everything = [...Object.keys(STEERING), ...Object.keys(CALLER), "x-envoy-other", "x-envoy-internal"];
    assert.deepEqual(left({ ...EDGE, ...INTERNAL }, {}), everything);
    assert.deepEqual(left({ ...EDGE, ...INTERNAL }, { "x-forwarded-for": "192.0.2.9" }), ["x-envoy-other"]);
    const outside = { ...PEER, remoteAddress: "198.51.100.1" };
    assert.deepEqual(left({ ...EDGE, ...INTERNAL }, {}, outside), ["x-envoy-other"]);
    assert.deepEqual(left({ ...EDGE, ...INTERNAL }, {}, { ...PEER, remoteAddress: "" }), everything);
    const passed = pass({ ...EDGE, ...INTERNAL });
    assert.equal(passed.internal, true);
    assert.equal(passed.header("x-envoy-internal"), "true");
    assert.equal(passed.header("x-envoy-external-address"), undefined);
  });

  test("inside have exactly one address in x-forwarded-for, and it is one of those named", () => {
    const is = (value: string | undefined, options: Options = INTERNAL): boolean =>
      pass(options, value === undefined ? {} : { "x-forwarded-for": value }).internal;
    assert.equal(is("192.0.2.7"), true);
    assert.equal(is("198.51.100.7"), false);
    assert.equal(is("192.0.2.7, 192.0.2.8"), false);
    assert.equal(is(undefined), false);
    assert.equal(is("192.0.2.7, 192.0.2.8", { ...INTERNAL, xffNumTrustedHops: 1 }), false);
  });
});

describe("detection of the client's address", () => {
  const custom = { type: "custom-header", header: "x-client", trusted: false, rejectStatus: undefined } as const;

  test("asks one way after the other", () => {
    const options: Options = { with: { originalIpDetection: [custom, { type: "xff", trustedHops: 1 }] } };
    const address = (fields: Readonly<Record<string, string>>): string =>
      pass(options, fields).downstream.remoteAddress;
    assert.equal(address({ "x-client": " 5.5.5.5 ", "x-forwarded-for": "1.1.1.1, 2.2.2.2" }), "5.5.5.5");
    assert.equal(address({ "x-client": "nobody", "x-forwarded-for": "1.1.1.1, 2.2.2.2" }), "1.1.1.1");
    assert.equal(address({}), "192.0.2.1");
  });

  test("refuses a request that does not tell, where that is wished", () => {
    const options: Options = { with: { originalIpDetection: [{ ...custom, rejectStatus: 403 }] } };
    assert.equal(pass(options).refused, 403);
    assert.equal(pass(options, { "x-client": "5.5.5.5" }).refused, undefined);
  });

  test("by a header makes a request internal only if the header is trusted", () => {
    const internalAddresses = { unixSockets: false, cidrRanges: ["5.5.5.5/32"] };
    const is = (trusted: boolean): boolean =>
      pass({ with: { internalAddresses, originalIpDetection: [{ ...custom, trusted }] } }, { "x-client": "5.5.5.5" })
        .internal;
    assert.equal(is(true), true);
    assert.equal(is(false), false);
  });
});

describe("x-request-id", () => {
  test("is made where there is none, and kept where there is one", () => {
    const made = pass({});
    assert.deepEqual([made.requestId, made.header("x-request-id")], ["id-1", "id-1"]);
    const kept = pass({}, { "x-request-id": "theirs" });
    assert.deepEqual([kept.requestId, kept.header("x-request-id")], ["theirs", "theirs"]);
    assert.equal(pass({}, { "x-request-id": "" }).header("x-request-id"), "id-1");
    assert.equal(pass({ generateRequestId: false }).header("x-request-id"), undefined);
  });

  test("of a client at the edge is replaced, unless it shall be preserved", () => {
    const theirs = { "x-request-id": "theirs" };
    assert.equal(pass(EDGE, theirs).header("x-request-id"), "id-1");
    assert.equal(pass({ ...EDGE, preserveExternalRequestId: true }, theirs).requestId, "theirs");
    assert.equal(pass({ ...EDGE, generateRequestId: false }, theirs).requestId, "theirs");
  });

  test("that is preserved at the edge does not say that the request is to be traced", () => {
    const preserving = { ...EDGE, preserveExternalRequestId: true };
    const sampled = { "x-request-id": "00000001-0000-9000-8000-000000000000" };
    const neutral = "00000001-0000-4000-8000-000000000000";
    assert.equal(pass(preserving, sampled).header("x-request-id"), neutral);
    assert.equal(pass(preserving, sampled).requestId, neutral);
    assert.equal(pass({}, sampled).requestId, sampled["x-request-id"], "inside it does");
    const requestId = { packsTraceReason: false, decidesTrace: true };
    assert.equal(pass({ ...preserving, with: { requestId } }, sampled).requestId, sampled["x-request-id"]);
    const version7 = { "x-request-id": "00000001-0000-7000-8000-000000000000" };
    assert.equal(pass(preserving, version7).requestId, version7["x-request-id"], "which tells no reason");
  });

  test("of an internal request at the edge is kept", () => {
    const internal: Options = {
      ...EDGE,
      with: { internalAddresses: { unixSockets: false, cidrRanges: ["0.0.0.0/0"] } },
    };
    assert.equal(pass(internal, { "x-request-id": "theirs" }).requestId, "theirs");
  });
});

test("x-forwarded-client-cert of somebody who has shown no certificate goes, unless it shall always be forwarded", () => {
  const left = (forwardClientCertDetails: HttpManners["forwardClientCertDetails"]): string | undefined =>
    pass({ with: { forwardClientCertDetails } }, { "x-forwarded-client-cert": "By=x" }).header(
      "x-forwarded-client-cert",
    );
  for (const mode of ["SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET"] as const) {
    assert.equal(left(mode), undefined, mode);
  }
  assert.equal(left("ALWAYS_FORWARD_ONLY"), "By=x");
});

test("via is appended to what hops before have written", () => {
  assert.equal(pass({}).header("via"), undefined);
  assert.equal(pass({ via: "h" }).header("via"), "h");
  assert.deepEqual(pass({ via: "h" }, ["via", "1.1 a", "via", "1.1 b"]).request.headers.getAll("via"), [
    "1.1 a,1.1 b, h",
  ]);
});

test("a scheme to overwrite with is told as that of the client, too", () => {
  const passed = pass({ with: { schemeToOverwrite: "https" } }, { "x-forwarded-proto": "http" });
  assert.equal(passed.request.scheme, "https");
  assert.equal(passed.header("x-forwarded-proto"), "https");
});

test("at the edge there is one of each field of ours, wherever and however often it came, and others keep their order", () => {
  const ours = ["x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-request-id"];
  const taken = [
    "x-envoy-internal",
    "x-envoy-retry-on",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-forwarded-client-cert",
  ];
  const others = ["x-a", "accept", "x-forwarded-host", "traceparent", "expect", "x", ""];
  const field = fc.tuple(fc.constantFrom(...ours, ...taken, ...others), fc.constantFrom("1.1.1.1", "2"));
  const internal = { internalAddresses: { unixSockets: false, cidrRanges: ["10.0.0.0/8"] } };
  fc.assert(
    fc.property(fc.array(field, { maxLength: 12 }), fc.constantFrom({}, internal), (list, manners) => {
      const { request, traceparentAt } = pass({ ...EDGE, with: manners }, list.flat());
      const told = list.flatMap(([name, value]) => (name === "x-forwarded-for" ? [value] : []));
      const after = Array.from({ length: request.headers.size }, (_, i) =>
        request.headers.fields.slice(2 * i, 2 * i + 2),
      );
      assert.deepEqual(
        ours.map((name) => request.headers.getAll(name)),
        [[[...told, "192.0.2.1"].join(",")], ["http"], ["192.0.2.1"], ["id-1"]],
      );
      assert.equal(valueAt(request.headers, "traceparent", traceparentAt), request.headers.get("traceparent"));
      assert.deepEqual(
        after.filter(([name]) => !ours.includes(name!)),
        list.filter(([name]) => others.includes(name)),
      );
    }),
    { numRuns: 300, seed: 1 },
  );
});
