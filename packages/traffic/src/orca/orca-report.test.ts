import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HeaderMap, ProtobufReader, ProtobufWriter } from "@heddle/http";
import fc from "fast-check";
import { type OrcaReport, readOrcaReport } from "./orca-report.ts";

const readFields = (fields: readonly string[]): OrcaReport | undefined =>
  readOrcaReport(new HeaderMap([...fields]), (message) => new ProtobufReader(message));

const read = (value: string, name = "endpoint-load-metrics"): object | undefined => {
  const report = readFields([name, value]);
  return report && Object.fromEntries(report);
};

const ALL = {
  cpu_utilization: 0.7,
  application_utilization: 0.8,
  mem_utilization: 0.9,
  rps_fractional: 1000,
  eps: 2,
  "named_metrics.foo": 123,
  "named_metrics.bar": 0.2,
  "utilization.total": 0.5,
};
const PAIRS = Object.entries(ALL);
const PADDED = "CQAAAAAAAOA/MQAAAAAAAFlAOQAAAAAAAABAQg4KA3JpZhEAAAAAAAAQQA==";
const FROM_GRPC_GO = { cpu_utilization: 0.5, rps_fractional: 100, eps: 2, "named_metrics.rif": 4 };

describe("a report in Envoy's native form", () => {
  it("is pairs of a name and a number, with either sign between them", () => {
    assert.deepEqual(read(`TEXT ${PAIRS.map(([name, value]) => `${name}=${value}`).join(",")}`), ALL);
    assert.deepEqual(read(`TEXT ${PAIRS.map(([name, value]) => `${name}:${value}`).join(" , ")} ,`), ALL);
    assert.deepEqual(read("TEXT eps: +1.5e-1,named_metrics.a=b=3"), undefined);
    assert.deepEqual(read("TEXT eps: +1.5e-1,named_metrics.é:.5"), undefined, "no UTF-8");
    assert.deepEqual(read("TEXT eps: +1.5e-1,named_metrics.\xc3\xa9.:.5"), { eps: 0.15, "named_metrics.é.": 0.5 });
  });

  it("is broken as a whole by one bad pair", () => {
    const bad = [
      "cpu_utilization=0.7,cpu_utilization=0.8",
      "named_metrics.a=1,named_metrics.a=1",
      "cpu=1",
      "request_cost.rows=1",
      "named_metrics.=1",
      "utilization.=1",
      "=1",
      "cpu_utilization",
      "cpu_utilization=",
      'cpu_utilization="0.7"',
      "cpu_utilization=nan",
      "cpu_utilization=inf",
      "cpu_utilization=1e999",
      "cpu_utilization=0x1",
      "cpu_utilization=-1",
      "utilization.disk=-1",
      "named_metrics.a=-1",
      "cpu_utilization =1",
    ];
    for (const text of bad) assert.equal(read(`TEXT eps=1,${text}`), undefined, text);
  });
});

describe("a report of any form", () => {
  it("takes time by its length, whatever it holds", () => {
    const digits = "1".repeat(8000);
    const began = performance.now();
    for (const value of [`TEXT eps=${digits}x`, `TEXT eps=${digits}.${digits}`, `JSON {"eps":"${digits}x"}`])
      for (let i = 0; i < 50; i++) assert.equal(read(value), undefined);
    const tookMs = performance.now() - began;
    assert.ok(tookMs < 2000, `${tookMs} ms`); // 15 s where digits can be matched in two ways, 10 ms where they cannot
  });
});

describe("a report in JSON", () => {
  it("is the message's proto3 JSON, in either spelling of names", () => {
    const maps = { named_metrics: { foo: 123, bar: "0.2" }, utilization: { total: 0.5 } };
    const plain = { cpu_utilization: 0.7, mem_utilization: 0.9, application_utilization: "0.8", eps: 2, rps: "7" };
    assert.deepEqual(read(`JSON ${JSON.stringify({ ...plain, rps_fractional: 1000, ...maps })}`), ALL);
    assert.deepEqual(
      read('JSON {"cpuUtilization": 1, "rpsFractional": null, "requestCost": {"a:\\"b": -1, "__proto__": 2}}'),
      Object.fromEntries([
        ["cpu_utilization", 1],
        ['request_cost.a:"b', -1],
        ["request_cost.__proto__", 2],
      ]),
    );
    assert.deepEqual(read("JSON {}"), {});
  });

  it("is broken as a whole by what protobuf would not read", () => {
    const bad = [
      "",
      "[]",
      "null",
      "1",
      '{"eps": 1',
      '{"unknown": 1}',
      '{"eps": 1, "eps": 2}',
      '{"cpu_utilization": 1, "cpuUtilization": 1}',
      '{"cpu_utilization": null, "cpuUtilization": 1}',
      '{"named_metrics": {"a": 1, "a": 2}}',
      '{"named_metrics": [1]}',
      '{"named_metrics": {"a": null}}',
      '{"named_metrics": {"a": {"b": 1}}}',
      '{"named_metrics": {"\\ud83d": 1}}',
      '{"eps": true}',
      '{"eps": [1]}',
      '{"eps": "1 "}',
      '{"eps": "NaN"}',
      '{"eps": 1e999}',
      '{"eps": -1}',
      '{"rps": -1}',
      '{"rps": 1.5}',
      `{"named_metrics": ${"[".repeat(4000)}`,
    ];
    for (const text of bad) assert.equal(read(`JSON ${text}`), undefined, text);
  });
});

describe("a report as a message", () => {
  it("is base64 with padding or without, under either name", () => {
    for (const text of [PADDED, PADDED.replaceAll("=", "")]) {
      assert.deepEqual(read(text, "endpoint-load-metrics-bin"), FROM_GRPC_GO);
      assert.deepEqual(read(`BIN ${text}`), FROM_GRPC_GO);
    }
  });

  it("passes unknown fields over, and of what comes twice the last counts", () => {
    const writer = new ProtobufWriter();
    writer.double(1, 0.25);
    writer.varint(3, 9);
    writer.text(77, "x");
    writer.double(1, 0.5);
    const entry = writer.open(4);
    writer.text(1, "rows");
    writer.close(entry);
    const value = Buffer.from(writer.finish()).toString("base64");
    assert.deepEqual(read(`BIN ${value}`), { cpu_utilization: 0.5, "request_cost.rows": 0 });
  });

  it("is refused where it is no base64, no message, or holds no number", () => {
    const encode = (...bytes: number[]): string => Buffer.from(bytes).toString("base64");
    const bad = [
      "",
      "not-a-valid-binary-proto",
      `${PADDED} `,
      PADDED.slice(0, 30),
      `${PADDED},${PADDED}`,
      "CQ",
      `${PADDED.slice(0, -3)}B==`, // bits that are lost
      encode(9, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f), // NaN
      encode(9, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f), // infinite
      encode(9, 0, 0, 0, 0, 0, 0, 0xe0, 0xbf), // negative
      encode(0x42, 3, 10, 1, 0xff), // a name that is no UTF-8
      encode(0x42, 0), // an entry without a name
    ];
    for (const value of bad) {
      assert.equal(read(value, "endpoint-load-metrics-bin"), undefined, value);
      assert.equal(read(`BIN ${value}`), undefined, value);
    }
  });
});

describe("of several fields", () => {
  it("the binary one counts, and of one name the first", () => {
    const fields = ["endpoint-load-metrics", "TEXT eps=1", "endpoint-load-metrics-bin", PADDED];
    const report = readFields(fields);
    assert.deepEqual(report && Object.fromEntries(report), FROM_GRPC_GO);
    assert.equal(readFields(["endpoint-load-metrics-bin", "", ...fields]), undefined);
    const twice = ["endpoint-load-metrics", "TEXT eps=1", "endpoint-load-metrics", "TEXT eps=2"];
    assert.equal(readFields(twice)?.get("eps"), 1);
  });

  it("none of another form counts", () => {
    assert.equal(readFields(["x-endpoint-load-metrics", "TEXT eps=1"]), undefined);
    for (const value of ["", "TEXT", "text eps=1", "eps=1", "BAD eps=1"]) assert.equal(read(value), undefined, value);
  });
});

it("a report that is too long, or has too many metrics, is none", () => {
  const metrics = (count: number): string =>
    `TEXT ${Array.from({ length: count }, (_, i) => `named_metrics.${i}=1`).join(",")}`;
  assert.equal(Object.keys(read(metrics(256)) ?? {}).length, 256);
  assert.equal(read(metrics(257)), undefined);
  assert.equal(read(`TEXT named_metrics.${"a".repeat(8192)}=1`), undefined);
  assert.equal(read("A".repeat(8196), "endpoint-load-metrics-bin"), undefined);
});

it("whatever comes is a report of finite numbers or none, and never throws", () => {
  const piece = fc.constantFrom(
    "TEXT ",
    "JSON ",
    "BIN ",
    "{",
    "}",
    '"eps"',
    ":",
    "=",
    ",",
    "1",
    "e9",
    "named_metrics.",
  );
  const value = fc.oneof(
    fc.string({ unit: "binary-ascii" }),
    fc.array(piece).map((all) => all.join("")),
  );
  const property = fc.property(value, fc.boolean(), (text, isBinary) => {
    const report = readFields([`endpoint-load-metrics${isBinary ? "-bin" : ""}`, text]);
    for (const number of report?.values() ?? []) assert.ok(Number.isFinite(number));
  });
  fc.assert(property, { seed: 5, numRuns: 2000 });
});
