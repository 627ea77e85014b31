import { isAuthority, isAuthorityForm } from "../h1/host.ts";
import { isKnownMethod } from "../h1/methods.ts";
import { isTargetText } from "../h1/request-target.ts";
import { isToken } from "../h1/tokens.ts";
import { RequestHead } from "../head.ts";
import { HeaderMap } from "../header-map.ts";
import type { DecodedBlock } from "./hpack/index.ts";
import { badField, badMessage, MessageError } from "./message-error.ts";
import { fieldsLike, Section, type SectionFields, verbatimFrom } from "./read-fields.ts";

const UNKNOWN_PSEUDO = badMessage("a pseudo-field that requests do not have");
const REPEATED_PSEUDO = badMessage("a pseudo-field is repeated");
const MISSING_PSEUDO = badMessage("a request without method, scheme or path");
const BAD_METHOD = badField("the method is not a token");
const BAD_PATH = badField("the path has a character that no URI has, or does not begin with a slash");
const BAD_SCHEME = new MessageError(400, "the scheme is neither http nor https", "http2.invalid.header.field");
const BAD_AUTHORITY = badField("the authority is malformed");
const TWO_AUTHORITIES = badMessage("host and the authority differ");
const NO_AUTHORITY = new MessageError(400, "a request has neither authority nor host", "missing_host_header");
const UNKNOWN_METHOD = new MessageError(501, "the method is not known", "http2.violation.of.messaging.rule");
const CONNECT_WITH_TARGET = badMessage("CONNECT with scheme or path, or without authority");
const PROTOCOL_REFUSED = badMessage("a protocol where extended CONNECT was not offered, or in another method");
const BAD_PROTOCOL = badField("the protocol is not a token");
const TUNNEL_WITH_BODY = badMessage("a request for a tunnel has a content-length");

const COLON = 0x3a;

export interface RequestReading {
  /** How the client reached us. */
  readonly scheme: "http" | "https";
  readonly maxHeaderCount: number;
  readonly allowCustomMethods: boolean;
  readonly allowConnect: boolean;
}

/** What a header list says that is a request. It may be used for many requests whose lists are the same, or alike. */
export class RequestMeaning {
  readonly method: string;
  readonly scheme: "http" | "https";
  readonly authority: string;
  readonly path: string;
  readonly upgrade: string | undefined;
  readonly fields: string[];
  /** Bytes; -1 if it is not said. */
  readonly contentLength: number;
  readonly isTunnel: boolean;
  /** It is for one request, which may have the fields for its own. */
  readonly #once: boolean;
  /** As `verbatimFrom` answers; -2: nobody has asked. */
  #likeFrom = -2;

  constructor(
    method: string,
    scheme: "http" | "https",
    authority: string,
    path: string,
    upgrade: string | undefined,
    { fields, contentLength }: SectionFields,
    once = false,
  ) {
    this.#once = once;
    this.method = method;
    this.scheme = scheme;
    this.authority = authority;
    this.path = path;
    this.upgrade = upgrade;
    this.fields = fields;
    this.contentLength = contentLength;
    this.isTunnel = upgrade !== undefined || method === "CONNECT";
  }

  toHead(): RequestHead {
    const headers = new HeaderMap(this.#once ? this.fields : this.fields.slice());
    return new RequestHead(this.method, this.scheme, this.authority, this.path, headers, "2", this.upgrade);
  }

  /** Of a block whose `like` says this. Undefined: it has to be read as a whole. */
  ofLike(block: DecodedBlock): RequestMeaning | undefined {
    if (this.#likeFrom === -2) this.#likeFrom = verbatimFrom(block.like!.fields, this.fields); // the caller has it from there
    const fields = fieldsLike(block, this.#likeFrom);
    if (fields === undefined) return undefined;
    const { method, scheme, authority, path, upgrade, contentLength } = this;
    return new RequestMeaning(method, scheme, authority, path, upgrade, { fields, contentLength }, true);
  }
}

/** RFC 9113 §8.3.1, §8.5; RFC 8441 §4. */
export function readRequest(list: readonly string[], options: RequestReading): RequestMeaning | MessageError {
  let method: string | undefined;
  let scheme: string | undefined;
  let authority: string | undefined;
  let path: string | undefined;
  let protocol: string | undefined;
  let at = 0;
  for (; at < list.length; at += 2) {
    const name = list[at]!;
    if (name.charCodeAt(0) !== COLON) break;
    const value = list[at + 1]!; // name and value in turn
    switch (name) {
      case ":method":
        if (method !== undefined) return REPEATED_PSEUDO;
        method = value;
        break;
      case ":scheme":
        if (scheme !== undefined) return REPEATED_PSEUDO;
        scheme = value;
        break;
      case ":authority":
        if (authority !== undefined) return REPEATED_PSEUDO;
        authority = value;
        break;
      case ":path":
        if (path !== undefined) return REPEATED_PSEUDO;
        path = value;
        break;
      case ":protocol":
        if (protocol !== undefined) return REPEATED_PSEUDO;
        protocol = value;
        break;
      default:
        return UNKNOWN_PSEUDO;
    }
  }
  const section = new Section();
  const error = section.read(list, at, options.maxHeaderCount);
  if (error !== undefined) return error;

  if (method === undefined) return MISSING_PSEUDO;
  if (!isKnownMethod(method)) {
    if (!isToken(method)) return BAD_METHOD;
    if (!options.allowCustomMethods || method === "PRI") return UNKNOWN_METHOD;
  }
  if (authority === undefined) authority = section.host;
  else if (section.host !== undefined && section.host.toLowerCase() !== authority.toLowerCase()) return TWO_AUTHORITIES;
  if (authority !== undefined && !isAuthority(authority)) return BAD_AUTHORITY;
  if (method === "CONNECT" || protocol !== undefined) {
    if (protocol !== undefined && (!options.allowConnect || method !== "CONNECT")) return PROTOCOL_REFUSED;
    if (section.contentLength > 0) return TUNNEL_WITH_BODY;
  }
  if (method === "CONNECT" && protocol === undefined) {
    if (scheme !== undefined || path !== undefined || authority === undefined) return CONNECT_WITH_TARGET;
    if (!isAuthorityForm(authority)) return BAD_AUTHORITY;
    return new RequestMeaning(method, options.scheme, authority, "", undefined, section);
  }
  if (scheme === undefined || path === undefined) return MISSING_PSEUDO;
  const known = knownScheme(scheme);
  if (known === undefined) return BAD_SCHEME;
  if (!isTargetText(path) || (path.charCodeAt(0) !== 0x2f && !(path === "*" && method === "OPTIONS"))) return BAD_PATH;
  if (authority === undefined) return NO_AUTHORITY;
  if (protocol === undefined) return new RequestMeaning(method, known, authority, path, undefined, section);
  if (!isToken(protocol)) return BAD_PROTOCOL;
  return new RequestMeaning("GET", known, authority, path, protocol.toLowerCase(), section);
}

/** Schemes are case-insensitive (RFC 3986 §3.1). */
function knownScheme(scheme: string): "http" | "https" | undefined {
  if (scheme === "http" || scheme === "https") return scheme;
  const lower = scheme.toLowerCase();
  return lower === "http" || lower === "https" ? lower : undefined;
}
