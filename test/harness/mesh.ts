import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "./imports.ts";
import type { Owner } from "./owner.ts";

/** What `heddle up --json` prints. */
export interface MeshAddresses {
  readonly controlPlane: {
    readonly xdsPort: number;
    readonly adminPort: number;
    readonly apiPort: number;
    readonly pid: number;
  };
  readonly workloads: readonly {
    readonly name: string;
    readonly url: string;
    readonly publicPort: number;
    readonly applicationPort: number;
    readonly outboundPort: number;
    readonly adminPort: number;
    readonly sidecarPid: number;
    readonly applicationPid: number;
  }[];
}

export interface RunningMesh {
  readonly process: ChildProcess;
  readonly addresses: MeshAddresses;
  /** A copy of the example that the test may change. */
  readonly folder: string;
  /** Everything printed so far. */
  output(): string;
}

export const heddleBin = join(projectRoot, "packages/cli/bin/heddle.mjs");

/** A copy of a folder of the project, removed when its owner ends. */
export function copyOf(folder: string, owner: Owner): string {
  const copy = mkdtempSync(join(tmpdir(), "heddle-test-"));
  cpSync(join(projectRoot, folder), copy, { recursive: true });
  owner.after(() => rmSync(copy, { recursive: true, force: true }));
  return copy;
}

/** Runs `heddle up` on a copy of an example until its owner ends. */
export async function startMesh(example: string, owner: Owner): Promise<RunningMesh> {
  const folder = copyOf(example, owner);
  const child = spawn(process.execPath, [heddleBin, "up", folder, "--json", "--any-port"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, XDG_STATE_HOME: join(folder, ".state") },
  });
  let output = "";
  const addresses = Promise.withResolvers<MeshAddresses>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      output += chunk;
      const line = /^\{.*\}$/m.exec(output)?.[0];
      if (line !== undefined) addresses.resolve(JSON.parse(line) as MeshAddresses);
    });
  }
  child.once("exit", (code, signal) =>
    addresses.reject(new Error(`heddle up ended with ${code ?? signal}:\n${output}`)),
  );
  addresses.promise.catch(() => {}); // an exit after the table is ordinary
  owner.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGINT");
    await ended;
  });
  return { process: child, addresses: await addresses.promise, folder, output: () => output };
}
