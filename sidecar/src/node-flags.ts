/**
 * What Node is given to run the sidecar's program, before the program's file: what `heddle sidecar` gives, and what
 * `npm run bench -- path` measures. Tried, and not worth their place: --single-threaded-gc and --v8-pool-size=1 (within
 * noise), --optimize-for-size (4 MB for 25 % more CPU at the start), a compile cache (a start that is
 * 5 % faster, where there is a folder for it that can be written).
 */
export const NODE_FLAGS: readonly string[] = [
  // Half-spaces of the control thread's young generation, in MiB; workers have their own (`WorkerThread`). Idle with ADS 5 MB less private
  // dirty than with 4, and with 20,000 endpoints 22 MB less than with V8's 16, for 3 to 5 % of the CPU that reads them.
  "--max-semi-space-size=1",
  // A traffic worker has its young generation collected between slices of configuration (`Slices`).
  "--expose-gc",
  // That, while the old generation is being marked: otherwise V8 marks the rest of it at once, in the same pause. 14 to 24 ms of a worker's
  // CPU with 25 to 35 MB, with this 2 to 5. Later versions of V8 do not know the flag, and Node would not start with it.
  ...(process.versions.v8.startsWith("13.") ? ["--no-separate-gc-phases"] : []),
  // A thread collects its young generation by itself. Where the cores are busy it waits longer for those that help it than they save: of
  // the longest turn while 1,000 clusters come 1.6 ms in place of 5.7 (medians of three and five rounds); an exchange costs 1 % less.
  "--no-parallel-scavenge",
];

/**
 * Environment of the sidecar's process, under what the environment says already. One malloc arena for all threads instead of one
 * for each: 3 MB less (private dirty, idle with ADS) and 6 MB less after load; the threads hardly ever allocate at the same time.
 */
export const NODE_ENVIRONMENT: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: "1" };
