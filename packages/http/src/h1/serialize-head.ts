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
  return `${appendFields(start, headers, withLength)}${tail}\r\n`;
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
  return `${appendFields(`HTTP/1.1 ${status} ${phrase}\r\n`, headers, withLength)}${tail}\r\n`;
}

/** The last chunk and the trailer section behind it. */
export function serializeTrailers(trailers: HeaderMap): string {
  const allowed = trailers.clone();
  removeForbiddenTrailers(allowed.fields);
  return `${appendFields("0\r\n", allowed, false)}\r\n`;
}

/** Fields of the connection are the codec's own; whatever put them among these is not obeyed. */
function appendFields(text: string, headers: HeaderMap, withLength: boolean): string {
  const { fields } = headers;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    const known = knownField(name);
    if (known === undefined) {
      if (!isToken(name)) continue;
    } else if (known.kind !== FieldKind.Ordinary && !isSent(known.kind, withLength)) continue;
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
