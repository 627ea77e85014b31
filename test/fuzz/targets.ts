import assert from "node:assert/strict";
import { AnsweringServer, HpackDecoder, HpackEncoder, HpackError, summary } from "@heddle/http/testing";
import fc from "fast-check";
import { mutant, PIECES } from "../harness/mutants.ts";
import { nodeAgainstOurServer, ourClientAgainstNode, plan } from "./h2-exchanges.ts";
import { checkAgainstNode, checkCuts, checkServerCuts, generator } from "./h2-mutants.ts";

/** Fails where something is wrong with the case of that number; the same number is the same case. */
export type FuzzTarget = (number: number) => Promise<void> | void;

/** What `npm run fuzz` can do. Each finds its own cases, from a number. */
export const fuzzTargets: Readonly<Record<string, FuzzTarget>> = {
  /** Random exchanges of our HTTP/2 client with a server of node:http2. */
  "h2-client": (number) => ourClientAgainstNode(planOf(number)),
  /** Random exchanges of a client of node:http2 with our server. */
  "h2-server": (number) => nodeAgainstOurServer(planOf(number)),
  /** Faults in a client's frames: nothing depends on how bytes are cut. */
  "h2-cuts": checkCuts,
  /** Faults in a server's frames: the same for our client. */
  "h2-server-cuts": checkServerCuts,
  /** Faults in frames: node:http2 and we give requests the same meaning. */
  "h2-meaning": async (number) => void (await checkAgainstNode(number)),
  /** Faults in requests of HTTP/1: nothing depends on how bytes are cut. */
  "h1-cuts": checkHttp1Cuts,
  /** HPACK: random blocks do not throw; what is encoded decodes to the same, through tables that change their size. */
  hpack: checkHpack,
};

function planOf(number: number) {
  const [found] = fc.sample(plan, { seed: number, numRuns: 1 });
  assert.ok(found !== undefined);
  return found;
}

const SEEDS: readonly string[] = [
  "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
  "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5\r\nhello\r\n3;e=1\r\nabc\r\n0\r\nX: y\r\n\r\n",
  "GET http://b/f HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x\r\nX: 1\r\nTE: trailers\r\n\r\nGET /g HTTP/1.1\r\nHost: a\r\n\r\n",
];

function checkHttp1Cuts(number: number): void {
  const text = mutant(SEEDS, PIECES, number);
  const outcome = (pieces: readonly string[]): unknown => {
    const server = new AnsweringServer().receive(...pieces);
    return [summary(server.requests), server.protocolErrors, server.transport.take(), server.transport.ended];
  };
  const whole = outcome([text]);
  assert.deepEqual(outcome(text.split("")), whole, `${JSON.stringify(text)} byte by byte`);
  const at = generator(number)() % (text.length + 1);
  assert.deepEqual(outcome([text.slice(0, at), text.slice(at)]), whole, `${JSON.stringify(text)} cut at ${at}`);
}

function checkHpack(number: number): void {
  const random = generator(number);
  const limits = { maxListSize: 1 << 16, maxCount: 100 };
  const garbage = Buffer.from(Array.from({ length: random() % 80 }, () => random() & 0xff));
  new HpackDecoder(limits).decode(garbage);

  const [encoder, decoder] = [new HpackEncoder(random() % 5000), new HpackDecoder({ ...limits, maxTableSize: 8192 })];
  for (let block = 0; block < 12; block++) {
    if (random() % 4 === 0) encoder.allowTableSize(random() % 8192);
    const fields: string[] = [];
    for (let count = random() % 12; count > 0; count--)
      fields.push(
        NAMES[random() % NAMES.length] ?? "x",
        "abé"[random() % 3]!.repeat(random() % (random() % 9 === 0 ? 3000 : 30)),
      ); // below 3
    encoder.begin();
    for (let i = 0; i < fields.length; i += 2) encoder.add(fields[i]!, fields[i + 1]!); // in pairs
    const decoded = decoder.decode(encoder.end());
    assert.ok(!(decoded instanceof HpackError), `${number}: ${JSON.stringify(decoded)}`);
    assert.ok(decoded.overLimit || decoded.fields.length === fields.length);
    assert.deepEqual(decoded.fields, fields.slice(0, decoded.fields.length), `${number}`);
  }
}

const NAMES = [
  ":method",
  ":path",
  ":status",
  "x-a",
  "x-b",
  "cookie",
  "authorization",
  "content-length",
  "date",
  "accept",
];
