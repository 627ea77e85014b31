import assert from "node:assert/strict";

/** Requests as a sidecar may send them on, and no others. */
export interface CanonicalRequests {
  /** Of each complete request. */
  readonly startLines: readonly string[];
  /** What stands behind the last complete one: the beginning of another. */
  readonly rest: string;
}

const HEAD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+ [!-~]+ HTTP\/1\.1)\r\n[Hh]ost: [!-~]+\r\n((?:[^:\r]+: [^\r]*\r\n)*)\r\n/;
const FIELD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*$/;
const CHUNK = /^([1-9a-f][0-9a-f]*)\r\n/;
const LAST_CHUNK = /^0\r\n((?:[^:\r]+: [^\r]*\r\n)*)\r\n/;

/**
 * Reads what an upstream received with a grammar that has one way to write each message: no other reader can see other
 * requests in it. Fails where the bytes cannot be the beginning of such messages. A character is a byte.
 */
export function readCanonicalRequests(text: string): CanonicalRequests {
  const startLines: string[] = [];
  let rest = text;
  for (;;) {
    const head = HEAD.exec(rest);
    if (head === null) {
      assert.ok(!rest.includes("\r\n\r\n"), `a head that is not canonical: ${JSON.stringify(rest.slice(0, 300))}`);
      return { startLines, rest };
    }
    const [all, startLine = "", fields = ""] = head;
    const after = skipBody(rest.slice(all.length), framing(fields));
    if (after === undefined) return { startLines, rest };
    startLines.push(startLine);
    rest = after;
  }
}

const RESPONSE = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e\x80-\xff]*\r\n((?:[^:\r]+: [^\r]*\r\n)*)\r\n/;

/**
 * What stands behind the first response to a GET, read as strictly; undefined if it is not complete. Fails where the bytes
 * cannot be the beginning of one.
 */
export function afterCanonicalResponse(text: string): string | undefined {
  const head = RESPONSE.exec(text);
  if (head === null) {
    assert.ok(!text.includes("\r\n\r\n"), `a head that is not canonical: ${JSON.stringify(text.slice(0, 300))}`);
    return undefined;
  }
  const [all, status = "", fields = ""] = head;
  const length = framing(fields);
  const rest = text.slice(all.length);
  if (status.startsWith("1") || status === "204") {
    assert.doesNotMatch(fields, /^(?:content-length|transfer-encoding):/m);
    return rest;
  }
  return status === "304" ? rest : skipBody(rest, length);
}

/** The length of the body in bytes, or "chunked". */
function framing(fields: string): number | "chunked" {
  const written = fields.split("\r\n").slice(0, -1);
  for (const line of written) assert.match(line, FIELD);
  const lines = written.map((line) => line.toLowerCase());
  const [length, ...moreLengths] = lines.filter((line) => line.startsWith("content-length:"));
  const [coding, ...moreCodings] = lines.filter((line) => line.startsWith("transfer-encoding:"));
  assert.ok(!lines.some((line) => line.startsWith("host:")), "host stands twice");
  assert.deepEqual([...moreLengths, ...moreCodings], [], "a body is framed once");
  assert.ok(length === undefined || coding === undefined, "length and coding stand side by side");
  if (coding !== undefined) {
    assert.equal(coding, "transfer-encoding: chunked");
    return "chunked";
  }
  if (length === undefined) return 0;
  assert.match(length, /^content-length: (?:0|[1-9][0-9]{0,15})$/);
  return Number(length.slice("content-length: ".length));
}

/** What stands behind the body; undefined if it is not complete. */
function skipBody(text: string, length: number | "chunked"): string | undefined {
  if (length !== "chunked") return text.length < length ? undefined : text.slice(length);
  let rest = text;
  for (;;) {
    const last = LAST_CHUNK.exec(rest);
    if (last !== null) {
      const [all, trailers = ""] = last;
      for (const line of trailers.split("\r\n").slice(0, -1)) assert.match(line, FIELD);
      return rest.slice(all.length);
    }
    const chunk = CHUNK.exec(rest);
    if (chunk === null) {
      assert.match(rest, /^(?:0(?:\r|$)|[1-9a-f][0-9a-f]*\r?$|$)/, "a chunk that is not canonical");
      return undefined;
    }
    const [line, digits = ""] = chunk;
    const end = line.length + Number.parseInt(digits, 16);
    if (rest.length < end + 2) return undefined;
    assert.equal(rest.slice(end, end + 2), "\r\n", "a chunk ends with CRLF");
    rest = rest.slice(end + 2);
  }
}
