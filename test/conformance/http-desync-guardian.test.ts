import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { AnsweringServer, type ReceivedRequest, ScriptedClient, ScriptedServer, waysToCut } from "@heddle/http/testing";
import { parse } from "yaml";
import { differences } from "./differences.ts";
import { vectors } from "./vectors.ts";

type Tier = "Compliant" | "Acceptable" | "Ambiguous" | "Severe";

interface GradedRequest {
  readonly name: string;
  readonly method: string;
  readonly uri: string;
  readonly version: string;
  readonly headers: readonly { readonly name: string; readonly value: string | number }[] | null;
  readonly expected: { readonly tier: Tier };
}

test("requests that risk a desync are refused or leave in one meaning; harmless ones are forwarded", {
  skip: vectors.skip,
}, () => {
  const refusable = new Set(differences.httpDesyncGuardian.flatMap((row) => row.cases));
  const unexpected: string[] = [];
  let count = 0;
  for (const file of readdirSync(vectors.file("http-desync-guardian")).filter((name) => name.endsWith(".yaml"))) {
    const cases: readonly GradedRequest[] = parse(readFileSync(vectors.file(`http-desync-guardian/${file}`), "utf8"));
    for (const [index, item] of cases.entries()) {
      count++;
      const id = `${file}#${index}`;
      const verdict = judge(item);
      const { tier } = item.expected;
      if (tier === "Severe") {
        if (verdict !== "refused") unexpected.push(`${id} (${item.name}) is severe and was ${verdict}`);
      } else if (tier !== "Ambiguous" && (verdict === "refused") !== refusable.delete(id)) {
        unexpected.push(`${id} (${item.name}) is ${tier.toLowerCase()} and was ${verdict}`);
      }
    }
  }
  assert.deepEqual(unexpected, []);
  assert.deepEqual([...refusable], [], "the table names cases that do not exist");
  assert.equal(count, 158);
});

/** Refused, or forwarded, which asserts that what is sent on reads back as the same message. */
function judge(item: GradedRequest): "refused" | "forwarded" {
  const verdicts = new Set<"refused" | "forwarded">();
  for (const { pieces } of waysToCut(wire(item))) {
    const server = new ScriptedServer().receive(...pieces);
    const request = server.last;
    verdicts.add(request.failure === undefined && request.head !== undefined ? "forwarded" : "refused");
    if (request.failure === undefined && request.head !== undefined) forward(request, item.name);
  }
  const [verdict, other] = verdicts;
  assert.ok(verdict !== undefined && other === undefined, `${item.name} depends on how it is cut`);
  return verdict;
}

/** Sends the request on and reads it back: one message, with the same head and body, and one framing. */
function forward(request: ReceivedRequest, name: string): void {
  const { head } = request;
  assert.ok(head !== undefined);
  const client = new ScriptedClient();
  const { encoder } = client.start();
  encoder.sendHead(head, request.ended && request.body === "");
  if (request.body !== "") encoder.sendData(Buffer.from(request.body, "latin1"), request.ended);
  const sent = client.transport.take();
  const framing = sent.slice(0, sent.indexOf("\r\n\r\n")).match(/^(?:content-length|transfer-encoding)[^\r]*/gim) ?? [];
  assert.ok(framing.length <= 1, `${name} is framed twice: ${framing.join(", ")}`);
  const next = new AnsweringServer().receive(sent);
  assert.equal(next.requests.length, 1, name);
  assert.deepEqual(next.last.head?.path, head.path, name);
  assert.deepEqual([next.last.body, next.last.ended], [request.body, request.ended], name);
}

/** Header bytes are latin1; the target is what a browser would send of it, UTF-8. */
function wire(item: GradedRequest): string {
  const lines = (item.headers ?? []).map(({ name, value }) => `${name}: ${value}\r\n`);
  const host = /^host:/im.test(lines.join("")) ? "" : "Host: a\r\n";
  const target = Buffer.from(item.uri, "utf8").toString("latin1");
  return `${item.method} ${target} ${item.version}\r\n${host}${lines.join("")}\r\n`;
}
