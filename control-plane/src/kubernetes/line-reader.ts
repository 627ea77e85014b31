/** One line of a watch, without its end. */
export type Line = string;

const LINE_FEED = 0x0a;

/** Cuts bytes into lines of UTF-8, however they come. Throws a `RangeError` at a line of more bytes than are allowed. */
export class LineReader {
  readonly #maxBytes: number;
  readonly #onLine: (line: Line) => void;
  /** Of a line whose end has not come. */
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(maxBytes: number, onLine: (line: Line) => void) {
    this.#maxBytes = maxBytes;
    this.#onLine = onLine;
  }

  push(chunk: Uint8Array): void {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      this.#take(chunk.subarray(start, end));
      this.#emit();
      start = end + 1;
    }
    if (start < chunk.length) this.#take(chunk.subarray(start));
  }

  /** What stands behind the last line feed is a line too: JSON that is cut off will be seen as such. */
  end(): void {
    this.#emit();
  }

  #take(part: Uint8Array): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#maxBytes) throw new RangeError(`a line of more than ${this.#maxBytes} bytes`);
    if (part.length > 0) this.#parts.push(part);
  }

  #emit(): void {
    const [only, ...more] = this.#parts;
    this.#parts = [];
    this.#bytes = 0;
    if (only === undefined) return;
    const bytes = more.length === 0 ? only : Buffer.concat([only, ...more]);
    this.#onLine(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString());
  }
}
