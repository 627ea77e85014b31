import type { HeaderMap } from "../header-map.ts";
import { FieldKind, knownField } from "./field-names.ts";
import { removeForbiddenTrailers } from "./fields.ts";
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

/** The whole head of a request. `tail` is the field lines that the codec itself adds, each with its CRLF. */
export function serializeRequestHead(
  method: string,
  target: string,
  authority: string,
  headers: HeaderMap,
  withLength: boolean,
  tail: string,
): string {
  const start = `${method} ${target} HTTP/1.1\r\nhost: ${cleanValue(authority)}\r\n`;
  return `${appendFields(start, headers, withLength, requestNames)}${tail}\r\n`;
}

/** The whole head of a response. HTTP/1.1 always: it is the version of the sender (RFC 9110 §6.2). */
export function serializeResponseHead(
  status: number,
  reason: string,
  headers: HeaderMap,
  withLength: boolean,
  tail: string,
): string {
  const phrase = reason === "" ? standardPhrase(status) : cleanValue(reason);
  return `${appendFields(`HTTP/1.1 ${status} ${phrase}\r\n`, headers, withLength, responseNames)}${tail}\r\n`;
}

/** The last chunk and the trailer section behind it. */
export function serializeTrailers(trailers: HeaderMap): string {
  const allowed = trailers.clone();
  removeForbiddenTrailers(allowed.fields);
  return `${appendFields("0\r\n", allowed, false, trailerNames)}\r\n`;
}

/**
 * The known names of the head that was written last, by their place. Heads of one kind are alike, so that most names are
 * found by one comparison. Names that are not known could be of any size, and are not kept.
 */
class LastNames {
  readonly #names = new Array<string | undefined>(MAX_REMEMBERED_PLACES).fill(undefined);
  readonly #kinds = new Array<FieldKind>(MAX_REMEMBERED_PLACES).fill(FieldKind.Ordinary);

  /** Undefined: not a name. */
  kindOf(name: string, place: number): FieldKind | undefined {
    if (this.#names[place] === name) return this.#kinds[place];
    const known = knownField(name);
    if (known === undefined) return isToken(name) ? FieldKind.Ordinary : undefined;
    if (place < MAX_REMEMBERED_PLACES) {
      this.#names[place] = known.name;
      this.#kinds[place] = known.kind;
    }
    return known.kind;
  }
}

const MAX_REMEMBERED_PLACES = 32;
const requestNames = new LastNames();
const responseNames = new LastNames();
const trailerNames = new LastNames();

/** Fields of the connection are the codec's own; whatever put them among these is not obeyed. */
function appendFields(text: string, headers: HeaderMap, withLength: boolean, names: LastNames): string {
  const { fields } = headers;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    const kind = names.kindOf(name, i >> 1);
    if (kind === undefined || (kind !== FieldKind.Ordinary && !isSent(kind, withLength))) continue;
    const value = fields[i + 1]!; // values stand at odd places
    text += `${name}: ${UNSAFE_IN_VALUE.test(value) ? cleanValue(value) : value}\r\n`;
  }
  return text;
}

function isSent(kind: FieldKind, withLength: boolean): boolean {
  return kind === FieldKind.Te || kind === FieldKind.Expect || (kind === FieldKind.ContentLength && withLength);
}

function cleanValue(value: string): string {
  return UNSAFE_IN_VALUE.test(value) ? value.replace(ALL_UNSAFE_IN_VALUE, " ") : value;
}
