import type { Transport } from "../codec.ts";
import type { HeaderMap } from "../header-map.ts";
import { removeForbiddenTrailers } from "./fields.ts";
import { type HeaderNaming, rename } from "./header-names.ts";
import { ownCopy } from "./own-copy.ts";
import { isTargetText } from "./request-target.ts";
import { cleanValue, isSent, SectionWriter } from "./section-template.ts";
import { standardPhrase } from "./status-phrases.ts";
import { isToken } from "./tokens.ts";

const requestSections = new SectionWriter();
const responseSections = new SectionWriter();

/** The first two lines of a request, as they were written last: what comes again is not checked and put together again. */
let lastRequest: RequestLines | undefined;
/** The first lines of responses by status, each with the reason that was last seen. */
const statusLines: ({ readonly reason: string; readonly line: string } | undefined)[] = [];
const MAX_KEPT_REASON = 64;

interface RequestLines {
  readonly method: string;
  readonly target: string;
  readonly authority: string;
  lines: string;
  /** They have come again, and lie flat. */
  again: boolean;
}

/** The request line and the Host field of a request; undefined for a method or a target that cannot stand there. */
export function requestLines(method: string, target: string, authority: string): string | undefined {
  const last = lastRequest;
  if (last !== undefined && method === last.method && target === last.target && authority === last.authority) {
    if (!last.again) {
      last.again = true;
      last.lines = ownCopy(last.lines);
    }
    return last.lines;
  }
  if (!isToken(method) || !isTargetText(target)) return undefined;
  const lines = `${method} ${target} HTTP/1.1\r\nhost: ${cleanValue(authority)}\r\n`;
  lastRequest = { method, target, authority, lines, again: false };
  return lines;
}

/**
 * Writes the head of a request behind `lines`, its first two. `tail` is the field lines that the codec itself adds, each with its CRLF. `naming` is
 * for heads without one of their own.
 */
export function writeRequestHead(
  transport: Transport,
  lines: string,
  headers: HeaderMap,
  withLength: boolean,
  tail: string,
  naming: HeaderNaming | undefined,
): void {
  writeHead(transport, lines, headers, withLength, tail, naming, requestSections);
}

/** Writes the head of a response. HTTP/1.1 always: it is the version of the sender (RFC 9110 §6.2). */
export function writeResponseHead(
  transport: Transport,
  status: number,
  reason: string,
  headers: HeaderMap,
  withLength: boolean,
  tail: string,
  naming: HeaderNaming | undefined,
): void {
  writeHead(transport, statusLine(status, reason), headers, withLength, tail, naming, responseSections);
}

function statusLine(status: number, reason: string): string {
  const known = statusLines[status];
  if (known?.reason === reason) return known.line;
  const clean = cleanValue(reason);
  const line = `HTTP/1.1 ${status} ${clean === "" ? standardPhrase(status) : clean}\r\n`;
  // A copy of characters beyond latin1 would be another reason, and find this line.
  if (reason.length <= MAX_KEPT_REASON && clean === reason)
    statusLines[status] = { reason: ownCopy(reason), line: ownCopy(line) };
  return line;
}

function writeHead(
  transport: Transport,
  start: string,
  headers: HeaderMap,
  withLength: boolean,
  tail: string,
  naming: HeaderNaming | undefined,
  sections: SectionWriter,
): void {
  const { fields } = headers;
  const own = headers.naming ?? naming;
  if (own !== undefined) {
    transport.writeLatin1(rename(`${start}${fieldLines(fields, withLength)}${tail}\r\n`, own));
    return;
  }
  const section = sections.write(fields, withLength, tail);
  if (section === undefined) transport.writeLatin1(`${start}${fieldLines(fields, withLength)}${tail}\r\n`);
  else {
    transport.writeLatin1(start);
    transport.writeBytes(section);
  }
}

/** The last chunk and the trailer section behind it. */
export function serializeTrailers(trailers: HeaderMap): string {
  const allowed = trailers.clone();
  removeForbiddenTrailers(allowed.fields);
  return `0\r\n${fieldLines(allowed.fields, false)}\r\n`;
}

function fieldLines(fields: readonly string[], withLength: boolean): string {
  let text = "";
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!; // name and value in turn
    if (isSent(name, withLength)) text += `${name}: ${cleanValue(fields[i + 1]!)}\r\n`;
  }
  return text;
}
