import type { MessageFields } from "./fields.ts";
import { KnownText } from "./known-text.ts";
import { ownCopy } from "./own-copy.ts";
import { Patience } from "./patience.ts";

/**
 * A header section that has been read and found good, and what it says. A peer that sends the same section again, byte for
 * byte, gets the same answer without another reading: clients repeat their fields from request to request, servers for the second
 * that their Date holds. (It is for HTTP/1 what the memo of header blocks is for HPACK. With 170-byte answers a tenth of the user time.)
 *
 * It is compared whole and from the start of a line, so it ends where it did before: at its first empty line.
 */
export class KnownSection {
  /** With the empty line. */
  readonly text: KnownText;
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
    this.text = new KnownText(text);
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

  /** Sets what it says of the message, and gives the fields that go on: the caller's own list. */
  restore(message: MessageFields): string[] {
    message.host = this.#host;
    message.contentLength = this.#contentLength;
    message.transferEncoding = this.#transferEncoding;
    message.close = this.#close;
    message.keepAlive = this.#keepAlive;
    message.keepAliveTimeoutSeconds = this.#keepAliveTimeoutSeconds;
    // Not `slice`, which leaves no room: each of those who add a field to it would have it moved.
    const fields: string[] = [];
    for (const field of this.#fields) fields.push(field);
    return fields;
  }
}

const MAX_BYTES = 1024;

/** What connections of one role share: peers of one kind write alike, and most connections need no copy of their own. */
export interface LatestSection {
  section: KnownSection | undefined;
}

/**
 * The section that was last read on a connection. Where sections differ each time, it pauses.
 */
export class SectionMemo {
  readonly #latest: LatestSection;
  readonly #patience = new Patience();
  #known: KnownSection | undefined = undefined;
  #lastLength = 0;

  constructor(latest: LatestSection) {
    this.#latest = latest;
  }

  /** Whether the next head is to be looked up. To be asked once for each. */
  looks(): boolean {
    return this.#patience.looks();
  }

  /** The known section, if it stands in `bytes` at `at`, the start of a line, and has no more than `maxCount` lines. */
  find(bytes: DataView, at: number, maxCount: number): KnownSection | undefined {
    const known = this.#known ?? this.#latest.section;
    if (known === undefined || !known.text.stands(bytes, at) || known.count > maxCount) return undefined;
    this.#known = known;
    this.#patience.found();
    return known;
  }

  /** A section was read that was not known. It is kept if the one before it was as long: it may well come again. */
  missed(text: string, sectionAt: number, fields: readonly string[], message: MessageFields): void {
    if (!this.#patience.missed()) return;
    const length = text.length - sectionAt;
    if (length === this.#lastLength) {
      const known = KnownSection.of(text.substring(sectionAt), fields, message);
      if (known !== undefined) this.#latest.section = this.#known = known;
    }
    this.#lastLength = length;
  }
}
