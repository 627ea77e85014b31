import { type Diagnostic, formatDiagnostic } from "@heddle/config";
import type { Log } from "@heddle/telemetry";

/** Writes what is wrong with the configuration to the log: each fault when it comes, and once more when all are mended. */
export class DiagnosticLog {
  readonly #log: Log;
  #shown = new Set<string>();

  constructor(log: Log) {
    this.#log = log;
  }

  show(diagnostics: readonly Diagnostic[]): void {
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
