/** Something wrong with a file that somebody wrote. All of a file's are reported at once. */
export interface Diagnostic {
  readonly severity: "error" | "warning";
  readonly file: string;
  /** From 1; 0 where the place is the whole file. */
  readonly line: number;
  readonly column: number;
  /** "spec.rules[0].backendRefs[1].weight" */
  readonly path: string;
  /** What was found and what is allowed. */
  readonly message: string;
}

/** "shop.yaml:12:7: spec.rules[0].backendRefs[1].weight: found -1, allowed are 0 to 1000000" */
export function formatDiagnostic(d: Diagnostic): string {
  const place = d.line === 0 ? d.file : `${d.file}:${d.line}:${d.column}`;
  return d.path === "" ? `${place}: ${d.message}` : `${place}: ${d.path}: ${d.message}`;
}
