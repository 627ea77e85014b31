import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";

describe("the control plane's program", { timeout: 60_000 }, () => {
  let folder = "";
  const children: ChildProcess[] = [];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "heddle-main-"));
  });
  after(() => rm(folder, { recursive: true }));
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });

  const run = (...words: readonly string[]): Program => {
    const child = spawn(
      process.execPath,
      [
        ...process.execArgv.filter((flag) => flag.startsWith("--conditions")),
        join(import.meta.dirname, "main.ts"),
        ...words,
      ],
      { env: { ...process.env, XDG_STATE_HOME: join(folder, "state") } },
    );
    children.push(child);
    return new Program(child);
  };
  const anyPorts = ["--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"];

  it("statement 80: leaves no core dump, which would hold keys", async (t) => {
    const limits = `/proc/self/limits`;
    if (!existsSync(limits)) return t.skip("this system has no /proc");
    const program = run("--config", folder, ...anyPorts);
    await program.says(/control plane is up/);
    const text = readFileSync(limits.replace("self", String(program.child.pid)), "utf8");
    assert.match(text, /^Max core file size +0 +0 /m);
    program.child.kill("SIGTERM");
    await program.exitCode();
  });

  it("runs until it is told to stop, and ends with 0", async () => {
    const program = run("--config", folder, ...anyPorts);
    await program.says(/control plane is up/);
    program.child.kill("SIGTERM");
    assert.equal(await program.exitCode(), 0);
    assert.match(program.output, /control plane stops reason=SIGTERM/);
  });

  it("ends when its parent does, if it was asked to", async () => {
    const program = run("--config", folder, ...anyPorts, "--exit-with-parent");
    await program.says(/control plane is up/);
    program.child.stdin?.end(); // what the kernel does when the parent is killed
    assert.equal(await program.exitCode(), 0);
  });

  it("refuses a store that is damaged, and ends with 1", async () => {
    const directory = join(folder, "damaged");
    await mkdir(directory);
    await writeFile(join(directory, "log-0000000000000000"), "no head of a log");
    const program = run("--store", directory, ...anyPorts);
    assert.equal(await program.exitCode(), 1);
    assert.match(program.output, /log-0000000000000000 is damaged at byte 0: .*--store-accept-data-loss/);
  });

  it("names a port that is taken, and ends with 1", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const program = run("--config", folder, "--xds-address", `127.0.0.1:${port}`, "--admin-address", "127.0.0.1:0");
    assert.equal(await program.exitCode(), 1);
    taken.close();
    assert.match(
      program.output,
      new RegExp(`xDS: 127\\.0\\.0\\.1:${port} is taken by another process; choose another with --xds-address`),
    );
  });

  it("says what is wrong with its words, and ends with 2", async () => {
    const program = run("--confg", folder);
    assert.equal(await program.exitCode(), 2);
    assert.match(program.output, /'--confg'/);
  });

  it("prints its help and its version", async () => {
    const [help, version] = [run("--help"), run("--version")];
    assert.deepEqual([await help.exitCode(), await version.exitCode()], [0, 0]);
    assert.match(help.output, /Usage: heddle control-plane/);
    assert.match(version.output, /^heddle control-plane \d+\.\d+\.\d+\n$/);
  });
});

class Program {
  readonly child: ChildProcess;
  output = "";
  readonly #closed: Promise<unknown>;
  #wake: () => void = () => {};

  constructor(child: ChildProcess) {
    this.child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
        this.#wake();
      });
    this.#closed = once(child, "close").then(() => this.#wake());
  }

  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.output)) {
      assert.equal(this.child.exitCode, null, this.output);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async exitCode(): Promise<number | null> {
    await this.#closed;
    return this.child.exitCode;
  }
}
