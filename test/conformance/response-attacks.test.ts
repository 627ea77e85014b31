import assert from "node:assert/strict";
import { test } from "node:test";
import { failure } from "@heddle/base";
import { HeaderMap, RequestHead } from "@heddle/http";
import { ScriptedClient, waysToCut } from "@heddle/http/testing";
import { type ResponseAttack, responseAttacks } from "./response-attacks.ts";

/*
 * The table of hostile upstreams against the codec alone, however the bytes are cut. `test/e2e/sidecar-hostile-upstreams.test.ts`
 * puts the same behind a whole sidecar.
 */

/** Byte by byte these only take long. */
const LONG = 8 * 1024;
const RESET = failure("connection-closed", "upstream", "ECONNRESET");

test("no response of the table of attacks is taken for what it is not, and none leaves a connection to poison", () => {
  const wrong: string[] = [];
  for (const attack of responseAttacks) {
    for (const { way, pieces } of waysToCut(attack.bytes)) {
      if (attack.bytes.length > LONG && way === "byte by byte") continue;
      const problem = judge(attack, pieces);
      if (problem !== undefined) wrong.push(`${attack.what}, ${way}: ${problem}`);
    }
  }
  assert.deepEqual(wrong, []);
});

/** What is not as the table says. */
function judge({ verdict, end, method = "GET" }: ResponseAttack, pieces: readonly string[]): string | undefined {
  const client = new ScriptedClient();
  const { encoder, response } = client.start();
  encoder.sendHead(new RequestHead(method, "http", "a", "/", new HeaderMap()), true);
  client.receive(...pieces);
  if (end === "fin") client.connection.receiveEnd();
  else if (end === "rst") client.connection.transportClosed(RESET);
  const { failure: why, head, ended } = response;
  const open = client.closed.length === 0;
  switch (verdict.type) {
    case "refused":
      if (why?.kind !== "upstream-protocol-error") return `failed with ${why?.kind}`;
      if (head !== undefined) return `its head was taken: ${head.status}`;
      break;
    case "missing":
      if (why === undefined || head !== undefined) return "it was taken for an answer";
      break;
    case "cut":
      if (why === undefined || head === undefined || ended) return "it was taken for complete";
      break;
    case "forwarded":
      if (why !== undefined || !ended) return `not complete: ${why?.detail}`;
      return open === verdict.kept ? undefined : `the connection is ${open ? "open" : "closed"}`;
  }
  return open ? "the connection is open" : undefined;
}
