import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderMap } from "@heddle/http";
import { extractContext, injectContext } from "./propagation.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const PARENT = "05e3ac9a4f6e3b90";
const context = { traceId: TRACE, spanId: SPAN, parentSpanId: PARENT, sampled: true, traceState: "a=b" };

test("the first form of the list that a request has is taken", () => {
  const headers = HeaderMap.from({
    traceparent: `00-${TRACE}-${SPAN}-01`,
    tracestate: "v=1",
    b3: `${"1".repeat(32)}-${SPAN}-0`,
  });
  assert.deepEqual(extractContext(headers, ["w3c", "b3"]), {
    traceId: TRACE,
    spanId: SPAN,
    sampled: true,
    traceState: "v=1",
  });
  assert.equal(extractContext(headers, ["b3", "w3c"])?.sampled, false);
  assert.equal(extractContext(headers, ["b3multi"]), undefined);
});

test("B3 in four headers, and a decision that comes alone", () => {
  const four = HeaderMap.from({ "x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1" });
  assert.deepEqual(extractContext(four, ["b3multi"]), { traceId: TRACE, spanId: SPAN, sampled: true, traceState: "" });
  assert.deepEqual(extractContext(HeaderMap.from({ "x-b3-sampled": "0" }), ["b3multi"]), {
    traceId: "",
    spanId: "",
    sampled: false,
    traceState: "",
  });
  assert.equal(extractContext(HeaderMap.from({ b3: "d" }), ["b3"])?.sampled, true);
  assert.equal(extractContext(HeaderMap.from({ "x-b3-flags": "1" }), ["b3multi"])?.sampled, true);
});

test("a form that is malformed counts as absent", () => {
  const headers = HeaderMap.from({ traceparent: "nonsense", b3: `${TRACE}-${SPAN}` });
  assert.equal(extractContext(headers, ["w3c", "b3"])?.traceId, TRACE);
  assert.equal(extractContext(headers, ["w3c", "b3"])?.sampled, undefined);
});

test("all forms of the list are written, over what came", () => {
  const headers = HeaderMap.from({ traceparent: "old", "x-b3-flags": "1", "x-b3-traceid": "old" });
  injectContext(headers, context, ["w3c", "b3", "b3multi"]);
  assert.deepEqual(
    Object.fromEntries(
      [
        "traceparent",
        "tracestate",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-parentspanid",
        "x-b3-sampled",
        "x-b3-flags",
      ].map((name) => [name, headers.get(name)]),
    ),
    {
      traceparent: `00-${TRACE}-${SPAN}-01`,
      tracestate: "a=b",
      b3: `${TRACE}-${SPAN}-1-${PARENT}`,
      "x-b3-traceid": TRACE,
      "x-b3-spanid": SPAN,
      "x-b3-parentspanid": PARENT,
      "x-b3-sampled": "1",
      "x-b3-flags": undefined,
    },
  );
});

test("a state whose parent was not valid does not go on", () => {
  const headers = HeaderMap.from({ traceparent: "nonsense", tracestate: "a=b" });
  injectContext(headers, { ...context, parentSpanId: "", traceState: "", sampled: false }, ["w3c"]);
  assert.equal(headers.get("tracestate"), undefined);
  assert.match(headers.get("traceparent") ?? "", /-00$/);
});
