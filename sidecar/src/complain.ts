/** Tells whoever has started the program, on standard error, why it does not run: a line for each fault. */
export function complain(faults: readonly string[]): void {
  process.stderr.write(faults.map((fault) => `heddle sidecar: ${fault}\n`).join(""));
}
