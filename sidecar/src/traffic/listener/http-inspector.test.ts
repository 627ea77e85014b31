import assert from "node:assert/strict";
import { test } from "node:test";
import type { DownstreamInfo } from "@heddle/filter";
import { MemoryMetrics } from "../http/testing-telemetry.ts";
import { HttpInspector } from "./http-inspector.ts";
import type { Inspection } from "./listener-filter.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const CLIENT = { remoteAddress: "10.0.0.1" } as DownstreamInfo;

class Inspected {
  readonly #metrics = new MemoryMetrics();
  readonly #inspector = new HttpInspector(this.#metrics);

  inspect(text: string, info = CLIENT): Inspection {
    return this.#inspector.inspect(Buffer.from(text, "latin1"), info);
  }

  /** What chains may ask for; undefined: more bytes are needed. */
  found(text: string): string | undefined {
    const inspection = this.inspect(text);
    if (inspection.type === "more") return undefined;
    assert.ok(inspection.type === "done");
    assert.equal(inspection.consumed, 0, "whoever serves it reads it again");
    assert.equal(inspection.info.remoteAddress, CLIENT.remoteAddress);
    assert.equal(inspection.info.sniffed?.transportProtocol, "raw_buffer");
    return inspection.info.sniffed.applicationProtocols.join();
  }

  counts(): Record<string, number> {
    const names = ["http10_found", "http11_found", "http2_found", "http_not_found"];
    return Object.fromEntries(names.map((name) => [name, this.#metrics.values.get(`http_inspector.${name}`) ?? 0]));
  }
}

/** First bytes, and what they are. */
const KINDS: readonly (readonly [string, string])[] = [
  ["GET / HTTP/1.1\r\n", "http/1.1"],
  ["GET / HTTP/1.1\n", "http/1.1"],
  ["\r\n\r\nM-SEARCH * HTTP/1.1\r\n", "http/1.1"],
  [`GET /${"a".repeat(8000)} HTTP/1.1\r\n`, "http/1.1"],
  ["PRI /list HTTP/1.1\r\n", "http/1.1"],
  ["OPTIONS * HTTP/1.0\r\n", "http/1.0"],
  [PREFACE, "h2c"],
  ["PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", ""],
  ["PRI * HTTP/2.0\r\n\n", ""],
  ["GET / HTTP/1.2\r\n", ""],
  ["GET / HTTP/2.0\r\n", ""],
  ["GET /\r\n", ""],
  ["GET\r\n", ""],
  ["SSH-2.0-OpenSSH_9.6\r\n", ""],
  [" GET / HTTP/1.1\r\n", ""],
  ["\0\0\0\0\0\0\0\0\0\0\0\0", ""],
  ["\x16\x03\x01\x02\x00", ""],
  ["A".repeat(33), ""],
  [`GET /${"a".repeat(8192)}`, ""],
];

test("the first bytes of plaintext tell which HTTP it is, if it is any", () => {
  const inspected = new Inspected();
  for (const [text, kind] of KINDS) assert.equal(inspected.found(text), kind, JSON.stringify(text.slice(0, 40)));
  const of = (kind: string): number => KINDS.filter(([, known]) => known === kind).length;
  assert.deepEqual(inspected.counts(), {
    http10_found: of("http/1.0"),
    http11_found: of("http/1.1"),
    http2_found: 1,
    http_not_found: of(""),
  });
});

test("wherever the bytes are cut, more are asked for or the answer is the same", () => {
  for (const [text, kind] of KINDS) {
    const inspected = new Inspected();
    let earliest = text.length;
    for (let end = text.length; end >= 0; end--) {
      const found = inspected.found(text.slice(0, end));
      assert.ok(found === undefined || found === kind, `${JSON.stringify(text.slice(0, end))} is "${found}"`);
      if (found !== undefined) earliest = end;
      else if (text.length > 1000) break; // from here on it is all the same
    }
    assert.ok(earliest > 0, "nothing is no answer");
    if (kind !== "") assert.equal(earliest, text.length, "HTTP is not called so before it is certain");
  }
});

test("TLS is none of its business", () => {
  const inspected = new Inspected();
  const info = { ...CLIENT, sniffed: { transportProtocol: "tls", applicationProtocols: ["h2"] } } as const;
  assert.deepEqual(inspected.inspect("GET / HTTP/1.1\r\n", info), { type: "done", consumed: 0, info });
  assert.equal(inspected.counts()["http11_found"], 0);
});
