/** What Node is given to run the control plane's program, before the program's file: by `heddle`, and by its bench. */
export const NODE_FLAGS: readonly string[] = [
  // Half-spaces of the young generation, in MiB. With 1000 sidecars on a stream each: V8's own keep 112 to 127 MB above idle, most of
  // it room that had once been needed; 4 keep 70 and take 343 ms of CPU to bring one endpoint's change to all of them; 16 keep 75
  // and take 217 (bench control-plane, quiet machine).
  "--max-semi-space-size=16",
];
