import { RequestHead, ResponseHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import { type MessageFields, parseFields, removeForbiddenTrailers } from "./fields.ts";
import { isAuthority } from "./host.ts";
import type { KnownSection } from "./known-section.ts";
import { isKnownMethod } from "./methods.ts";
import { ParseError } from "./parse-error.ts";
import { BAD_TARGET, isTargetText, parseSpecialTarget } from "./request-target.ts";
import { isToken, trimBlanks } from "./tokens.ts";

const BAD_REQUEST_LINE = new ParseError(400, "the request line is not method, target and version");
/** Three words of letters, none of which is the method, the target or the version that it should be: that was not meant for HTTP/1. */
export const NOT_HTTP: ParseError = new ParseError(400, "the first line is not HTTP");
const BAD_METHOD = new ParseError(400, "the method is not a token");
const UNKNOWN_METHOD = new ParseError(501, "the method is not known");
const BAD_VERSION = new ParseError(505, "the version is neither HTTP/1.1 nor HTTP/1.0");
const NO_HOST = new ParseError(400, "an HTTP/1.1 request has no host", "missing_host_header");
const BAD_HOST = new ParseError(400, "host is malformed");
const BAD_CONNECTION = new ParseError(
  400,
  "connection names fields that it may not, or too many",
  "http1.connection_header_rejected",
);
const CODING_AND_LENGTH = new ParseError(
  400,
  "transfer-encoding stands beside content-length",
  "http1.content_length_and_chunked_not_allowed",
);
const CODING_IN_1_0 = new ParseError(400, "transfer-encoding in HTTP/1.0", "http1.invalid_transfer_encoding");
const CODING_UNCLEAR = new ParseError(
  400,
  "transfer-encoding does not end in one chunked",
  "http1.invalid_transfer_encoding",
);
const CODING_UNKNOWN = new ParseError(501, "a transfer coding other than chunked", "http1.invalid_transfer_encoding");
const TUNNEL_WITH_BODY = new ParseError(400, "a request for a tunnel has a body", "http1.body_disallowed");
const BAD_STATUS_LINE = new ParseError(400, "the status line is not version, status and reason");

export interface RequestHeadOptions {
  readonly scheme: "http" | "https";
  readonly maxHeaderCount: number;
  readonly allowCustomMethods: boolean;
  readonly allowAbsoluteUrl: boolean;
}

/** What the first line of a request says; every part has been checked, but for the form of the target. */
export interface RequestLine {
  readonly method: string;
  readonly target: string;
  /** Of HTTP/1. */
  readonly minor: 0 | 1;
  /** Of the line with its CRLF. */
  readonly length: number;
}

/** What the first line of a response says. */
export interface StatusLine {
  readonly status: number;
  readonly reason: string;
  readonly minor: 0 | 1;
  readonly length: number;
}

/** Reads the line that `text` begins with. */
export function parseRequestLine(text: string, allowCustomMethods: boolean): RequestLine | ParseError {
  const lineEnd = text.indexOf("\r\n");
  const methodEnd = text.indexOf(" ");
  const targetEnd = lineEnd - 9; // the version has eight characters
  if (methodEnd <= 0 || methodEnd >= targetEnd || text.charCodeAt(targetEnd) !== 0x20) return badLine(text, lineEnd);
  const minor = minorVersion(text, targetEnd + 1);
  if (minor === -1) return badLine(text, lineEnd);

  const method = text.substring(0, methodEnd);
  if (!isKnownMethod(method)) {
    if (!isToken(method)) return BAD_METHOD;
    if (!allowCustomMethods || method === "PRI") return UNKNOWN_METHOD;
  }
  const target = text.substring(methodEnd + 1, targetEnd);
  return isTargetText(target) ? { method, target, minor, length: lineEnd + 2 } : BAD_TARGET;
}

/**
 * Reads a request head that the `HeadScanner` has passed, with its empty line, behind its first line. `text` counts only where what is
 * behind that is no known section.
 *
 * The scheme is that of the connection, or the one that an absolute target names; whether that may differ is for the
 * caller to say.
 */
export function parseRequestHead(
  text: string,
  { method, target, minor, length }: RequestLine,
  options: RequestHeadOptions,
  message: MessageFields,
  section?: KnownSection,
): RequestHead | ParseError {
  message.reset();
  const fields = readSection(text, length, options.maxHeaderCount, message, section);
  if (fields instanceof ParseError) return fields;
  const error = checkRequest(minor, message, section !== undefined);
  if (error !== undefined) return error;
  if (section === undefined) message.memo?.missed(text, length, fields, message); // only of what was found good

  let authority = message.host ?? "";
  let path = target;
  let { scheme } = options;
  if (target.charCodeAt(0) !== 0x2f || method === "CONNECT") {
    const special = parseSpecialTarget(method, target);
    if (special instanceof ParseError) return special;
    if (special.scheme === undefined || options.allowAbsoluteUrl) {
      authority = special.authority ?? authority; // it replaces Host (RFC 9112 §3.2.2)
      path = special.path;
      scheme = special.scheme ?? scheme;
    }
  }
  // RFC 9110 §7.8: without the connection option, or in HTTP/1.0, Upgrade says nothing.
  const upgrade = message.upgradeOption && minor === 1 && method !== "CONNECT" ? message.upgrade : undefined;
  if (upgrade !== undefined || method === "CONNECT") {
    // A body would have to be read before the protocol changes; peers disagree on who reads it (RFC 9110 §7.8, §9.3.6).
    if (message.contentLength > 0 || message.transferEncoding !== undefined) return TUNNEL_WITH_BODY;
  }
  return new RequestHead(method, scheme, authority, path, new HeaderMap(fields), minor === 1 ? "1.1" : "1.0", upgrade);
}

/** 1 or 0; -1 for anything but HTTP/1.1 and HTTP/1.0. */
function minorVersion(text: string, at: number): 0 | 1 | -1 {
  if (!text.startsWith("HTTP/1.", at)) return -1;
  const digit = text.charCodeAt(at + 7) - 0x30;
  return digit === 0 || digit === 1 ? digit : -1;
}

function badLine(text: string, lineEnd: number): ParseError {
  const line = text.substring(0, lineEnd);
  if (/^[^ ]+ [^ ]+ HTTP\/\d\.\d$/.test(line)) return BAD_VERSION;
  const words = /^([a-z]+) [a-z]+ [a-z]+$/i.exec(line);
  return words !== null && !isKnownMethod(words[1]!) ? NOT_HTTP : BAD_REQUEST_LINE; // the pattern has that group
}

/** The fields that go on. */
function readSection(
  text: string,
  at: number,
  maxCount: number,
  message: MessageFields,
  known: KnownSection | undefined,
): string[] | ParseError {
  if (known !== undefined) return known.restore(message);
  const fields: string[] = [];
  return parseFields(text, at, maxCount, fields, message) ?? fields;
}

/** A host of a known section was looked at when that was read first. */
function checkRequest(minor: number, message: MessageFields, known: boolean): ParseError | undefined {
  if (message.host === undefined) {
    if (minor === 1) return NO_HOST;
  } else if (!known && !isAuthority(message.host)) return BAD_HOST;
  if (message.connectionAbused) return BAD_CONNECTION;
  return message.transferEncoding === undefined ? undefined : checkCoding(minor, message);
}

/** RFC 9112 §6.1 and §6.3: the only coding that we know is chunked, alone, once, in HTTP/1.1, without a length. */
function checkCoding(minor: number, message: MessageFields): ParseError | undefined {
  if (minor === 0) return CODING_IN_1_0;
  if (message.contentLength !== -1) return CODING_AND_LENGTH;
  const coding = message.transferEncoding!.toLowerCase(); // the caller has seen that there is one
  if (coding === "chunked") return undefined;
  const codings = coding.split(",").map(trimBlanks);
  const unclear = codings.pop() !== "chunked" || codings.includes("chunked") || !codings.every(isToken);
  return unclear ? CODING_UNCLEAR : CODING_UNKNOWN;
}

/** Reads the line that `text` begins with. */
export function parseStatusLine(text: string): StatusLine | ParseError {
  const lineEnd = text.indexOf("\r\n");
  const minor = minorVersion(text, 0);
  if (minor === -1 || text.charCodeAt(8) !== 0x20) return BAD_STATUS_LINE;
  const status = threeDigits(text, 9);
  // The space behind the status is required (RFC 9112 §4), but servers without a reason leave it out.
  if (status < 100 || status > 599 || (lineEnd !== 12 && text.charCodeAt(12) !== 0x20)) return BAD_STATUS_LINE;
  return { status, reason: text.slice(13, lineEnd), minor, length: lineEnd + 2 };
}

/** Reads a response head that the `HeadScanner` has passed, with its empty line, behind its first line; as above. */
export function parseResponseHead(
  text: string,
  { status, reason, minor, length }: StatusLine,
  maxHeaderCount: number,
  message: MessageFields,
  section?: KnownSection,
): ResponseHead | ParseError {
  message.reset();
  const fields = readSection(text, length, maxHeaderCount, message, section);
  if (fields instanceof ParseError) return fields;
  if (section === undefined) message.memo?.missed(text, length, fields, message);
  if (message.host !== undefined) fields.push("host", message.host); // means nothing in a response, so it passes
  if (message.transferEncoding !== undefined) {
    const coding = checkCoding(minor, message);
    if (coding !== undefined) return coding;
  }
  return new ResponseHead(status, new HeaderMap(fields), reason, minor === 1 ? "1.1" : "1.0");
}

function threeDigits(text: string, at: number): number {
  let value = 0;
  for (let i = at; i < at + 3; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return -1; // also beyond the end, where charCodeAt gives NaN
    value = value * 10 + digit;
  }
  return value;
}

/** Reads a trailer section, with its empty line. */
export function parseTrailers(text: string, maxCount: number, scratch: MessageFields): HeaderMap | ParseError {
  scratch.reset();
  const fields: string[] = [];
  const error = parseFields(text, 0, maxCount, fields, scratch);
  if (error !== undefined) return error;
  removeForbiddenTrailers(fields);
  return new HeaderMap(fields);
}
