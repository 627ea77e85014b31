import { Buffer, isUtf8 } from "node:buffer";
import type { RequestHead } from "@heddle/http";
import { isAscii } from "../match/bytes.ts";
import type { AccessSubject } from "../rbac/access-subject.ts";
import { pathOnly } from "../route/path.ts";

/**
 * Envoy's attributes (intro/arch_overview/advanced/attributes) of a request or a connection, as CEL sees them: what is there
 * before the upstream is known. One object for all evaluations: `subject` is who is looked at. A value that is undefined is not there.
 * Each is computed once until `forget`: a loop may ask for it thousands of times, and a path has thousands of bytes.
 */
export class CelAttributes {
  subject!: AccessSubject; // set before each evaluation
  /** The variables of expressions. */
  readonly variables: Readonly<Record<string, object>>;
  readonly #computed = new Map<() => unknown, unknown>();

  constructor() {
    const map = (fields: Readonly<Record<string, () => unknown>>): object => this.#map(fields);
    const connectionVariables = {
      source: map({
        address: () => addressText(this.subject.source.remoteAddress, this.subject.source.remotePort),
        port: () => BigInt(this.subject.source.remotePort),
      }),
      destination: map({
        address: () => addressText(this.subject.connection.localAddress, this.subject.connection.localPort),
        port: () => BigInt(this.subject.connection.localPort),
      }),
      connection: map({
        id: () => BigInt(this.subject.connection.connectionId),
        mtls: () => this.subject.verifiedPeer !== undefined,
        requested_server_name: () => this.subject.connection.serverName,
        tls_version: () => this.subject.tls?.version,
        subject_local_certificate: () => this.subject.tls?.local?.subject,
        subject_peer_certificate: () => this.subject.verifiedPeer?.subject,
        dns_san_local_certificate: () => this.subject.tls?.local?.dnsSans[0],
        dns_san_peer_certificate: () => this.subject.verifiedPeer?.dnsSans[0],
        uri_san_local_certificate: () => this.subject.tls?.local?.uriSans[0],
        uri_san_peer_certificate: () => this.subject.verifiedPeer?.uriSans[0],
        sha256_peer_certificate_digest: () => this.subject.verifiedPeer?.fingerprintSha256,
      }),
      metadata: map({ filter_metadata: () => this.subject.metadata ?? NOTHING }),
    };
    this.variables = { ...connectionVariables, request: this.#request() };
  }

  #request(): object {
    const ofHead =
      <T>(value: (head: RequestHead) => T) =>
      (): T | undefined =>
        this.subject.head && value(this.subject.head);
    const header = (name: string) => ofHead(({ headers }) => text(headers.joined(name)));
    return this.#map({
      path: ofHead(({ path }) => text(path)),
      url_path: ofHead(({ path }) => text(pathOnly(path))),
      host: ofHead(({ authority }) => text(authority)),
      scheme: ofHead(({ scheme }) => scheme),
      method: ofHead(({ method }) => method),
      headers: ofHead(headerMap),
      referer: header("referer"),
      useragent: header("user-agent"),
      time: () => this.subject.request && new Date(this.subject.request.startWallMs),
      id: () => this.subject.request?.requestId,
      protocol: ofHead(({ httpVersion }) => `HTTP/${httpVersion}`),
      query: ofHead(({ path }) => text(queryOf(path))),
      size: ofHead((head) => BigInt(contentLength(head))),
      total_size: ofHead((head) => BigInt(contentLength(head) + headBytes(head))),
    });
  }

  /** Its fields are computed when an expression asks for them. */
  #map(fields: Readonly<Record<string, () => unknown>>): object {
    const properties = Object.entries(fields).map(([name, compute]) => {
      const get = (): unknown => {
        const known = this.#computed.get(compute);
        if (known !== undefined) return known;
        const value = compute();
        this.#computed.set(compute, value);
        return value;
      };
      return [name, { get, enumerable: true }] as const;
    });
    return Object.defineProperties({}, Object.fromEntries(properties));
  }

  /** The evaluation is over; nothing of its subject is kept. */
  forget(): void {
    this.#computed.clear();
  }
}

const NOTHING: ReadonlyMap<string, unknown> = new Map();

/** Bytes of a head as the text that they are; what is no UTF-8 stays a character for each byte, so that nothing is lost. */
function text(bytes: string): string;
function text(bytes: string | undefined): string | undefined;
function text(bytes: string | undefined): string | undefined {
  if (bytes === undefined || isAscii(bytes)) return bytes;
  const buffer = Buffer.from(bytes, "latin1");
  return isUtf8(buffer) ? buffer.toString("utf8") : bytes;
}

/** Values of a repeated field are joined by a comma, as in Envoy. */
function headerMap(head: RequestHead): ReadonlyMap<string, string> {
  const { fields } = head.headers;
  const headers = new Map<string, string>([
    [":method", head.method],
    [":authority", text(head.authority)],
    [":scheme", head.scheme],
  ]);
  if (head.path !== "") headers.set(":path", text(head.path));
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!; // names stand at even places, their values behind them
    const before = headers.get(name);
    const value = text(fields[i + 1]!);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}

function queryOf(path: string): string {
  const start = path.indexOf("?");
  if (start === -1) return "";
  const hash = path.indexOf("#", start);
  return path.slice(start + 1, hash === -1 ? undefined : hash);
}

function contentLength({ headers }: RequestHead): number {
  const length = Number(headers.get("content-length") ?? 0);
  return Number.isSafeInteger(length) && length > 0 ? length : 0;
}

function headBytes({ headers, method, authority, path, scheme }: RequestHead): number {
  let bytes = method.length + authority.length + path.length + scheme.length;
  for (const field of headers.fields) bytes += field.length;
  return bytes;
}

function addressText(address: string, port: number): string {
  if (address === "") return "";
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
