/** A message with a few faults in it. The same for the same number. A character is a byte. */
export function mutant(seeds: readonly string[], pieces: readonly string[], number: number): string {
  const random = generator(number);
  let text = seeds[random() % seeds.length]!;
  for (let faults = 1 + (random() % 3); faults > 0; faults--) {
    const at = random() % (text.length + 1);
    const piece = pieces[random() % pieces.length]!;
    const length = 1 + (random() % 8);
    const changes = [
      () => text.slice(0, at) + piece + text.slice(at),
      () => text.slice(0, at) + piece + text.slice(at + 1),
      () => text.slice(0, at) + text.slice(at + length),
      () => text.slice(0, at) + text.slice(at, at + length) + text.slice(at),
      () => text.slice(0, at) + String.fromCharCode(random() & 0xff) + text.slice(at + 1),
    ];
    text = changes[random() % changes.length]!();
  }
  return text;
}

/** Pieces that mean something to one reader or another. */
export const PIECES: readonly string[] = [
  ..."\0 \t \n \r \r\n \x0b \x0c \x7f \x80 \xa0 \xff : , ; = 0 1 5 a f x / \\ # ? @ [ ] \" ' - + _ . % *".split(" "),
  " ",
  "\r\n\r\n",
  "\r\n ",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: identity\r\n",
  "Connection: close\r\n",
  "0\r\n\r\n",
  "5\r\nhello\r\n",
  "HTTP/1.1",
  "chunked",
];

/** xorshift32 */
function generator(seed: number): () => number {
  let state = Math.imul(seed, 0x9e37_79b1) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0);
  };
}
