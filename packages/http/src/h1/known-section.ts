import { Buffer } from "node:buffer"; // the global one is an accessor
import type { MessageFields } from "./fields.ts";
import { ownCopy } from "./own-copy.ts";

/**
 * A header section that has been read and found good, and what it says. A peer that sends the same section again, byte for
 * byte, gets the same answer without another reading: clients repeat their fields from request to request, servers for the second
 * that their Date holds. (It is for HTTP/1 what the memo of header blocks is for HPACK. With 170-byte answers a tenth of the user time.)
 *
 * It is compared whole and from the start of a line, so it ends where it did before: at its first empty line.
 */
export class KnownSection {
  /** With the empty line. */
  readonly bytes: Buffer;
  /** Lines. */
  readonly count: number;
  readonly #fields: readonly string[];
  readonly #host: string | undefined;
  readonly #contentLength: number;
  readonly #transferEncoding: string | undefined;
  readonly #close: boolean;
  readonly #keepAlive: boolean;
  readonly #keepAliveTimeoutSeconds: number | undefined;

  private constructor(text: string, fields: readonly string[], message: MessageFields) {
    this.bytes = Buffer.from(text, "latin1");
    this.count = message.count;
    this.#fields = fields.map(ownCopy);
    this.#host = message.host === undefined ? undefined : ownCopy(message.host);
    this.#contentLength = message.contentLength;
    this.#transferEncoding = message.transferEncoding;
    this.#close = message.close;
    this.#keepAlive = message.keepAlive;
    this.#keepAliveTimeoutSeconds = message.keepAliveTimeoutSeconds;
  }

  /** Undefined for a section that is large or says what few say: those are read each time. */
  static of(text: string, fields: readonly string[], message: MessageFields): KnownSection | undefined {
    const rare =
      message.upgradeOption ||
      message.upgrade !== undefined ||
      message.expectsContinue ||
      message.nominated !== undefined ||
      message.spelling !== undefined;
    return rare || text.length > MAX_BYTES ? undefined : new KnownSection(text, fields, message);
  }

  /** Whether `bytes` go on with this section at `at`. */
  stands(bytes: Buffer, at: number): boolean {
    const end = at + this.bytes.length;
    return end <= bytes.length && bytes.compare(this.bytes, 0, this.bytes.length, at, end) === 0;
  }

  /** Sets what it says of the message, and gives the fields that go on: the caller's own list. */
  restore(message: MessageFields): string[] {
    message.host = this.#host;
    message.contentLength = this.#contentLength;
    message.transferEncoding = this.#transferEncoding;
    message.close = this.#close;
    message.keepAlive = this.#keepAlive;
    message.keepAliveTimeoutSeconds = this.#keepAliveTimeoutSeconds;
    return this.#fields.slice();
  }
}

const MAX_BYTES = 1024;
/** So often in a row a section may differ from the one before it until nobody compares for a while. */
const MAX_MISSES = 3;
const FIRST_PAUSE = 16;
const LONGEST_PAUSE = 1024;

/** What connections of one role share: peers of one kind write alike, and most connections need no copy of their own. */
export interface LatestSection {
  section: KnownSection | undefined;
}

/**
 * The section that was last read on a connection.
 *
 * Where sections differ each time (each has an id of its own, say), looking costs more than it saves; then it pauses, for
 * longer each time that nothing has come of it.
 */
export class SectionMemo {
  readonly #latest: LatestSection;
  #known: KnownSection | undefined = undefined;
  #lastLength = 0;
  #misses = 0;
  /** Heads that are still read without looking. */
  #pause = 0;
  #nextPause = FIRST_PAUSE;

  constructor(latest: LatestSection) {
    this.#latest = latest;
  }

  /** Whether the next head is to be looked up. To be asked once for each. */
  looks(): boolean {
    if (this.#pause === 0) return true;
    this.#pause--;
    return false;
  }

  /** The known section, if it stands in `bytes` at `at`, the start of a line, and has no more than `maxCount` lines. */
  find(bytes: Buffer, at: number, maxCount: number): KnownSection | undefined {
    const known = this.#known ?? this.#latest.section;
    if (known === undefined || !known.stands(bytes, at) || known.count > maxCount) return undefined;
    this.#known = known;
    this.#misses = 0;
    this.#nextPause = FIRST_PAUSE;
    return known;
  }

  /** A section was read that was not known. It is kept if the one before it was as long: it may well come again. */
  missed(text: string, sectionAt: number, fields: readonly string[], message: MessageFields): void {
    if (this.#pause > 0) return;
    if (++this.#misses > MAX_MISSES) {
      this.#misses = 0;
      this.#pause = this.#nextPause;
      this.#nextPause = Math.min(LONGEST_PAUSE, 2 * this.#nextPause);
      return;
    }
    const length = text.length - sectionAt;
    if (length === this.#lastLength) {
      const known = KnownSection.of(text.substring(sectionAt), fields, message);
      if (known !== undefined) this.#latest.section = this.#known = known;
    }
    this.#lastLength = length;
  }
}
