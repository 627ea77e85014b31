import { type ChildProcess, spawn } from "node:child_process";

export interface ProcessToRun {
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Called with each line of its stdout and stderr. */
  readonly onLine: (line: string) => void;
  /** It ended although nobody had asked for it. */
  readonly onUnexpectedExit: (how: string) => void;
}

/**
 * Owns child processes: all of them end when it is stopped. First SIGTERM and time to finish, then SIGKILL. Children
 * share the group of this process, so that whoever ends the group ends them too.
 */
export class Supervisor {
  readonly #running = new Map<ChildProcess, ProcessToRun>();
  #stopping = false;

  start(process_: ProcessToRun): ChildProcess {
    const [command, ...args] = process_.argv;
    const child = spawn(command, args, {
      cwd: process_.cwd,
      env: { ...process.env, ...process_.env },
      // stdin is a pipe that nobody writes to: our programs see its end when this process dies, however it dies.
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.on("error", () => {}); // EPIPE of a child that is gone; its exit is reported by itself
    this.#running.set(child, process_);
    for (const stream of [child.stdout, child.stderr]) forEachLine(stream, process_.onLine);
    child.once("error", (error) => this.#ended(child, `could not be started: ${error.message}`));
    child.once("exit", (code, signal) =>
      this.#ended(child, signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`),
    );
    return child;
  }

  /** Resolves when every child has ended. */
  async stop(graceMs: number, after: (delayMs: number, callback: () => void) => { cancel(): void }): Promise<void> {
    this.#stopping = true;
    const children = [...this.#running.keys()];
    const ended = children.map(
      (child) =>
        new Promise<void>((resolve) =>
          child.exitCode !== null || child.signalCode !== null ? resolve() : child.once("exit", () => resolve()),
        ),
    );
    for (const child of children) child.kill("SIGTERM");
    const force = after(graceMs, () => {
      for (const child of children) child.kill("SIGKILL");
    });
    await Promise.all(ended);
    force.cancel();
  }

  #ended(child: ChildProcess, how: string): void {
    const process_ = this.#running.get(child);
    if (process_ === undefined) return;
    this.#running.delete(child);
    if (!this.#stopping) process_.onUnexpectedExit(how);
  }
}

function forEachLine(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
  stream.on("end", () => {
    if (rest !== "") onLine(rest);
  });
}
