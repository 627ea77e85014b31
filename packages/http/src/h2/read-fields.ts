import { FieldKind, knownField } from "../h1/field-names.ts";
import { parseContentLength } from "../h1/fields.ts";
import { isFieldName, isFieldValue } from "./field-text.ts";
import type { DecodedBlock } from "./hpack/index.ts";
import { badField, badMessage, MessageError } from "./message-error.ts";

const BAD_NAME = badField("a field name is not a token in lower case"); // RFC 9113 §8.2.1
const BAD_VALUE = badField("a field value has a control character, or blanks at its ends"); // §8.2.1
const LATE_PSEUDO = badMessage("a pseudo-field behind a field, or in trailers"); // §8.3, §8.1
const CONNECTION_FIELD = badMessage("a field that is only for connections of HTTP/1"); // §8.2.2
const BAD_TE = badMessage("te says more than trailers"); // §8.2.2
const BAD_LENGTH = badMessage("content-length is not a number of bytes");
const REPEATED_LENGTH = badMessage("content-length is repeated");
const REPEATED_HOST = badMessage("host is repeated");
export const TOO_MANY_FIELDS = new MessageError(431, "too many header fields", "http2.too_many_headers");

const COLON = 0x3a;

/** What a section has behind its pseudo-fields. */
export interface SectionFields {
  readonly fields: string[];
  /** Bytes; -1 if it is not said. */
  readonly contentLength: number;
}

/** The fields of a section behind its pseudo-fields, and what they say to the codec. */
export class Section implements SectionFields {
  readonly fields: string[] = [];
  /** The one Host field of a request. */
  host: string | undefined = undefined;
  /** Bytes; -1 without a field. */
  contentLength = -1;
  #cookieAt = -1;

  /** Reads `list`, name and value in turn, from `at` to its end. */
  read(list: readonly string[], at: number, maxCount: number): MessageError | undefined {
    if (list.length - at > maxCount * 2) return TOO_MANY_FIELDS; // crumbs of cookies one by one
    for (let i = at; i < list.length; i += 2) {
      const name = list[i]!;
      const value = list[i + 1]!; // name and value in turn
      const known = knownField(name);
      if (known?.name !== name && !isFieldName(name)) return name.charCodeAt(0) === COLON ? LATE_PSEUDO : BAD_NAME;
      if (!isFieldValue(value)) return BAD_VALUE;
      if (known === undefined || known.kind === FieldKind.Ordinary) {
        if (name === "cookie") this.#addCookie(value);
        else this.fields.push(name, value);
        continue;
      }
      const error = this.#takeSpecial(known.kind, name, value);
      if (error !== undefined) return error;
    }
    return undefined;
  }

  #takeSpecial(kind: FieldKind, name: string, value: string): MessageError | undefined {
    switch (kind) {
      case FieldKind.Host:
        if (this.host !== undefined) return REPEATED_HOST;
        this.host = value;
        return undefined;
      case FieldKind.ContentLength:
        if (this.contentLength !== -1) return REPEATED_LENGTH;
        this.contentLength = parseContentLength(value);
        if (this.contentLength === -1) return BAD_LENGTH;
        this.fields.push(name, value.charCodeAt(0) === 0x30 ? String(this.contentLength) : value); // "010" is octal to some
        return undefined;
      case FieldKind.Te:
        if (value !== "trailers") return BAD_TE;
        this.fields.push(name, value);
        return undefined;
      case FieldKind.TransferEncoding:
      case FieldKind.Connection:
      case FieldKind.KeepAlive:
      case FieldKind.ProxyConnection:
      case FieldKind.Upgrade:
        return CONNECTION_FIELD;
      default:
        this.fields.push(name, value);
        return undefined;
    }
  }

  /** RFC 9113 §8.2.3: crumbs are one field again for whoever is behind us. */
  #addCookie(crumb: string): void {
    if (this.#cookieAt < 0) {
      this.#cookieAt = this.fields.length + 1;
      this.fields.push("cookie", crumb);
    } else this.fields[this.#cookieAt] += `; ${crumb}`;
  }
}

/**
 * Where in `list` the fields begin that were read from it, if all of them were taken as they stand; -1 if not. So the fields of a list
 * that differs only in values that nobody looks at are that list from there on.
 */
export function verbatimFrom(list: readonly string[], fields: readonly string[]): number {
  const from = list.length - fields.length;
  for (let i = 0; i < fields.length; i++) if (list[from + i] !== fields[i]) return -1;
  return from;
}

/**
 * The fields of a block that is like one whose fields were good, and taken as they stand from `from` on: only values that are
 * others than there are looked at. Undefined: it has to be read as a whole, since one of them is bad or says something to the codec.
 */
export function fieldsLike({ fields, changed }: DecodedBlock, from: number): string[] | undefined {
  if (from < 0) return undefined;
  for (let i = 0; i < changed.length; i++) {
    const place = changed[i]!; // below the length
    if (place < from || !isFieldValue(fields[place]!)) return undefined;
    const known = knownField(fields[place - 1]!); // its name
    if (known !== undefined && known.kind !== FieldKind.Ordinary) return undefined;
  }
  return fields.slice(from);
}
