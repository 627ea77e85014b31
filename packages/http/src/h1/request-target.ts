import { isAuthority, isAuthorityForm } from "./host.ts";
import { ParseError } from "./parse-error.ts";

/** What a request target says. An absent authority is the one of the Host field. */
export interface RequestTarget {
  readonly authority: string | undefined;
  readonly path: string;
  /** Of an absolute-form target. */
  readonly scheme?: "http" | "https";
}

const BAD_TARGET = new ParseError(400, "the request target has a character that no URI has", "http1.invalid_url");
const BAD_FORM = new ParseError(400, "the request target has none of the four forms", "http1.invalid_url");
const BAD_CONNECT = new ParseError(400, "the target of CONNECT is not host and port", "http1.invalid_url");
const BAD_AUTHORITY = new ParseError(400, "the authority of the request target is malformed", "http1.invalid_url");

const ABSOLUTE = /^http(s?):\/\/([^/?]*)(.*)$/i;

/**
 * Tells whether every character may stand in a target: visible ASCII but "#", since a fragment is never sent
 * (RFC 9112 §3.2) and two recipients would cut it at different places. Beyond what RFC 3986 allows, clients send
 * `"<>[]\^`{|}` in queries; those pass, as they separate nothing.
 */
export function isTargetText(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 0x20 || code >= 0x7f || code === 0x23) return false;
  }
  return text !== "";
}

/** Reads a target that is not in origin-form (RFC 9112 §3.2.2 to §3.2.4). `text` has been checked by `isTargetText`. */
export function parseSpecialTarget(method: string, text: string): RequestTarget | ParseError {
  if (method === "CONNECT") return isAuthorityForm(text) ? { authority: text, path: "" } : BAD_CONNECT;
  if (text === "*") return method === "OPTIONS" ? { authority: undefined, path: "*" } : BAD_FORM;
  const absolute = ABSOLUTE.exec(text);
  if (absolute === null) return BAD_FORM;
  const scheme = absolute[1] === "" ? "http" : "https";
  const authority = absolute[2]!; // all groups take part in every match
  const path = absolute[3]!;
  if (!isAuthority(authority)) return BAD_AUTHORITY;
  if (path === "") return { authority, path: method === "OPTIONS" ? "*" : "/", scheme }; // RFC 9112 §3.2.4
  return { authority, path: path.startsWith("/") ? path : `/${path}`, scheme };
}

export { BAD_TARGET };
