import { err, ok, type Result } from "./result.ts";

// Gateway API GEP-2257 and proto JSON between them allow: "1h30m", "10s", "1.5s", "500ms", "0s".
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
const PART = /^(\d+(?:\.\d+)?)(h|ms|m|s)/;

/** Reads "1h30m", "1.5s", "250ms". Milliseconds; fractions are kept. */
export function parseDurationMs(text: string): Result<number, string> {
  let rest = text;
  let total = 0;
  while (rest !== "") {
    const part = PART.exec(rest);
    if (part === null) return err(`"${text}" is not a duration; write for example "1.5s", "250ms" or "1h30m"`);
    total += Number(part[1]) * (UNIT_MS[part[2]!] ?? 0); // the pattern has only units of the table
    rest = rest.slice(part[0].length);
  }
  return text === "" ? err('"" is not a duration; write for example "1.5s"') : ok(total);
}

/** The shortest exact form: "1.5s", "250ms", "2m". */
export function formatDuration(ms: number): string {
  if (ms !== 0 && ms % 60_000 === 0) return `${ms / 60_000}m`;
  return ms >= 1000 || ms === 0 ? `${ms / 1000}s` : `${ms}ms`;
}
