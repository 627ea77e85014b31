import type { HeaderMap } from "@heddle/http";
import type { TlsInfo } from "@heddle/net";
import type { CurrentClientCert, HttpManners } from "@heddle/traffic";

/**
 * `x-forwarded-client-cert` of requests whose client has shown a certificate, in the modes that ask for one
 * (config/http_conn_man/headers). What it says of a client is made once for each connection.
 */
export class ClientCertHeader {
  readonly #mode: Mode;
  readonly #details: CurrentClientCert | undefined;
  readonly #elements = new WeakMap<TlsInfo, string>();

  /** Undefined: it goes, or stays, whoever the client is. */
  static of({ forwardClientCertDetails: mode, currentClientCert }: HttpManners): ClientCertHeader | undefined {
    if (mode === "SANITIZE" || mode === "ALWAYS_FORWARD_ONLY") return undefined;
    return new ClientCertHeader(mode, currentClientCert);
  }

  constructor(mode: Mode, details: CurrentClientCert | undefined) {
    this.#mode = mode;
    this.#details = details;
  }

  /** Whether what the request brings along is kept: others before us have said it, and the client may. */
  keeps(tls: TlsInfo | undefined): boolean {
    return tls?.peer !== undefined && this.#mode !== "SANITIZE_SET";
  }

  /** Adds what we have seen ourselves. */
  apply(headers: HeaderMap, tls: TlsInfo | undefined): void {
    if (tls?.peer === undefined || this.#mode === "FORWARD_ONLY") return;
    let element = this.#elements.get(tls);
    if (element === undefined) {
      element = elementOf(tls, this.#details);
      this.#elements.set(tls, element);
    }
    const before = this.#mode === "APPEND_FORWARD" ? headers.joined(HEADER) : undefined;
    headers.set(HEADER, before === undefined || before === "" ? element : `${before},${element}`);
  }
}

type Mode = Exclude<HttpManners["forwardClientCertDetails"], "SANITIZE" | "ALWAYS_FORWARD_ONLY">;

const HEADER = "x-forwarded-client-cert";

/** In Envoy's order. */
function elementOf(tls: TlsInfo, details: CurrentClientCert | undefined): string {
  const { peer, local, peerChain } = tls;
  if (peer === undefined) return "";
  const parts: string[] = [];
  const own = local?.uriSans[0];
  if (own !== undefined) parts.push(`By=${value(own)}`);
  parts.push(`Hash=${peer.fingerprintSha256}`);
  if (details?.cert === true) parts.push(`Cert="${encodeURIComponent(peer.pem)}"`);
  if (details?.chain === true) parts.push(`Chain="${encodeURIComponent(peerChain.map(({ pem }) => pem).join(""))}"`);
  if (details?.subject === true) parts.push(`Subject="${utf8(peer.subject)}"`);
  if (details?.uri === true) {
    if (peer.uriSans.length === 0) parts.push("URI=");
    for (const name of peer.uriSans) parts.push(`URI=${value(name)}`);
  }
  if (details?.dns === true) for (const name of peer.dnsSans) parts.push(`DNS=${value(name)}`);
  return parts.join(";");
}

/** Quoted where it could be taken for more than one value: who makes up a certificate must not make up an element. */
function value(text: string): string {
  return /^[\w.:/@%+~*!$&'()?#[\]-]*$/.test(text) ? text : `"${utf8(text.replaceAll(/["\\]/g, "\\$&"))}"`;
}

/** As bytes, since header values are. A name has escaped its quotes and controls itself (RFC 2253). */
function utf8(text: string): string {
  return Buffer.from(text.replaceAll(/\p{Cc}/gu, ""), "utf8").toString("latin1");
}
