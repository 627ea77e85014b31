import { FieldKind, type FieldName, fieldName, knownField } from "./field-names.ts";
import type { SectionMemo } from "./known-section.ts";
import { ParseError } from "./parse-error.ts";
import { isBlank, isToken, trimBlanks } from "./tokens.ts";

const NO_COLON = new ParseError(400, "a header line has no colon");
const BAD_NAME = new ParseError(400, "a header name is not a token", "http1.invalid_characters");
const OBS_FOLD = new ParseError(400, "a header line is folded");
const TOO_MANY = new ParseError(431, "too many header fields", "http1.too_many_headers");
const BAD_LENGTH = new ParseError(400, "content-length is not a number of bytes");
const REPEATED_LENGTH = new ParseError(400, "content-length is repeated");
const REPEATED_HOST = new ParseError(400, "host is repeated");
const BAD_UPGRADE = new ParseError(400, "upgrade is not a list of protocols");

/** Of one connection, so that what it remembers stays small. */
const MAX_REMEMBERED_NAMES = 32;
const MAX_REMEMBERED_LENGTH = 64;

const UPGRADE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:\/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?$/;

/**
 * What the fields of one head say about its message and its connection. A connection has one and reuses it for every
 * head, so the values hold until the next head is read.
 */
export class MessageFields {
  /** Lines. */
  count = 0;
  /** The one Host field; undefined if there is none. */
  host: string | undefined = undefined;
  /** Bytes; -1 without a field. */
  contentLength = -1;
  /** All transfer codings, joined by a comma; undefined without a field. */
  transferEncoding: string | undefined = undefined;
  close = false;
  keepAlive = false;
  /** `Connection` has the option "upgrade". */
  upgradeOption = false;
  /** Protocols of `Upgrade`, lower case, without h2c. */
  upgrade: string | undefined = undefined;
  /** `timeout` of the Keep-Alive field, in seconds. */
  keepAliveTimeoutSeconds: number | undefined = undefined;
  expectsContinue = false;
  /** Other options of `Connection`, lower case: names of fields that end here (RFC 9110 §7.6.1). */
  nominated: Set<string> | undefined = undefined;
  /** `Connection` names what it must not, or more than anybody needs. */
  connectionAbused = false;
  /**
   * The names of the last head on this connection by their place. A peer writes its heads alike, so that most names are
   * found by one comparison instead of being cut out, checked and lowered again.
   */
  readonly names: FieldName[] = [];
  /** How the names of the last head were written, by lower case; undefined where nobody wants to know. */
  spelling: Map<string, string> | undefined = undefined;
  /** Undefined for trailers, which hardly ever come again as they were. */
  readonly memo: SectionMemo | undefined;
  readonly #keepsSpelling: boolean;

  constructor(memo?: SectionMemo, keepsSpelling = false) {
    this.memo = memo;
    this.#keepsSpelling = keepsSpelling;
  }

  reset(): void {
    if (this.#keepsSpelling) this.spelling = new Map(); // the one before belongs to its head
    this.count = 0;
    this.host = undefined;
    this.contentLength = -1;
    this.transferEncoding = undefined;
    this.close = false;
    this.keepAlive = false;
    this.upgradeOption = false;
    this.upgrade = undefined;
    this.keepAliveTimeoutSeconds = undefined;
    this.expectsContinue = false;
    this.nominated = undefined;
    this.connectionAbused = false;
  }
}

/**
 * Reads the field lines of a head or a trailer section from `at` to the end of `text`, which is the empty line. `text`
 * has passed the `HeadScanner`: every CR is followed by LF, and there is no other control character than tab.
 *
 * Fields that concern only this connection go into `message`, the others to `fields`, name and value in turn.
 */
export function parseFields(
  text: string,
  at: number,
  maxCount: number,
  fields: string[],
  message: MessageFields,
): ParseError | undefined {
  const end = text.length - 2;
  const { names, spelling } = message;
  let count = 0;
  while (at < end) {
    const lineEnd = text.indexOf("\r\n", at);
    if (count === maxCount) return TOO_MANY;
    let field = names[count];
    if (field === undefined || !text.startsWith(field.prefix, at)) {
      const read = readName(text, at, lineEnd);
      if (read instanceof ParseError) return read;
      field = read;
      if (count < MAX_REMEMBERED_NAMES && field.prefix.length <= MAX_REMEMBERED_LENGTH) names[count] = field;
    }
    count++;
    const { name, kind } = field;
    if (spelling !== undefined && !spelling.has(name)) spelling.set(name, field.prefix.slice(0, -1));
    let from = at + field.prefix.length;
    let to = lineEnd;
    while (from < to && isBlank(text.charCodeAt(from))) from++;
    while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
    const value = text.substring(from, to);
    if (kind === FieldKind.Ordinary) fields.push(name, value);
    else {
      const error = takeSpecial(kind, name, value, fields, message);
      if (error !== undefined) return error;
    }
    at = lineEnd + 2;
  }
  message.count = count;
  if (message.nominated !== undefined) removeFields(fields, message.nominated);
  return undefined;
}

function readName(text: string, at: number, lineEnd: number): FieldName | ParseError {
  const colon = text.indexOf(":", at);
  if (colon === -1 || colon > lineEnd) return isBlank(text.charCodeAt(at)) ? OBS_FOLD : NO_COLON;
  const written = text.substring(at, colon);
  const known = knownField(written);
  if (known !== undefined) return known;
  // A space before the colon or at the start of the line is no token either (RFC 9112 §5.1, §5.2).
  if (!isToken(written)) return isBlank(text.charCodeAt(at)) ? OBS_FOLD : BAD_NAME;
  return fieldName(ownCopy(written));
}

/** A part of a string keeps the whole alive, and a remembered name must not keep a head. A key is a string of its own. */
function ownCopy(part: string): string {
  return Object.keys({ [part]: true })[0]!; // the one key
}

function takeSpecial(
  kind: FieldKind,
  name: string,
  value: string,
  fields: string[],
  message: MessageFields,
): ParseError | undefined {
  switch (kind) {
    case FieldKind.Host:
      if (message.host !== undefined) return REPEATED_HOST;
      message.host = value;
      return undefined;
    case FieldKind.ContentLength: {
      // RFC 9112 §6.3 lets a recipient merge equal values. Whoever sends two has mixed two messages: refused.
      if (message.contentLength !== -1) return REPEATED_LENGTH;
      message.contentLength = parseContentLength(value);
      if (message.contentLength === -1) return BAD_LENGTH;
      fields.push(name, value.charCodeAt(0) === 0x30 ? String(message.contentLength) : value); // "010" is octal to some
      return undefined;
    }
    case FieldKind.TransferEncoding:
      message.transferEncoding =
        message.transferEncoding === undefined ? value : `${message.transferEncoding},${value}`;
      return undefined;
    case FieldKind.Connection:
      readConnection(value, message);
      return undefined;
    case FieldKind.KeepAlive:
      message.keepAliveTimeoutSeconds = keepAliveTimeout(value) ?? message.keepAliveTimeoutSeconds;
      return undefined;
    case FieldKind.ProxyConnection:
      return undefined; // never standardised (RFC 9112 §C.2.2): not obeyed, and not sent on
    case FieldKind.Upgrade:
      return readUpgrade(value, message);
    case FieldKind.Te:
      // Codings of the next hop are its own affair; that trailers are welcome is true end to end (RFC 9110 §10.1.4).
      if (/(?:^|,)[ \t]*trailers[ \t]*(?:$|,)/i.test(value)) fields.push(name, "trailers");
      return undefined;
    case FieldKind.Expect:
      if (value.toLowerCase() === "100-continue") message.expectsContinue = true;
      fields.push(name, value);
      return undefined;
    case FieldKind.Ordinary:
      fields.push(name, value);
      return undefined;
  }
}

/**
 * `1*DIGIT` up to 2^53 - 1, or -1. Number() alone would take a sign, white space, an exponent and hexadecimal, all of
 * which another recipient reads otherwise.
 */
export function parseContentLength(value: string): number {
  if (value === "" || value.length > 16) return -1;
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return Number.isSafeInteger(length) ? length : -1;
}

function readConnection(value: string, message: MessageFields): void {
  const members = value.includes(",") ? value.split(",", MAX_CONNECTION_OPTIONS) : [value];
  if (members.length === MAX_CONNECTION_OPTIONS) message.connectionAbused = true;
  for (const member of members) {
    const option = trimBlanks(member).toLowerCase();
    if (option === "close") message.close = true;
    else if (option === "keep-alive") message.keepAlive = true;
    else if (option === "upgrade") message.upgradeOption = true;
    else if (isAbuse(option)) message.connectionAbused = true;
    else if (option !== "" && !isEndToEnd(option)) (message.nominated ??= new Set()).add(option);
  }
  if (message.nominated !== undefined && message.nominated.size >= MAX_CONNECTION_OPTIONS)
    message.connectionAbused = true;
}

/** As in Envoy (`sanitizeConnectionHeader`): so many are one too many. */
const MAX_CONNECTION_OPTIONS = 10;

/**
 * Fields that frame or route the message, or that a proxy before us has added about its client. A request that wants
 * them lost on the way to the next hop is refused.
 */
function isAbuse(option: string): boolean {
  return ABUSE.has(option) || option.charCodeAt(0) === COLON;
}

const COLON = 0x3a;
const ABUSE = new Set(
  "content-length host transfer-encoding x-forwarded-for x-forwarded-host x-forwarded-proto".split(" "),
);

/**
 * Other fields that `Connection` cannot remove. RFC 9110 §7.6.1 forbids to name fields for all recipients there; a client
 * that does so wants the next hop to lose a credential or what a proxy before us has said. The field stays; refusing the
 * request would only tell which names we protect.
 */
function isEndToEnd(option: string): boolean {
  return END_TO_END.has(option) || option.startsWith("x-forwarded-") || option.startsWith("x-envoy-");
}

const END_TO_END = new Set(
  (
    "accept accept-encoding age authorization baggage cache-control content-encoding content-length content-location " +
    "content-range content-type cookie date etag expect expires forwarded grpc-timeout host if-match " +
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards origin pragma " +
    "range referer retry-after set-cookie te traceparent tracestate trailer transfer-encoding user-agent vary via " +
    "www-authenticate x-b3-sampled x-b3-spanid x-b3-traceid x-real-ip x-request-id"
  ).split(" "),
);

function removeFields(fields: string[], names: ReadonlySet<string>): void {
  let kept = 0;
  for (let i = 0; i < fields.length; i += 2) {
    if (names.has(fields[i]!)) continue;
    fields[kept] = fields[i]!;
    fields[kept + 1] = fields[i + 1]!;
    kept += 2;
  }
  fields.length = kept;
}

/** h2c is dropped: its upgrade is obsolete (RFC 9113 §3.1), and its requests may have a body. */
function readUpgrade(value: string, message: MessageFields): ParseError | undefined {
  for (const member of value.split(",")) {
    const protocol = trimBlanks(member).toLowerCase();
    if (protocol === "") continue;
    if (!UPGRADE.test(protocol)) return BAD_UPGRADE;
    if (protocol === "h2c") continue;
    message.upgrade = message.upgrade === undefined ? protocol : `${message.upgrade}, ${protocol}`;
  }
  return undefined;
}

function keepAliveTimeout(value: string): number | undefined {
  const timeout = /(?:^|[,\s])timeout\s*=\s*"?(\d{1,9})(?!\d)/i.exec(value);
  return timeout === null ? undefined : Number(timeout[1]);
}

/**
 * Fields that may not stand in a trailer section, since they frame, route or authenticate the message or say how to
 * read it (RFC 9110 §6.5.1). They are left out, which §6.5.2 allows.
 */
const NOT_IN_TRAILERS = new Set(
  (
    "authorization cache-control connection content-encoding content-length content-range content-type cookie expect " +
    "host keep-alive max-forwards proxy-authorization proxy-connection range set-cookie te trailer transfer-encoding " +
    "upgrade www-authenticate"
  ).split(" "),
);

export function removeForbiddenTrailers(fields: string[]): void {
  removeFields(fields, NOT_IN_TRAILERS);
}
