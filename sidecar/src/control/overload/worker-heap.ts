const MIN_HEAP_MB = 64;
const MAX_HEAP_MB = 4096;

/**
 * The most that a worker's heap may grow to, in MiB: half of the memory limit for all workers together, since buffers and the
 * control thread live beside them. V8's own default goes by the machine's memory, which in a small container ends with the
 * kernel's killing the whole process; a heap that is full ends one worker. Undefined without a limit: V8's default.
 */
export function workerHeapMb(limitBytes: number | undefined, workers: number): number | undefined {
  if (limitBytes === undefined) return undefined;
  const share = Math.floor(limitBytes / 2 / workers / (1 << 20));
  return Math.min(MAX_HEAP_MB, Math.max(MIN_HEAP_MB, share));
}
