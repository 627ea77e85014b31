import type { HeaderMap } from "./header-map.ts";

/**
 * The head of a request, in a form that h1 and h2 share. What HTTP/2 calls pseudo-header fields are fields here, so
 * `headers` never holds `host` or a name that begins with a colon.
 */
export class RequestHead {
  method: string;
  scheme: "http" | "https";
  /** Host header or `:authority`; of an absolute-form target the target's authority (RFC 9112 §3.2.2). Lower case is not enforced here. */
  authority: string;
  /** Path and query of an origin-form target; "*" for `OPTIONS *`; "" for CONNECT. */
  path: string;
  headers: HeaderMap;
  /** Of the message as it was received. */
  httpVersion: HttpVersion;
  /** The protocol that an h1 `Upgrade` or an h2 extended CONNECT asks for, lower case. */
  upgrade: string | undefined;

  constructor(
    method: string,
    scheme: "http" | "https",
    authority: string,
    path: string,
    headers: HeaderMap,
    httpVersion: HttpVersion = "1.1",
    upgrade?: string,
  ) {
    this.method = method;
    this.scheme = scheme;
    this.authority = authority;
    this.path = path;
    this.headers = headers;
    this.httpVersion = httpVersion;
    this.upgrade = upgrade;
  }
}

export class ResponseHead {
  /** 100 to 599. */
  status: number;
  /** Reason phrase of an h1 peer; "" otherwise. A codec that needs one and has "" takes the standard phrase. */
  reason: string;
  headers: HeaderMap;
  httpVersion: HttpVersion;

  constructor(status: number, headers: HeaderMap, reason = "", httpVersion: HttpVersion = "1.1") {
    this.status = status;
    this.reason = reason;
    this.headers = headers;
    this.httpVersion = httpVersion;
  }
}

export type HttpVersion = "1.0" | "1.1" | "2";
