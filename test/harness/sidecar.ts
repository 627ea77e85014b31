import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, PATIENCE_MS } from "./eventually.ts";
import { projectRoot } from "./imports.ts";
import type { Owner } from "./owner.ts";

const PROGRAM = ["--conditions=heddle-src", "--disable-warning=ExperimentalWarning", "sidecar/src/main.ts"];

export interface SidecarOptions {
  readonly concurrency?: number;
  readonly drainTimeS?: number;
  /** Where relative paths of filter modules begin, and the bootstrap is written. By default a fresh folder. */
  readonly folder?: string;
  /** Of Node, before the program: `--inspect=127.0.0.1:0`. */
  readonly nodeFlags?: readonly string[];
  /** Of the program, behind those that it is always given. */
  readonly flags?: readonly string[];
  /** More variables of the environment. */
  readonly environment?: Readonly<Record<string, string>>;
  /** A program and its arguments that run the sidecar: `["prlimit", "--nofile=256:256"]`. */
  readonly wrap?: readonly string[];
  /** Lines of level error that this test provokes. Any other fails it when the sidecar ends. */
  readonly expectedErrors?: RegExp;
}

/** A folder for one test's files. Modules in it find the project's packages if it lies within the project. */
export function scratchFolder(owner: Owner, { withinProject = false } = {}): string {
  const parent = withinProject ? join(projectRoot, ".cache") : tmpdir();
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, "heddle-test-"));
  owner.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A sidecar as its own process. */
export class SidecarProcess {
  readonly process: ChildProcess;
  /** "127.0.0.1:40000" */
  admin = "";
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  #log = "";
  #ending = false;

  constructor(child: ChildProcess) {
    this.process = child;
    this.ended = new Promise((resolve) => child.once("close", (code, signal) => resolve(code ?? signal ?? "?")));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
    });
  }

  /** All that it has logged. */
  get log(): string {
    return this.#log;
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** A page of admin. */
  async page(path: string): Promise<string> {
    // A kept connection could be closed by the sidecar at the moment of the next request.
    return (await fetch(`http://${this.admin}${path}`, { headers: { connection: "close" } })).text();
  }

  /** Where a listener really listens. */
  async port(listener: string): Promise<number> {
    const found = await this.#findPort(listener);
    assert.ok(found !== undefined, `${listener} listens`);
    return found;
  }

  async listens(listener: string): Promise<boolean> {
    return (await this.#findPort(listener)) !== undefined;
  }

  /** A line of /stats; 0 where it is not there. */
  async stat(name: string): Promise<number> {
    const line = (await this.page("/stats")).split("\n").find((text) => text.startsWith(`${name}: `));
    return line === undefined ? 0 : Number(line.slice(name.length + 2));
  }

  /** What the process holds of memory, in bytes. */
  residentBytes(): number {
    const kb = /^Rss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/smaps_rollup`, "latin1"))?.[1];
    return Number(kb) * 1024;
  }

  terminate(): void {
    this.#ending = true;
    this.process.kill("SIGTERM");
  }

  /** Ends it as an operator would, and holds it to its word: exit code 0 in time, no error in its log. */
  async close(patienceMs: number, expectedErrors: RegExp | undefined): Promise<void> {
    if (this.process.exitCode === null && !this.#ending) this.terminate();
    const force = setTimeout(() => this.process.kill("SIGKILL"), patienceMs);
    const code = await this.ended;
    clearTimeout(force);
    assert.equal(code, 0, `the sidecar ends with 0 within ${patienceMs / 1000} s of SIGTERM; its log:\n${this.#log}`);
    const errors = this.#log.split("\n").filter((line) => ERROR_LINE.test(line) && !expectedErrors?.test(line));
    assert.deepEqual(errors, [], "no error is logged");
  }

  async untilReady(): Promise<void> {
    let ended = false;
    void this.ended.then(() => {
      ended = true;
    });
    await eventually(
      "the sidecar is ready",
      () => {
        assert.ok(!ended, `the sidecar ended before it was ready:\n${this.#log}`);
        return /\binfo ready\b/.test(this.#log);
      },
      60_000,
    );
    this.admin = this.#adminAddress();
  }

  /** Before it is ready, too. */
  async untilAdmin(): Promise<void> {
    await eventually("admin is up", () => this.#adminAddress() !== "", 60_000);
    this.admin = this.#adminAddress();
  }

  #adminAddress(): string {
    return /admin is up address=(\S+)/.exec(this.#log)?.[1] ?? "";
  }

  async #findPort(listener: string): Promise<number | undefined> {
    const line = (await this.page("/listeners")).split("\n").find((text) => text.startsWith(`${listener}::`));
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(":") + 1));
  }
}

const ERROR_LINE = /^\S+ error /;

/**
 * Starts the program from source; it ends, and is checked, when its owner does. Does not wait until it is ready. Without a
 * bootstrap flags say everything.
 */
export function spawnSidecar(
  bootstrap: object | undefined,
  owner: Owner,
  options: SidecarOptions = {},
): SidecarProcess {
  const { concurrency = 1, drainTimeS = 1, folder = scratchFolder(owner), expectedErrors } = options;
  const { nodeFlags = [] } = options;
  const file = join(folder, "bootstrap.json");
  if (bootstrap !== undefined) writeFileSync(file, JSON.stringify(bootstrap, null, 2));
  const flags = ["--concurrency", concurrency, "--drain-time-s", drainTimeS, "--admin-address", "127.0.0.1:0"];
  const { wrap: [program, ...before] = [] } = options;
  const child = spawn(
    program ?? process.execPath,
    [
      ...before,
      ...(program === undefined ? [] : [process.execPath]),
      ...nodeFlags,
      ...PROGRAM,
      ...(bootstrap === undefined ? [] : ["-c", file]),
      ...flags.map(String),
      ...(options.flags ?? []),
    ],
    {
      cwd: projectRoot,
      env: { ...process.env, ...options.environment },
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  const sidecar = new SidecarProcess(child);
  owner.after(() => sidecar.close(drainTimeS * 1000 + PATIENCE_MS, expectedErrors));
  return sidecar;
}

export async function startSidecar(
  bootstrap: object | undefined,
  owner: Owner,
  options: SidecarOptions = {},
): Promise<SidecarProcess> {
  const sidecar = spawnSidecar(bootstrap, owner, options);
  await sidecar.untilReady();
  return sidecar;
}
