import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderMap } from "@heddle/http";
import { AnsweringServer, type ReceivedRequest, ScriptedClient, waysToCut } from "@heddle/http/testing";
import { type RequestAttack, requestAttacks } from "./request-attacks.ts";

/*
 * The table of attacks against the codec alone, however the bytes are cut. `test/e2e/sidecar-attacks.test.ts` sends the same
 * to a whole sidecar.
 */

/** Byte by byte these only take long. */
const LONG = 8 * 1024;

test("every request of the table of attacks is refused, or leaves in the one meaning that it has", () => {
  const wrong: string[] = [];
  for (const attack of requestAttacks.filter(({ bySidecar }) => bySidecar === undefined)) {
    for (const { way, pieces } of waysToCut(attack.bytes)) {
      if (attack.bytes.length > LONG && way === "byte by byte") continue;
      const problem = judge(attack, pieces);
      if (problem !== undefined) wrong.push(`${attack.what}, ${way}: ${problem}`);
    }
  }
  assert.deepEqual(wrong, []);
});

/** What is not as the table says. */
function judge({ verdict }: RequestAttack, pieces: readonly string[]): string | undefined {
  const server = new AnsweringServer().receive(...pieces);
  if (verdict.type !== "forwarded" && !server.transport.ended) server.connection.receiveEnd(); // what stops within a head
  const answers = server.transport.take().match(/HTTP\/1\.1 \d{3}/g) ?? [];
  const [first, ...later] = server.requests;
  if (first === undefined) return "no request has begun";
  if (verdict.type !== "forwarded") {
    if (server.requests.some(({ ended }) => ended)) return "a request is complete";
    if (answers.join() !== `HTTP/1.1 ${verdict.status}`) return `answered with ${answers.join()}`;
    return server.transport.ended ? undefined : "the connection is open";
  }
  if (!first.ended) return `incomplete: ${first.failure?.detail}`;
  const sent = sentOn(first, verdict.as.includes("\r\ntransfer-encoding: chunked\r\n"));
  if (sent !== verdict.as) return `sent on as ${JSON.stringify(sent)}`;
  if (later.some(({ ended }) => ended)) return "a second request is complete";
  if (verdict.then === undefined) return later.length === 0 ? undefined : "a second request has begun";
  server.connection.receiveEnd();
  const all = [...answers, ...(server.transport.take().match(/HTTP\/1\.1 \d{3}/g) ?? [])];
  return all.join() === `HTTP/1.1 200,HTTP/1.1 ${verdict.then}` ? undefined : `answered with ${all.join()}`;
}

/** The bytes with which the client's codec sends a request. */
function sentOn({ head, body, trailers }: ReceivedRequest, chunked: boolean): string {
  assert.ok(head !== undefined);
  const client = new ScriptedClient();
  const { encoder } = client.start();
  encoder.sendHead(head, body === "" && !chunked);
  if (body !== "") encoder.sendData(Buffer.from(body, "latin1"), trailers === undefined);
  if (trailers !== undefined) encoder.sendTrailers(HeaderMap.from(trailers));
  return client.transport.take();
}
