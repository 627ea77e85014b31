import type { Diagnostic } from "@heddle/config";

/** Where an object, or a part of one, was written. Kept for diagnostics that need more than one object. */
export interface Origin {
  readonly file: string;
  /** From 1; 0 of what stands in no file. */
  readonly line: number;
  readonly column: number;
  /** Of the part within its document, "" for the object itself: "spec.rules[0].backendRefs[1]". */
  readonly path: string;
}

/** "shop.yaml:12" */
export function formatOrigin({ file, line }: Origin): string {
  return line === 0 ? file : `${file}:${line}`;
}

export function diagnosticAt(origin: Origin, severity: Diagnostic["severity"], message: string): Diagnostic {
  return { severity, ...origin, message };
}
