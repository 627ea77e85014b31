import type { HeaderMap } from "../header-map.ts";
import { FieldKind, type FieldName, knownField } from "./field-names.ts";
import { removeForbiddenTrailers } from "./fields.ts";
import { type HeaderNaming, rename } from "./header-names.ts";
import { ownCopy } from "./own-copy.ts";
import { standardPhrase } from "./status-phrases.ts";
import { isToken } from "./tokens.ts";

/*
 * Heads leave as one latin1 string. Parsed heads are clean, but filters, configuration and other codecs also make
 * fields, and a CR or LF in one of them would let its author write the rest of the message. So names that are no tokens
 * are left out, and characters that may not stand in a value become spaces, as RFC 9110 §5.5 has it. Characters above
 * 0xff count among them: writing latin1 keeps the low byte, which makes U+010A a line feed.
 */
const UNSAFE_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/;
const ALL_UNSAFE_IN_VALUE = /[^\t\x20-\x7e\x80-\xff]/g;

/**
 * The whole head of a request. `tail` is the field lines that the codec itself adds, each with its CRLF. `naming` is for
 * heads without one of their own.
 */
export function serializeRequestHead(
  method: string,
  target: string,
  authority: string,
  headers: HeaderMap,
  withLength: boolean,
  tail: string,
  naming?: HeaderNaming,
): string {
  const start = `${method} ${target} HTTP/1.1\r\nhost: ${cleanValue(authority)}\r\n`;
  const head = `${appendFields(start, headers, withLength, requestLines)}${tail}\r\n`;
  const own = headers.naming ?? naming;
  return own === undefined ? head : rename(head, own);
}

/** The whole head of a response. HTTP/1.1 always: it is the version of the sender (RFC 9110 §6.2). */
export function serializeResponseHead(
  status: number,
  reason: string,
  headers: HeaderMap,
  withLength: boolean,
  tail: string,
  naming?: HeaderNaming,
): string {
  const phrase = reason === "" ? standardPhrase(status) : cleanValue(reason);
  const head = `${appendFields(`HTTP/1.1 ${status} ${phrase}\r\n`, headers, withLength, responseLines)}${tail}\r\n`;
  const own = headers.naming ?? naming;
  return own === undefined ? head : rename(head, own);
}

/** The last chunk and the trailer section behind it. */
export function serializeTrailers(trailers: HeaderMap): string {
  const allowed = trailers.clone();
  removeForbiddenTrailers(allowed.fields);
  return `${appendFields("0\r\n", allowed, false, trailerLines)}\r\n`;
}

/**
 * The field lines of the head that was written last, by their place. Heads of one kind are alike, so that most lines are
 * found by two comparisons instead of being checked and put together again.
 *
 * Only short values of known names are kept. A value may be a part of its head and keep that alive: at most one head a
 * place.
 */
class LastLines {
  readonly #names = new Array<string | undefined>(MAX_PLACES).fill(undefined);
  readonly #values = new Array<string>(MAX_PLACES).fill("");
  readonly #kinds = new Array<FieldKind>(MAX_PLACES).fill(FieldKind.Ordinary);
  readonly #lines = new Array<string>(MAX_PLACES).fill("");
  /** How often in a row the value has changed, up to `MAX_CHANGES`. */
  readonly #changes = new Uint8Array(MAX_PLACES);
  #looks = 0;

  /** `text` with the field behind it, if it is one that is sent. */
  append(text: string, name: string, value: string, place: number, withLength: boolean): string {
    if (this.#names[place] !== name) {
      const known = knownField(name);
      if (known === undefined) return isToken(name) ? text + fieldLine(name, value) : text;
      if (place < MAX_PLACES) this.#rememberName(known, place);
      return isSent(known.kind, withLength) ? text + fieldLine(name, value) : text;
    }
    if (!isSent(this.#kinds[place]!, withLength)) return text;
    // To compare two ids that are as long as each other and never the same costs more than it could save.
    const changes = this.#changes[place]!;
    if (changes === MAX_CHANGES && (++this.#looks & EACH_LOOK) !== 0) return text + fieldLine(name, value);
    if (this.#values[place] === value) {
      this.#changes[place] = 0;
      return text + this.#line(place);
    }
    if (changes < MAX_CHANGES) this.#changes[place] = changes + 1;
    if (value.length <= MAX_VALUE_LENGTH) {
      this.#values[place] = value;
      this.#lines[place] = "";
    }
    return text + fieldLine(name, value);
  }

  /** Made when it is first wanted again, since many values never come twice. */
  #line(place: number): string {
    const line = this.#lines[place]!; // as many as values
    if (line !== "") return line;
    const made = ownCopy(fieldLine(this.#names[place]!, this.#values[place]!));
    this.#lines[place] = made;
    return made;
  }

  #rememberName({ name, kind }: FieldName, place: number): void {
    this.#names[place] = name;
    this.#kinds[place] = kind;
    this.#values[place] = "";
    this.#lines[place] = "";
    this.#changes[place] = 0;
  }
}

const MAX_PLACES = 32;
const MAX_VALUE_LENGTH = 64;
const MAX_CHANGES = 8;
/** Where a value changes each time, one look in 32 finds out whether it still does. */
const EACH_LOOK = 31;
const requestLines = new LastLines();
const responseLines = new LastLines();
const trailerLines = new LastLines();

function fieldLine(name: string, value: string): string {
  return `${name}: ${cleanValue(value)}\r\n`;
}

/** Fields of the connection are the codec's own; whatever put them among these is not obeyed. */
function appendFields(text: string, headers: HeaderMap, withLength: boolean, lines: LastLines): string {
  const { fields } = headers;
  for (let i = 0; i < fields.length; i += 2) {
    text = lines.append(text, fields[i]!, fields[i + 1]!, i >> 1, withLength); // name and value in turn
  }
  return text;
}

function isSent(kind: FieldKind, withLength: boolean): boolean {
  return (
    kind === FieldKind.Ordinary ||
    kind === FieldKind.Te ||
    kind === FieldKind.Expect ||
    (kind === FieldKind.ContentLength && withLength)
  );
}

function cleanValue(value: string): string {
  return UNSAFE_IN_VALUE.test(value) ? value.replace(ALL_UNSAFE_IN_VALUE, " ") : value;
}
