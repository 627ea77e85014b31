/**
 * Reads the ClientHello with which a TLS client begins (RFC 8446 §4.1.2), however it is cut into records and reads: the
 * server name and the protocols that it asks for. Nothing is decrypted, and nothing that follows is looked at.
 */
export type ClientHelloParse =
  /** What has come may be the beginning of one. */
  | { readonly type: "more" }
  | {
      readonly type: "hello";
      /** SNI, lower case; "" for none. */
      readonly serverName: string;
      /** ALPN, in the client's order. */
      readonly applicationProtocols: readonly string[];
    }
  /** The client does not begin with TLS. */
  | { readonly type: "none" }
  /** The message is longer than is allowed. */
  | { readonly type: "too-large"; readonly bytes: number }
  /** It begins as TLS does, and breaks its rules. */
  | { readonly type: "bad"; readonly reason: string };

const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER_BYTES = 5;
const MESSAGE_HEADER_BYTES = 4;
/** RFC 8446 §5.1 */
const MAX_RECORD_BYTES = 16_384;

/** `maxBytes` bounds the message. */
export function parseClientHello(bytes: Uint8Array, maxBytes: number): ClientHelloParse {
  const pieces: Uint8Array[] = [];
  let gathered = 0;
  let wanted = MESSAGE_HEADER_BYTES;
  let records = 0;
  for (let at = 0; ; ) {
    // Told as soon as it can be: a client of something else may wait for an answer behind few bytes.
    if (at < bytes.length && bytes[at] !== HANDSHAKE) return at === 0 ? NONE : bad("another record before its end");
    if (at + 1 < bytes.length && bytes[at + 1] !== 3) return at === 0 ? NONE : bad("a record of no known version");
    if (at + RECORD_HEADER_BYTES > bytes.length) return MORE;
    const length = bytes[at + 3]! * 256 + bytes[at + 4]!; // looked at above
    if (length === 0 || length > MAX_RECORD_BYTES) return at === 0 ? NONE : bad(`a record of ${length} bytes`);
    const piece = bytes.subarray(at + RECORD_HEADER_BYTES, at + RECORD_HEADER_BYTES + length);
    if (gathered === 0 && piece.length > 0 && piece[0] !== CLIENT_HELLO) return NONE;
    pieces.push(piece);
    gathered += piece.length;
    if (gathered >= MESSAGE_HEADER_BYTES) {
      const header = pieces.length === 1 ? piece : joined(pieces, gathered);
      wanted = MESSAGE_HEADER_BYTES + header[1]! * 65_536 + header[2]! * 256 + header[3]!; // four bytes at least
      if (wanted > maxBytes) return { type: "too-large", bytes: wanted };
      if (gathered >= wanted) return readHello(header.subarray(MESSAGE_HEADER_BYTES, wanted));
    }
    if (piece.length < length) return MORE;
    at += RECORD_HEADER_BYTES + length;
    // Records of one byte each are legal, and a way to make us work.
    if (++records > MAX_RECORDS) return bad("more records than any client needs");
  }
}

const MAX_RECORDS = 64;

function joined(pieces: Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  pieces.splice(0, pieces.length, whole);
  return whole;
}

const SERVER_NAME = 0;
const ALPN = 16;

function readHello(body: Uint8Array): ClientHelloParse {
  const reader = new Reader(body);
  reader.skip(2 + 32); // version and random
  const sessionId = reader.list(1);
  const cipherSuites = reader.list(2);
  const compressions = reader.list(1);
  if (reader.failed || sessionId.length > 32) return bad("no session id where it has to be");
  if (cipherSuites.length === 0 || cipherSuites.length % 2 !== 0) return bad("no list of cipher suites");
  if (compressions.length === 0) return bad("no list of compressions");
  let serverName = "";
  let applicationProtocols: readonly string[] = [];
  if (reader.left > 0) {
    const extensions = new Reader(reader.list(2));
    if (reader.failed || reader.left > 0) return bad("bytes behind its extensions");
    const seen = new Set<number>();
    while (extensions.left > 0) {
      const type = extensions.number(2);
      const content = extensions.list(2);
      if (extensions.failed) return bad("an extension that runs over its end");
      if (seen.has(type)) return bad(`extension ${type} twice`); // RFC 8446 §4.2
      seen.add(type);
      if (type === SERVER_NAME) {
        const name = readServerName(content);
        if (name === undefined) return bad("a server name that is none");
        serverName = name;
      } else if (type === ALPN) {
        const names = readAlpn(content);
        if (names === undefined) return bad("a list of protocols that is none");
        applicationProtocols = names;
      }
    }
  }
  return { type: "hello", serverName, applicationProtocols };
}

/** RFC 6066 §3: a list of names of which one at most is a host's, in ASCII and without a dot at its end. */
function readServerName(content: Uint8Array): string | undefined {
  const outer = new Reader(content);
  const names = new Reader(outer.list(2));
  let found: string | undefined;
  while (names.left > 0) {
    const type = names.number(1);
    const name = names.list(2);
    if (names.failed || type !== 0 || found !== undefined) return undefined;
    found = hostText(name);
    if (found === undefined) return undefined;
  }
  return outer.failed || outer.left > 0 ? undefined : found;
}

function hostText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0 || bytes.length > 255) return undefined;
  for (const byte of bytes) if (byte <= 0x20 || byte >= 0x7f) return undefined;
  return Buffer.from(bytes).toString("latin1").toLowerCase();
}

/** RFC 7301 §3.1 */
function readAlpn(content: Uint8Array): readonly string[] | undefined {
  const outer = new Reader(content);
  const list = new Reader(outer.list(2));
  const names: string[] = [];
  while (list.left > 0) {
    const name = list.list(1);
    if (list.failed || name.length === 0) return undefined;
    names.push(Buffer.from(name).toString("latin1"));
  }
  return outer.failed || outer.left > 0 || names.length === 0 ? undefined : names;
}

/** Reads numbers and lists; past the end everything is empty, and `failed` says so. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  failed = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  skip(count: number): void {
    if (count > this.left) this.#fail();
    else this.#at += count;
  }

  number(width: number): number {
    if (width > this.left) return this.#fail();
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + this.#bytes[this.#at++]!; // looked at above
    return value;
  }

  /** A list whose length stands before it. */
  list(widthOfLength: number): Uint8Array {
    const length = this.number(widthOfLength);
    if (this.failed || length > this.left) {
      this.#fail();
      return EMPTY;
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  #fail(): number {
    this.failed = true;
    this.#at = this.#bytes.length;
    return 0;
  }
}

const EMPTY = new Uint8Array();
const MORE: ClientHelloParse = { type: "more" };
const NONE: ClientHelloParse = { type: "none" };

function bad(reason: string): ClientHelloParse {
  return { type: "bad", reason };
}
