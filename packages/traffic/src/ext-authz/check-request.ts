import { ProtobufWriter } from "@heddle/http";
import type { DynamicMetadata } from "../match/metadata-matcher.ts";
import { writeStruct } from "./struct-messages.ts";
import { validUtf8, validUtf8Bytes } from "./valid-utf8.ts";

/** What a service is asked to decide by: `envoy.service.auth.v3.AttributeContext`. Texts hold bytes as latin1 unless it says more. */
export interface CheckAttributes {
  readonly source: CheckedPeer;
  readonly destination: CheckedPeer;
  /** Left out: a connection is asked about, and nothing of it has been read. */
  readonly request?: CheckedRequest;
  /** Plain text. */
  readonly contextExtensions: Readonly<Record<string, string>>;
  /** By namespace, plain text. Left out: the field is not sent at all. */
  readonly metadata?: MetadataContext;
  readonly routeMetadata?: MetadataContext;
  /** "" for none. Left out: the service is not told. */
  readonly sni?: string;
}

export type MetadataContext = ReadonlyMap<string, Iterable<readonly [string, unknown]>>;

export interface CheckedPeer {
  /** An IP, or the path of a Unix socket. */
  readonly address: string;
  readonly port: number;
  /** `x-envoy-downstream-service-cluster`; of a connection's destination its SNI. */
  readonly service: string;
  /** Plain text. */
  readonly labels: Readonly<Record<string, string>>;
  /** Who it is by its certificate: its first URI, else its first DNS name, else its subject; "" where nothing is known. */
  readonly principal: string;
  /** URL-encoded PEM; "" where it is not told. */
  readonly certificate: string;
}

export interface CheckedRequest {
  /** Wall time of its first byte. */
  readonly timeMs: number;
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  /** Bytes of the body that have come. */
  readonly size: number;
  readonly protocol: string;
  /** Names and values in turn, pseudo-header fields with them. */
  readonly headers: readonly string[];
  /** Headers go as a list of bytes, each by itself, not as a map of text in which a name's values are joined. */
  readonly rawHeaders: boolean;
  /** Left out: it is not told. */
  readonly body?: Uint8Array;
  /** The body goes as bytes, not as text. */
  readonly rawBody: boolean;
}

/** What of dynamic metadata a service is told: those namespaces, each from the first that has it. */
export function chosenMetadata(
  namespaces: readonly string[],
  ...sources: readonly (DynamicMetadata | undefined)[]
): MetadataContext {
  if (namespaces.length === 0) return NO_METADATA;
  return new Map(
    namespaces.flatMap((namespace) => {
      const entries = sources.find((source) => source?.has(namespace) === true)?.get(namespace);
      return entries === undefined ? [] : [[namespace, entries] as const];
    }),
  );
}

const NO_METADATA: MetadataContext = new Map();

/** The bytes of an `envoy.service.auth.v3.CheckRequest { AttributeContext attributes = 1; }`. */
export function checkRequestBytes(attributes: CheckAttributes): Uint8Array {
  const writer = new ProtobufWriter();
  const message = writer.open(1);
  writePeer(writer, 1, attributes.source);
  writePeer(writer, 2, attributes.destination);
  if (attributes.request !== undefined) writeRequest(writer, 4, attributes.request);
  writePlainMap(writer, 10, attributes.contextExtensions);
  if (attributes.metadata !== undefined) writeMetadata(writer, 11, attributes.metadata);
  if (attributes.sni !== undefined) {
    const session = writer.open(12);
    if (attributes.sni !== "") writer.latin1(1, validUtf8(attributes.sni));
    writer.close(session);
  }
  if (attributes.routeMetadata !== undefined) writeMetadata(writer, 13, attributes.routeMetadata);
  writer.close(message);
  return writer.finish();
}

function writePeer(writer: ProtobufWriter, field: number, peer: CheckedPeer): void {
  const message = writer.open(field);
  writeAddress(writer, 1, peer);
  if (peer.service !== "") writer.latin1(2, validUtf8(peer.service));
  writePlainMap(writer, 3, peer.labels);
  if (peer.principal !== "") writer.latin1(4, validUtf8(peer.principal));
  if (peer.certificate !== "") writer.latin1(5, peer.certificate);
  writer.close(message);
}

/** `config.core.v3.Address { SocketAddress { string address = 2; uint32 port_value = 3; } = 1; Pipe { string path = 1; } = 2; }` */
function writeAddress(writer: ProtobufWriter, field: number, { address, port }: CheckedPeer): void {
  const message = writer.open(field);
  const isPipe = address === "" || address.startsWith("/") || address.startsWith("@");
  const inner = writer.open(isPipe ? 2 : 1);
  if (!isPipe) {
    writer.text(2, address);
    writer.varint(3, port);
  } else if (address !== "") writer.text(1, address);
  writer.close(inner);
  writer.close(message);
}

function writeRequest(writer: ProtobufWriter, field: number, request: CheckedRequest): void {
  const message = writer.open(field);
  const time = writer.open(1);
  writer.varint(1, Math.floor(request.timeMs / 1000));
  writer.varint(2, Math.round((request.timeMs % 1000) * 1e6));
  writer.close(time);
  const http = writer.open(2);
  writer.text(1, request.id);
  writer.latin1(2, validUtf8(request.method));
  if (!request.rawHeaders) writeTextMap(writer, 3, joinedHeaders(request));
  writer.latin1(4, validUtf8(request.path));
  writer.latin1(5, validUtf8(request.host));
  writer.latin1(6, validUtf8(request.scheme));
  if (request.size > 0) writer.varint(9, request.size);
  writer.latin1(10, request.protocol);
  if (request.body !== undefined) writer.bytes(request.rawBody ? 12 : 11, bodyOf(request, request.body));
  if (request.rawHeaders) writeRawHeaders(writer, 13, request.headers);
  writer.close(http);
  writer.close(message);
}

function bodyOf({ rawBody }: CheckedRequest, body: Uint8Array): Uint8Array {
  return rawBody ? body : validUtf8Bytes(body);
}

/** All values of a name, joined by a comma: a service that saw only one could be shown another one (CVE-2021-32777). */
function joinedHeaders({ headers }: CheckedRequest): Iterable<readonly [string, string]> {
  const joined = new Map<string, string>();
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!; // names stand at even places, values behind them
    const value = validUtf8(headers[i + 1]!);
    const before = joined.get(name);
    joined.set(name, before === undefined ? value : `${before},${value}`);
  }
  return joined;
}

/** `config.core.v3.HeaderMap { repeated HeaderValue { string key = 1; bytes raw_value = 3; } headers = 1; }` */
function writeRawHeaders(writer: ProtobufWriter, field: number, headers: readonly string[]): void {
  const message = writer.open(field);
  for (let i = 0; i < headers.length; i += 2) {
    const entry = writer.open(1);
    writer.latin1(1, headers[i]!);
    writer.latin1(3, headers[i + 1]!);
    writer.close(entry);
  }
  writer.close(message);
}

/** A map of which both sides hold bytes as latin1. */
function writeTextMap(writer: ProtobufWriter, field: number, entries: Iterable<readonly [string, string]>): void {
  for (const [key, value] of entries) {
    const entry = writer.open(field);
    writer.latin1(1, key);
    writer.latin1(2, value);
    writer.close(entry);
  }
}

function writePlainMap(writer: ProtobufWriter, field: number, map: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(map)) {
    const entry = writer.open(field);
    writer.text(1, key);
    writer.text(2, value);
    writer.close(entry);
  }
}

/** `config.core.v3.Metadata { map<string, google.protobuf.Struct> filter_metadata = 1; }` */
function writeMetadata(writer: ProtobufWriter, field: number, metadata: MetadataContext): void {
  const message = writer.open(field);
  for (const [namespace, entries] of metadata) {
    const entry = writer.open(1);
    writer.text(1, namespace);
    const struct = writer.open(2);
    writeStruct(writer, entries);
    writer.close(struct);
    writer.close(entry);
  }
  writer.close(message);
}
