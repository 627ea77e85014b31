/** Heads and small bodies of one turn fit in; a large chunk is not copied in but sent beside it. */
export const OUTPUT_BUFFER_BYTES = 32 * 1024;

/** A worker writes to few connections in one turn; what is more than this goes to the garbage collector. */
const MAX_KEPT = 64;

const free: Buffer[] = [];

/**
 * Output buffers of a thread. A connection holds one from its first write in a turn until the turn's flush, so an idle
 * connection holds none.
 */
export function takeOutputBuffer(): Buffer {
  return free.pop() ?? Buffer.allocUnsafeSlow(OUTPUT_BUFFER_BYTES);
}

export function giveOutputBuffer(buffer: Buffer): void {
  if (free.length < MAX_KEPT) free.push(buffer);
}
