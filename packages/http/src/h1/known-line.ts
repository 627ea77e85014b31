import { KnownText } from "./known-text.ts";

/** A first line that has been read and found good, with its CRLF, and what it says. */
export interface KnownLine<Line> {
  readonly text: KnownText;
  readonly line: Line;
}

/** What connections of one role share. */
export class LatestLine<Line> {
  known: KnownLine<Line> | undefined = undefined;
  #bytes: Uint8Array | undefined = undefined;
  #view: DataView = new DataView(new ArrayBuffer(0));

  /** `bytes` as a view, made anew only for other bytes than last time: reads of the same length come as the same Buffer. */
  viewOf(bytes: Uint8Array): DataView {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    return this.#view;
  }
}

const MAX_LENGTH = 256;

/**
 * The first line that was last read on a connection: all answers of one kind begin alike, and many a client asks for one thing again and
 * again. It is kept when it has come twice in a row.
 */
export class LineMemo<Line> {
  readonly #latest: LatestLine<Line>;
  #known: KnownLine<Line> | undefined = undefined;
  #lastText = "";

  constructor(latest: LatestLine<Line>) {
    this.#latest = latest;
  }

  viewOf(bytes: Uint8Array): DataView {
    return this.#latest.viewOf(bytes);
  }

  /** The known line, if it stands in `bytes` at `at`. */
  find(bytes: DataView, at: number): KnownLine<Line> | undefined {
    const known = this.#known ?? this.#latest.known;
    return known?.text.stands(bytes, at) === true ? known : undefined;
  }

  /** A good line was read that was not known: `text` with its CRLF. */
  missed(text: string, line: Line): void {
    if (text.length > MAX_LENGTH) return;
    if (text === this.#lastText) this.#latest.known = this.#known = { text: new KnownText(text), line };
    else this.#lastText = text;
  }
}
