import type { Clock, Timer } from "@heddle/base";
import { type Diagnostic, formatDiagnostic } from "@heddle/config";
import type { Log } from "@heddle/telemetry";

/** Longer than the sidecars of a large mesh take to accept a change. */
const LOOK_AFTER_MS = 500;

/**
 * Writes what is wrong with the configuration to the log: each fault when it comes, and once more when all are mended.
 *
 * What is wrong between objects takes looking at all of them, 15 ms in a mesh of 10,000 endpoints, in which responses to sidecars
 * would wait to be sent. So a change is looked at a moment later, and many that follow each other once.
 */
export class DiagnosticLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #read: () => readonly Diagnostic[];
  #shown = new Set<string>();
  #timer: Timer | undefined;

  /** @param read what is wrong now */
  constructor(log: Log, clock: Clock, read: () => readonly Diagnostic[]) {
    this.#log = log;
    this.#clock = clock;
    this.#read = read;
  }

  /** Something may be wrong, or be mended. */
  changed(): void {
    this.#timer ??= this.#clock.after(LOOK_AFTER_MS, () => this.#look(), true);
  }

  /** What has changed is still told. */
  close(): void {
    if (this.#timer === undefined) return;
    this.#timer.cancel();
    this.#look();
  }

  #look(): void {
    this.#timer = undefined;
    const diagnostics = this.#read();
    const before = this.#shown;
    this.#shown = new Set(diagnostics.map(formatDiagnostic));
    for (const diagnostic of diagnostics) {
      const text = formatDiagnostic(diagnostic);
      if (before.has(text)) continue;
      if (diagnostic.severity === "error") this.#log.error(text);
      else this.#log.warn(text);
    }
    if (before.size > 0 && this.#shown.size === 0) this.#log.info("the configuration has no faults any more");
  }
}
