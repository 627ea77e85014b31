import { table } from "./tokens.ts";

/**
 * Characters of a registered name (RFC 3986 §3.2.2) as we take them: unreserved, percent-encoded and sub-delims but
 * for the comma. A comma is what remains of two Host fields that somebody joined (RFC 9110 §5.3), and two recipients
 * would take different halves for the host.
 */
const NAME = table("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+;=");
/** The longest IPv6 address has 45 characters; the bound also keeps a hostile text from costing more than its length. */
const IPV6_LITERAL = /^\[[0-9A-Fa-f:.]{2,45}\]/;
const PERCENT = /%(?![0-9A-Fa-f]{2})/;

/**
 * Whether `text` is `uri-host [ ":" port ]` (RFC 9110 §7.2) with a host that is not empty: an http URI with an empty
 * one must be rejected (RFC 9110 §4.2.1). User information is no part of it (RFC 9110 §4.2.4).
 */
export function isAuthority(text: string): boolean {
  const hostEnd = endOfHost(text);
  return hostEnd > 0 && (hostEnd === text.length || (text.charCodeAt(hostEnd) === 0x3a && isPort(text, hostEnd + 1)));
}

/** The authority-form of a CONNECT target: here the port must be there (RFC 9112 §3.2.3). */
export function isAuthorityForm(text: string): boolean {
  return isAuthority(text) && endOfHost(text) < text.length - 1;
}

/** Where the host ends; 0 if none begins at the start. */
function endOfHost(text: string): number {
  if (text.charCodeAt(0) === 0x5b) {
    const literal = IPV6_LITERAL.exec(text)?.[0] ?? "";
    return literal.indexOf(":") === literal.lastIndexOf(":") ? 0 : literal.length;
  }
  let i = 0;
  let escaped = false;
  for (; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (NAME[code] !== 1) break;
    if (code === 0x25) escaped = true;
  }
  return escaped && PERCENT.test(text) ? 0 : i;
}

/** `*DIGIT`, and no more than a port can be. */
function isPort(text: string, from: number): boolean {
  if (text.length - from > 5) return false;
  let port = 0;
  for (let i = from; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
  }
  return port <= 65_535;
}
