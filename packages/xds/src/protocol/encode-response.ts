import { encodeWrappedResource } from "@heddle/proto";
import type { EncodedResource } from "../snapshot.ts";
import type { BodilessResource, ServerResponse } from "./server-session.ts";
import { WRAPPED_RESOURCE_TYPE_URL } from "./type-urls.ts";

/*
 * Responses as bytes, put together from resources that were encoded long before: a resource costs one copy here, however
 * large it is and however many nodes want it. Field numbers are those of envoy/service/discovery/v3/discovery.proto; every
 * field that is written has wire type 2 (length-delimited), so a tag is one byte.
 */

/** `DiscoveryResponse`. */
export function encodeSotwResponse(response: ServerResponse, controlPlaneIdentifier: string): Buffer {
  const { typeUrl } = response;
  const anys = [
    ...response.resources.map((resource) => sotwAny(typeUrl, resource, response.withTtl === true)),
    ...(response.bodiless ?? []).map((one) => ({ typeUrl: WRAPPED_RESOURCE_TYPE_URL, bytes: encodeBodiless(one) })),
  ];
  let size = textSize(response.version) + textSize(typeUrl) + textSize(response.nonce);
  size += controlPlaneSize(controlPlaneIdentifier);
  for (const any of anys) size += blockSize(anySize(any));
  const out = new FieldWriter(size);
  out.text(1, response.version);
  for (const any of anys) {
    out.head(2, anySize(any));
    out.any(any);
  }
  out.text(4, typeUrl);
  out.text(5, response.nonce);
  out.controlPlane(6, controlPlaneIdentifier);
  return out.finish();
}

/** `DeltaDiscoveryResponse`. */
export function encodeDeltaResponse(response: ServerResponse, controlPlaneIdentifier: string): Buffer {
  const { typeUrl } = response;
  const envelopes = [
    ...response.resources.map((resource) => deltaEnvelope(typeUrl, resource, response.withTtl === true)),
    ...(response.bodiless ?? []).map(encodeBodiless),
  ];
  let size = textSize(response.version) + textSize(typeUrl) + textSize(response.nonce);
  size += controlPlaneSize(controlPlaneIdentifier);
  for (const envelope of envelopes) size += blockSize(envelopeSize(envelope));
  for (const name of response.removed) size += blockSize(Buffer.byteLength(name));
  const out = new FieldWriter(size);
  out.text(1, response.version);
  for (const envelope of envelopes) {
    out.head(2, envelopeSize(envelope));
    out.envelope(envelope);
  }
  out.text(4, typeUrl);
  out.text(5, response.nonce);
  for (const name of response.removed) out.block(6, name);
  out.controlPlane(7, controlPlaneIdentifier);
  return out.finish();
}

interface AnyBytes {
  readonly typeUrl: string;
  readonly bytes: Uint8Array;
}

/** The usual envelope is written from its parts; one with aliases or a time to live is encoded once and copied. */
type Envelope = Uint8Array | { readonly name: string; readonly version: string; readonly any: AnyBytes };

const wrapped = new WeakMap<EncodedResource, { readonly typeUrl: string; readonly bytes: Uint8Array }>();

function sotwAny(typeUrl: string, resource: EncodedResource, withTtl: boolean): AnyBytes {
  if (!withTtl || resource.ttlMs === undefined) return { typeUrl, bytes: resource.bytes };
  return { typeUrl: WRAPPED_RESOURCE_TYPE_URL, bytes: wrap(typeUrl, resource) };
}

function deltaEnvelope(typeUrl: string, resource: EncodedResource, withTtl: boolean): Envelope {
  const { name, version, bytes, aliases, ttlMs } = resource;
  if (withTtl && ttlMs !== undefined) return wrap(typeUrl, resource);
  if (aliases !== undefined)
    return encodeWrappedResource({ name, aliases, version, resource: { typeUrl, value: bytes } });
  return { name, version, any: { typeUrl, bytes } };
}

function wrap(typeUrl: string, resource: EncodedResource): Uint8Array {
  const known = wrapped.get(resource);
  if (known?.typeUrl === typeUrl) return known.bytes;
  const { name, version, aliases = [], ttlMs } = resource;
  const bytes = encodeWrappedResource({ name, aliases, version, resource: { typeUrl, value: resource.bytes }, ttlMs });
  wrapped.set(resource, { typeUrl, bytes });
  return bytes;
}

function encodeBodiless({ name, aliases = [], version, ttlMs }: BodilessResource): Uint8Array {
  return encodeWrappedResource({ name, aliases, version, resource: undefined, ttlMs });
}

function anySize({ typeUrl, bytes }: AnyBytes): number {
  return textSize(typeUrl) + (bytes.length === 0 ? 0 : blockSize(bytes.length));
}

function envelopeSize(envelope: Envelope): number {
  if (envelope instanceof Uint8Array) return envelope.length;
  return textSize(envelope.version) + blockSize(anySize(envelope.any)) + textSize(envelope.name);
}

/** An empty text is the default and is not written. */
function textSize(text: string): number {
  return text === "" ? 0 : blockSize(Buffer.byteLength(text));
}

function controlPlaneSize(identifier: string): number {
  return identifier === "" ? 0 : blockSize(textSize(identifier));
}

function blockSize(length: number): number {
  return 1 + varintSize(length) + length;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size += 1;
  return size;
}

/** Writes length-delimited fields into one allocation whose size is known beforehand. */
class FieldWriter {
  readonly #out: Buffer;
  #at = 0;

  constructor(size: number) {
    this.#out = Buffer.allocUnsafe(size);
  }

  head(field: number, length: number): void {
    this.#out[this.#at++] = (field << 3) | 2;
    let rest = length;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.#out[this.#at++] = (rest & 127) | 128;
    this.#out[this.#at++] = rest;
  }

  /** A text that may be empty: an element of a list. */
  block(field: number, text: string): void {
    this.head(field, Buffer.byteLength(text));
    this.#at += this.#out.write(text, this.#at, "utf8");
  }

  text(field: number, text: string): void {
    if (text !== "") this.block(field, text);
  }

  any({ typeUrl, bytes }: AnyBytes): void {
    this.text(1, typeUrl);
    if (bytes.length === 0) return;
    this.head(2, bytes.length);
    this.#bytes(bytes);
  }

  envelope(envelope: Envelope): void {
    if (envelope instanceof Uint8Array) {
      this.#bytes(envelope);
      return;
    }
    this.text(1, envelope.version);
    this.head(2, anySize(envelope.any));
    this.any(envelope.any);
    this.text(3, envelope.name);
  }

  controlPlane(field: number, identifier: string): void {
    if (identifier === "") return;
    this.head(field, textSize(identifier));
    this.text(1, identifier);
  }

  #bytes(bytes: Uint8Array): void {
    this.#out.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  finish(): Buffer {
    if (this.#at !== this.#out.length) throw new Error(`wrote ${this.#at} bytes of ${this.#out.length}`);
    return this.#out;
  }
}
