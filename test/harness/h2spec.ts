import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { projectRoot } from "./imports.ts";

/**
 * The conformance tool, with what it is built of: its own release names no versions. `go.sum` is not kept: what is downloaded
 * is checked against the sums that Go publishes.
 */
const GO_MOD = `module conformance

go 1.21

require (
	github.com/fatih/color v1.19.0
	github.com/spf13/cobra v1.10.2
	github.com/summerwind/h2spec v2.2.1+incompatible
	golang.org/x/net v0.17.0
)
`;

export interface H2spec {
  /** Plays a client and judges a server. */
  readonly client: string;
  /** Plays servers and judges a client. */
  readonly server: string;
}

/** Builds the tool once, into the cache; a reason where that cannot be. */
export function buildH2spec(): H2spec | string {
  const folder = join(projectRoot, ".cache/h2spec-2.2.1");
  const tools: H2spec = { client: join(folder, "h2spec"), server: join(folder, "h2specd") };
  if (existsSync(tools.client) && existsSync(tools.server)) return tools;
  if (spawnSync("go", ["version"]).status !== 0) return "go, which builds h2spec, is not installed";
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "go.mod"), GO_MOD);
  const packages = ["h2spec", "h2specd"].map((name) => `github.com/summerwind/h2spec/cmd/${name}`);
  const built = spawnSync("go", ["build", "-mod=mod", "-o", `${folder}/`, ...packages], {
    cwd: folder,
    encoding: "utf8",
    timeout: 300_000,
  });
  if (built.status !== 0) return `h2spec cannot be built: ${built.stderr.trim().split("\n").at(-1)}`;
  return tools;
}

export interface H2specResult {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** All that was said, for the message of a test that fails. */
  readonly output: string;
}

/** Runs one of the tools to its end. */
export async function runH2spec(program: string, ...args: readonly string[]): Promise<H2specResult> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      // h2specd's own listeners, after their end
      if (output.length < 1 << 20) output += text.replace(/^accept tcp .*\n/gm, "");
    });
  await new Promise((resolve) => child.once("close", resolve));
  const [, passed, skipped, failed] = /tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(output) ?? [];
  return { passed: Number(passed), skipped: Number(skipped), failed: Number(failed), output };
}

/** So many ports in a row on which nobody listens. Somebody may take one before they are used. */
export async function freePortsInARow(count: number): Promise<number> {
  for (let from = 20_000; from < 32_000; from += count) {
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(from + i)));
    if (free.every(Boolean)) return from;
  }
  throw new Error(`no ${count} ports in a row are free`);
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once("error", () => resolve(false));
  server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  return promise;
}
