import type { EncodedResource } from "../snapshot.ts";
import type { ServerResponse } from "./server-session.ts";

/*
 * Responses as bytes, put together from resources that were encoded long before: a resource costs one copy here, however
 * large it is and however many nodes want it. Field numbers are those of envoy/service/discovery/v3/discovery.proto; every
 * field that is written has wire type 2 (length-delimited), so a tag is one byte.
 */

/** `DiscoveryResponse`. */
export function encodeSotwResponse(response: ServerResponse, controlPlaneIdentifier: string): Buffer {
  const { typeUrl } = response;
  const anys = response.resources.map((resource) => anySize(typeUrl, resource));
  let size = textSize(response.version) + textSize(typeUrl) + textSize(response.nonce);
  size += controlPlaneSize(controlPlaneIdentifier);
  for (const any of anys) size += blockSize(any);
  const out = new FieldWriter(size);
  out.text(1, response.version);
  for (const [index, resource] of response.resources.entries()) {
    out.head(2, anys[index]!); // one size for each resource
    out.any(typeUrl, resource);
  }
  out.text(4, typeUrl);
  out.text(5, response.nonce);
  out.controlPlane(6, controlPlaneIdentifier);
  return out.finish();
}

/** `DeltaDiscoveryResponse`. */
export function encodeDeltaResponse(response: ServerResponse, controlPlaneIdentifier: string): Buffer {
  const { typeUrl } = response;
  const anys = response.resources.map((resource) => anySize(typeUrl, resource));
  const wrapped = response.resources.map(
    ({ name, version }, index) => textSize(version) + blockSize(anys[index]!) + textSize(name),
  );
  let size = textSize(response.version) + textSize(typeUrl) + textSize(response.nonce);
  size += controlPlaneSize(controlPlaneIdentifier);
  for (const resource of wrapped) size += blockSize(resource);
  for (const name of response.removed) size += blockSize(Buffer.byteLength(name));
  const out = new FieldWriter(size);
  out.text(1, response.version);
  for (const [index, resource] of response.resources.entries()) {
    out.head(2, wrapped[index]!); // one size for each resource
    out.text(1, resource.version);
    out.head(2, anys[index]!);
    out.any(typeUrl, resource);
    out.text(3, resource.name);
  }
  out.text(4, typeUrl);
  out.text(5, response.nonce);
  for (const name of response.removed) out.block(6, name);
  out.controlPlane(7, controlPlaneIdentifier);
  return out.finish();
}

function anySize(typeUrl: string, resource: EncodedResource): number {
  return textSize(typeUrl) + (resource.bytes.length === 0 ? 0 : blockSize(resource.bytes.length));
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

  any(typeUrl: string, resource: EncodedResource): void {
    this.text(1, typeUrl);
    if (resource.bytes.length === 0) return;
    this.head(2, resource.bytes.length);
    this.#out.set(resource.bytes, this.#at);
    this.#at += resource.bytes.length;
  }

  controlPlane(field: number, identifier: string): void {
    if (identifier === "") return;
    this.head(field, textSize(identifier));
    this.text(1, identifier);
  }

  finish(): Buffer {
    if (this.#at !== this.#out.length) throw new Error(`wrote ${this.#at} bytes of ${this.#out.length}`);
    return this.#out;
  }
}
