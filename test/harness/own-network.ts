import { spawnSync } from "node:child_process";
import { test } from "node:test";

/**
 * Runs a test file in a network namespace of its own, in which it and all that it starts may set rules: the first time the file is
 * run it runs itself again in there, with the same output, and defines no test. The namespace goes with its last process.
 *
 *     if (inOwnNetwork(import.meta.filename)) describe(…)
 *
 * Where there can be none, it defines one test that is skipped, with the reason.
 */
export function inOwnNetwork(file: string): boolean {
  if (process.env[INSIDE] === file) return true;
  const missing = whyNot();
  if (missing !== undefined) {
    test(`${file} runs in a network of its own`, { skip: missing }, () => undefined);
    return false;
  }
  const { status, signal } = spawnSync("unshare", ["--net", process.execPath, ...process.execArgv, file], {
    stdio: "inherit",
    env: { ...process.env, [INSIDE]: file },
  });
  process.exitCode = signal === null ? (status ?? 1) : 1;
  return false;
}

/** Runs a program in this namespace; throws what it says where it fails. */
export function run(program: string, args: readonly string[], input = ""): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { input, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stderr}`);
  return stdout;
}

/** "ip", then "link set lo up". */
export function ip(command: string): string {
  return run("ip", command.split(" "));
}

/** A table of nftables, in its own syntax. */
export function nft(rules: string): void {
  run("nft", ["-f", "-"], rules);
}

function whyNot(): string | undefined {
  if (process.getuid?.() !== 0) return "it needs root";
  for (const [program, ...args] of [
    ["unshare", "--net", "true"],
    ["ip", "-V"],
    ["nft", "--version"],
  ] as const) {
    if (spawnSync(program, args).status !== 0) return `it needs ${program}`;
  }
  return undefined;
}

const INSIDE = "HEDDLE_TEST_NETWORK";
