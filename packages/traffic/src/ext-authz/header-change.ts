/** What a service wants done to one field. Name (lower case) and value hold bytes as latin1. */
export interface HeaderChange {
  readonly name: string;
  readonly value: string;
  /**
   * - "set": one field of that name, with this value.
   * - "append-to-existing": joined to the first field of that name by a comma; nothing where there is none.
   * - "add": one more field.
   * - "add-if-absent", "overwrite-if-exists": as they say.
   */
  readonly action: "set" | "append-to-existing" | "add" | "add-if-absent" | "overwrite-if-exists";
}

/**
 * Fields by which a message is framed, or that belong to one connection alone (RFC 9110 §7.6.1): what a service says of them is
 * not taken. Envoy writes them, and sends on what another hop may read as two requests.
 */
export const FRAMING_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** RFC 9110 §5.6.2; in lower case, as names are held. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** Whether that may be a field of a message (RFC 9110 §5.1, §5.5). */
export function fieldIsValid(name: string, value: string): boolean {
  return TOKEN.test(name) && VALUE.test(value);
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
