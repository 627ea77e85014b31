import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nodeAgainstOurServer, ourClientAgainstNode, plan } from "../fuzz/h2-exchanges.ts";
import { checkAgainstNode, checkCuts, checkServerCuts } from "../fuzz/h2-mutants.ts";

/* A short run of what `npm run fuzz` does for as long as it is let: the same cases each time. */

const RUNS = { seed: 9113, numRuns: 80 } as const;

test("what our client and a server of node:http2 send each other arrives as it was sent", async () => {
  await fc.assert(fc.asyncProperty(plan, ourClientAgainstNode), RUNS);
});

test("what a client of node:http2 and our server send each other arrives as it was sent", async () => {
  await fc.assert(fc.asyncProperty(plan, nodeAgainstOurServer), RUNS);
});

test("of 300 clients with faults in their frames each is decided alike however its bytes are cut", () => {
  for (let number = 1; number <= 300; number++) checkCuts(number);
});

test("of 300 servers with faults in their frames, too", () => {
  for (let number = 1; number <= 300; number++) checkServerCuts(number);
});

test("of 250 clients with faults in their frames none has another meaning for us than for node:http2", async () => {
  let faultless = 0;
  for (let number = 1; number <= 250; number++) if (await checkAgainstNode(number)) faultless++;
  assert.ok(faultless > 40, `${faultless} had no fault for either`);
});
