/** Numbers of 32 bits, the same for the same seed: xorshift32. */
export function generator(seed: number): () => number {
  let state = (seed ^ 0x9e37_79b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0);
  };
}

/** Mostly small, now and then beyond every buffer that a proxy has. */
export function sizeOf(random: () => number): number {
  const most = [0, 10, 200, 8 * 1024, 33 * 1024, 300 * 1024][random() % 6]!;
  return most === 0 ? 0 : random() % most;
}

export function randomBytes(random: () => number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i + 4 <= length; i += 4) bytes.writeUInt32LE(random(), i);
  return bytes;
}

/** A body in about so many pieces; all of it where that is 0. */
export function pieces(body: Buffer, count: number): Buffer[] {
  if (body.length === 0) return [];
  const size = Math.ceil(body.length / Math.max(count, 1));
  return Array.from({ length: Math.ceil(body.length / size) }, (_, i) => body.subarray(i * size, (i + 1) * size));
}
