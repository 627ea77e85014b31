import {
  type ApiDiagnostic,
  type BatchResponse,
  formatApiDiagnostic,
  formatKey,
} from "@heddle/control-plane/resource-api";
import type { Paint } from "../paint.ts";
import type { CallFailure } from "./resource-client.ts";

/** The command line is wrong, or nobody answers. */
export const EXIT_UNREACHABLE = 2;
/** What was sent is wrong, or may not be done. */
const EXIT_REFUSED = 1;
/** Somebody else was first. */
const EXIT_CONFLICT = 3;

export const EXIT_HELP = `Ends with 0 when it is done, 1 when it was refused, 2 when the command line is wrong or nobody answers, 3 when a version
that was expected is not there any more.`;

/** A line for each resource: "cluster/backend created (version 12)". */
export function formatOutcomes({ outcomes }: BatchResponse, dryRun: boolean, paint: Paint): string[] {
  return outcomes.map(({ key, outcome, version }) => {
    const word = outcome === "unchanged" ? outcome : paint("green", outcome);
    const at = dryRun || outcome === "deleted" || version === 0 ? "" : ` (version ${version})`;
    return `${formatKey(key)} ${word}${at}${dryRun ? " (dry run)" : ""}`;
  });
}

export function formatDiagnostics(diagnostics: readonly ApiDiagnostic[], paint: Paint): string[] {
  return diagnostics.map((one) => {
    const word = one.severity === "error" ? paint("red", "error") : paint("yellow", "warning");
    return `${word}: ${formatApiDiagnostic(one)}`;
  });
}

/** Says on standard error why nothing was done. Returns the exit code. */
export function reportFailure(failure: CallFailure, paint: Paint): number {
  if (failure.type === "unreachable") {
    console.error(failure.message);
    return EXIT_UNREACHABLE;
  }
  const { code, message, diagnostics = [], retryAfterS } = failure.error;
  for (const line of formatDiagnostics(diagnostics, paint)) console.error(line);
  console.error(`${paint("red", "error")}: ${message}`);
  if (code === "UNAUTHENTICATED") console.error("name a token with --token-file or HEDDLE_TOKEN");
  if (retryAfterS !== undefined) console.error(`try again in ${retryAfterS} s`);
  if (code === "UNAVAILABLE") return EXIT_UNREACHABLE;
  return code === "ABORTED" ? EXIT_CONFLICT : EXIT_REFUSED;
}
