import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { HeaderMap, RequestHead } from "@heddle/http";
import { AnsweringServer, ScriptedClient, waysToCut } from "@heddle/http/testing";
import { differences } from "./differences.ts";
import { vectors } from "./vectors.ts";

/** One message or several, and what llhttp's own tests expect of them. */
interface LlhttpCase {
  readonly id: string;
  /** "request", "response": strict. "…-lenient-…": what one leniency flag would let pass. "…-finish": about FIN. */
  readonly type: string;
  readonly wire_b64: string;
  readonly messages: number;
  readonly error: { readonly code: number; readonly reason: string } | null;
}

interface Outcome {
  /** The bytes were refused, not only incomplete. */
  readonly refused: boolean;
  /** Complete messages, interim ones and the heads of tunnels included. */
  readonly messages: number;
}

/** llhttp stops there so that its caller can switch protocols; no fault of the message. */
const isPause = (reason: string) => reason.startsWith("Pause on");
/** llhttp reports what follows the last message as an error; the server ignores it, which is no less strict. */
const isDataAfterClose = (reason: string) => reason.startsWith("Data after");

test("HTTP/1 messages are judged as llhttp does when strict, or as the table of differences says", {
  skip: vectors.skip,
}, () => {
  const { cases }: { cases: readonly LlhttpCase[] } = JSON.parse(
    readFileSync(vectors.file("llhttp/llhttp.json"), "utf8"),
  );
  assert.equal(cases.length, 251);
  const differing = new Map(differences.llhttp.flatMap((row) => row.cases.map((id) => [id, row] as const)));
  const unexpected: string[] = [];
  for (const item of cases) {
    const text = Buffer.from(item.wire_b64, "base64").toString("latin1");
    const outcomes = [...waysToCut(item.type.startsWith("request") ? withHost(text) : text)].map(({ pieces }) =>
      judge(item, pieces),
    );
    for (const outcome of outcomes) assert.deepEqual(outcome, outcomes[0], `${item.id} depends on how it is cut`);
    const outcome = outcomes[0]!; // there is always a way to cut
    const row = differing.get(item.id);
    differing.delete(item.id);
    if (agrees(item, outcome) !== (row === undefined))
      unexpected.push(
        `${item.id} (${item.type}): ${describe(item)}; ours: ${JSON.stringify(outcome)}${row ? "; the table says they differ" : ""}`,
      );
    if (theirsRefused(item)) assert.ok(outcome.refused, `${item.id} is accepted, and llhttp refuses it`);
  }
  assert.deepEqual(unexpected, []);
  assert.deepEqual([...differing.keys()], [], "the table names cases that do not exist");
});

test("the cases about transfer codings hold without the fragment that is in their targets", {
  skip: vectors.skip,
}, () => {
  const { cases }: { cases: readonly LlhttpCase[] } = JSON.parse(
    readFileSync(vectors.file("llhttp/llhttp.json"), "utf8"),
  );
  let count = 0;
  for (const item of cases) {
    const text = Buffer.from(item.wire_b64, "base64").toString("latin1");
    if (item.type !== "request" || !/^\S+ \S+#hey HTTP/.test(text)) continue;
    count++;
    const outcome = judge(item, [withHost(text.replace("#hey", ""))]);
    // A coding other than chunked is refused even where llhttp would hand it on (RFC 9112 §6.1: 501).
    if (theirsRefused(item) || /deflate/.test(text)) assert.ok(outcome.refused, item.id);
    else assert.deepEqual(outcome, { refused: false, messages: item.messages }, item.id);
  }
  assert.ok(count > 0);
});

function theirsRefused(item: LlhttpCase): boolean {
  return item.error !== null && !isPause(item.error.reason) && !isDataAfterClose(item.error.reason);
}

function agrees(item: LlhttpCase, ours: Outcome): boolean {
  if (item.type.includes("-lenient-")) return ours.refused; // the flag is what makes the case pass
  if (item.type.endsWith("-finish")) return ours.messages === item.messages;
  if (theirsRefused(item)) return ours.refused;
  return !ours.refused && ours.messages === item.messages;
}

function judge(item: LlhttpCase, pieces: readonly string[]): Outcome {
  return item.type.startsWith("request") ? judgeRequest(item, pieces) : judgeResponse(item, pieces);
}

function judgeRequest(item: LlhttpCase, pieces: readonly string[]): Outcome {
  const server = new AnsweringServer().receive(...pieces);
  // Some cases stop behind the fault but before the end of the head, where we see it only with the end.
  if (theirsRefused(item)) server.connection.receiveEnd();
  const complete = server.requests.filter(({ head, ended, failure }) => {
    const tunnel = head?.upgrade !== undefined || head?.method === "CONNECT";
    return failure === undefined && head !== undefined && (ended || tunnel);
  });
  return { refused: server.requests.some((request) => request.failure !== undefined), messages: complete.length };
}

function judgeResponse(item: LlhttpCase, pieces: readonly string[]): Outcome {
  const client = new ScriptedClient();
  const { encoder, response } = client.start();
  encoder.sendHead(new RequestHead("GET", "http", "a", "/", new HeaderMap()), true);
  client.receive(...pieces);
  if (theirsRefused(item)) client.connection.receiveEnd();
  return {
    refused: response.failure !== undefined,
    messages: response.informational.length + (response.ended ? 1 : 0),
  };
}

/** llhttp judges framing alone; a Host is added to every HTTP/1.1 request that has none. */
function withHost(text: string): string {
  return text.replace(/^[A-Z-]+ \S+ HTTP\/1\.1\r\n/gm, (line, at: number) => {
    const end = text.indexOf("\r\n\r\n", at);
    const head = text.slice(at, end === -1 ? undefined : end);
    return /^host:/im.test(head) ? line : `${line}Host: a\r\n`;
  });
}

function describe(item: LlhttpCase): string {
  return item.error === null ? `llhttp has ${item.messages} messages` : `llhttp says "${item.error.reason}"`;
}
