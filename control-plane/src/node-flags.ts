/** What Node is given to run the control plane's program, before the program's file: by `heddle`, and by its bench. */
export const NODE_FLAGS: readonly string[] = [
  // Half-spaces of the young generation, in MiB. With V8's own a thousand sidecars on a stream each took 127 MB above idle, of which
  // most was room that had once been needed; so 59, for a tenth more of the CPU that connecting and reconnecting take.
  "--max-semi-space-size=4",
];
