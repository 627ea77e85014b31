/** A few ways in which the same bytes may arrive: at once, byte by byte, and in pieces that `seed` decides. */
export function* waysToCut(text: string): Generator<{ readonly way: string; readonly pieces: string[] }> {
  yield { way: "at once", pieces: [text] };
  yield { way: "byte by byte", pieces: text.split("") };
  for (let seed = 1; seed <= 4; seed++) yield { way: `in pieces (seed ${seed})`, pieces: cut(text, seed) };
}

function cut(text: string, seed: number): string[] {
  const pieces: string[] = [];
  let state = seed * 2_654_435_761;
  for (let at = 0; at < text.length; ) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const length = 1 + ((state >>> 16) % 23);
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}

/** Gives the bytes as a socket does, in a buffer that is overwritten as soon as the call returns. */
export function receiveReused(connection: { receive(bytes: Uint8Array): void }, piece: string | Uint8Array): void {
  const bytes = typeof piece === "string" ? Buffer.from(piece, "latin1") : Buffer.from(piece);
  connection.receive(bytes);
  bytes.fill(0x21);
}
