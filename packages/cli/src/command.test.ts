import assert from "node:assert/strict";
import { test } from "node:test";
import { parseArgs } from "node:util";
import { usageErrorOf } from "./command.ts";

function fault(...args: string[]): string {
  try {
    parseArgs({ args, options: { port: { type: "string" } }, allowPositionals: true });
  } catch (error) {
    return usageErrorOf(error).message;
  }
  return "";
}

test("a word that is no option is told in one sentence", () => {
  assert.equal(fault("--frob"), "Unknown option '--frob'");
  assert.equal(fault("--port"), "Option '--port <value>' argument missing");
});
