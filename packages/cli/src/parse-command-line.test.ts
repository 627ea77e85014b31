import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "./command.ts";
import { parseCommandLine } from "./parse-command-line.ts";

function parse(...args: string[]) {
  return parseCommandLine(args, { allowPositionals: true, options: { port: { type: "string" } } });
}

function fault(...args: string[]): string {
  try {
    parse(...args);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.message;
  }
  return "";
}

test("options and operands are told apart", () => {
  const { values, positionals } = parse("one", "--port", "5", "two");
  assert.equal(values.port, "5");
  assert.deepEqual(positionals, ["one", "two"]);
});

test("a word that is no option is told in one sentence, with those that there are", () => {
  assert.equal(fault("--frob"), "Unknown option '--frob', allowed: --port");
  assert.equal(fault("--port"), "Option '--port <value>' argument missing");
});
