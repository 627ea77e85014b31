/** Heads and small bodies of one turn fit in; a large chunk is not copied in but sent beside it. */
export const OUTPUT_BUFFER_BYTES = 32 * 1024;

/** A worker writes to few connections in one turn; what is more than this goes to the garbage collector. */
const MAX_KEPT = 64;

/**
 * `latin1Write` is in no typings. `write` comes to it too, and costs twice as much: 310 instructions before it knows what its arguments
 * mean.
 */
export interface OutputBuffer extends Buffer {
  latin1Write(text: string, offset: number, length: number): number;
}

const free: OutputBuffer[] = [];

/**
 * Output buffers of a thread. A connection holds one from its first write in a turn until the turn's flush, so an idle
 * connection holds none.
 */
export function takeOutputBuffer(): OutputBuffer {
  return free.pop() ?? (Buffer.allocUnsafeSlow(OUTPUT_BUFFER_BYTES) as OutputBuffer);
}

export function giveOutputBuffer(buffer: OutputBuffer): void {
  if (free.length < MAX_KEPT) free.push(buffer);
}
