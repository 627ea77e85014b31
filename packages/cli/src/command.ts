/** One word behind `heddle`. */
export interface Command {
  readonly name: string;
  /** What `heddle NAME --help` prints: usage, options with defaults, examples. Empty where a program tells of itself. */
  readonly help: string;
  /** Resolves with the exit code. A `UsageError` is printed with a pointer to `--help` and ends with 2. */
  run(args: readonly string[]): Promise<number>;
}

/** The command's words are wrong; nothing was done. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
