import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { promisify } from "node:util";
import type { Owner } from "./owner.ts";

const run = promisify(execFile);

/**
 * A program of another language that is a client and a server: `serve` prints its port and serves until it is ended, `call
 * PORT` prints a line of JSON for each of its cases.
 */
export type ForeignPeer = readonly [program: string, ...args: string[]];

/** The port that it listens on; it ends with its owner. */
export async function serveForeign([program, ...args]: ForeignPeer, owner: Owner): Promise<number> {
  const child = spawn(program, [...args, "serve"], { stdio: ["ignore", "pipe", "inherit"] });
  owner.after(async () => {
    const ended = once(child, "exit");
    if (child.kill("SIGTERM")) await ended;
  });
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  return Number(line);
}

interface CaseResult {
  readonly case: string;
  readonly error: string | null;
}

/** Runs its cases against a port: a subtest for each. Resolves to their names. */
export async function callForeign(
  [program, ...args]: ForeignPeer,
  port: number,
  t: TestContext,
): Promise<readonly string[]> {
  const { stdout } = await run(program, [...args, "call", String(port)], { timeout: 180_000 });
  const lines = stdout.trim().split("\n");
  const results = lines.map((line) => JSON.parse(line) as CaseResult);
  for (const result of results) await t.test(result.case, () => assert.equal(result.error, null, result.error ?? ""));
  return results.map((result) => result.case);
}
