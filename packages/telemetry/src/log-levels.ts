import type { LogLevel } from "./log.ts";

/**
 * The level of each logger of a program, which an operator may change while it runs. A logger is what `log.with({ part })`
 * names, or the name that a log was made with.
 */
export class LogLevels {
  #all: LogLevel;
  readonly #own = new Map<string, LogLevel>();

  constructor(all: LogLevel) {
    this.#all = all;
  }

  levelOf(logger: string): LogLevel {
    return this.#own.get(logger) ?? this.#all;
  }

  set(logger: string, level: LogLevel): void {
    this.#own.set(logger, level);
  }

  /** Of every logger, whatever it had of its own. */
  setAll(level: LogLevel): void {
    this.#all = level;
    this.#own.clear();
  }
}
