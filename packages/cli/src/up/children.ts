import type { Clock } from "@heddle/base";
import { type ProcessToRun, Supervisor } from "./supervisor.ts";

const STOP_WITHIN_MS = 5000;
const START_AGAIN_AFTER_MS = 200;
/** Somebody who ends more often than this within the time below will not get well by being started again. */
const MAX_ENDS = 5;
const ENDS_WITHIN_MS = 20_000;
const REMEMBERED_LINES = 40;

export interface ChildOptions extends Pick<ProcessToRun, "cwd"> {
  /** Asked for at each start where it is a function. */
  readonly env?: ProcessToRun["env"] | (() => NonNullable<ProcessToRun["env"]>);
}

/**
 * The mesh's processes, by name. One that ends unasked is started again, so that a control plane that is killed comes
 * back; one that keeps ending makes the mesh fail.
 */
export class Children {
  readonly #supervisor = new Supervisor();
  readonly #clock: Clock;
  readonly #print: (line: string) => void;
  readonly #showLogs: boolean;
  readonly #failed = Promise.withResolvers<string>();
  readonly #recent: string[] = [];
  readonly #endedAt = new Map<string, number[]>();
  #stopping = false;

  constructor(options: { readonly clock: Clock; readonly print: (line: string) => void; readonly showLogs: boolean }) {
    this.#clock = options.clock;
    this.#print = options.print;
    this.#showLogs = options.showLogs;
  }

  /** Resolves with who keeps ending, and how. */
  get failed(): Promise<string> {
    return this.#failed.promise;
  }

  /** Starts it and returns its process id; 0 where it could not be started. */
  start(name: string, argv: readonly [string, ...string[]], more: ChildOptions = {}): number {
    const onUnexpectedExit = (how: string): void => this.#ended(name, how, () => this.start(name, argv, more));
    const { cwd, env } = more;
    return (
      this.#supervisor.start({
        name,
        argv,
        ...(cwd !== undefined && { cwd }),
        ...(env !== undefined && { env: typeof env === "function" ? env() : env }),
        onLine: (line) => this.#heard(`${name} | ${line}`),
        onUnexpectedExit,
      }).pid ?? 0
    );
  }

  /** What the processes printed of late: for a person who looks for the reason of a failure. */
  printRecent(): void {
    for (const line of this.#recent) this.#print(`  ${line}`);
  }

  stop(): Promise<void> {
    this.#stopping = true;
    return this.#supervisor.stop(STOP_WITHIN_MS, (delayMs, callback) => this.#clock.after(delayMs, callback));
  }

  #ended(name: string, how: string, startAgain: () => void): void {
    const now = this.#clock.now();
    const ends = [...(this.#endedAt.get(name) ?? []).filter((at) => now - at < ENDS_WITHIN_MS), now];
    this.#endedAt.set(name, ends);
    if (ends.length >= MAX_ENDS) {
      this.#failed.resolve(`${name} ${how}, the ${ends.length}th time in ${ENDS_WITHIN_MS / 1000} s`);
      return;
    }
    this.#print(`${name} ${how}; it is started again`);
    this.#clock.after(START_AGAIN_AFTER_MS, () => {
      if (!this.#stopping) startAgain();
    });
  }

  #heard(line: string): void {
    if (this.#showLogs) this.#print(line);
    this.#recent.push(line);
    if (this.#recent.length > REMEMBERED_LINES) this.#recent.shift();
  }
}
