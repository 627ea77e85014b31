/*
 * The few fields of `DeltaDiscoveryRequest` and `DeltaDiscoveryResponse` (envoy/service/discovery/v3/discovery.proto) that
 * a simulated sidecar writes and reads. A resource's body is passed over: to decode it is not the server's cost.
 */

export interface DeltaRequest {
  /** On the first request of a stream. */
  readonly node?: { readonly id: string; readonly cluster: string };
  readonly typeUrl: string;
  readonly subscribe?: Iterable<string>;
  readonly initialVersions?: ReadonlyMap<string, string>;
  readonly nonce?: string;
}

export interface DeltaResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly { readonly name: string; readonly version: string }[];
  readonly removed: readonly string[];
}

export function encodeDeltaRequest({ node, typeUrl, subscribe, initialVersions, nonce }: DeltaRequest): Buffer {
  const parts: Buffer[] = [];
  if (node !== undefined) parts.push(block(1, Buffer.concat([text(1, node.id), text(2, node.cluster)])));
  parts.push(text(2, typeUrl));
  for (const name of subscribe ?? []) parts.push(text(3, name));
  for (const [name, version] of initialVersions ?? [])
    parts.push(block(5, Buffer.concat([text(1, name), text(2, version)])));
  if (nonce !== undefined) parts.push(text(6, nonce));
  return Buffer.concat(parts);
}

export function readDeltaResponse(bytes: Buffer): DeltaResponse {
  let typeUrl = "";
  let nonce = "";
  const resources: { name: string; version: string }[] = [];
  const removed: string[] = [];
  eachField(bytes, 0, bytes.length, (field, from, to) => {
    if (field === 2) resources.push(readResource(bytes, from, to));
    else if (field === 4) typeUrl = interned(bytes, from, to);
    else if (field === 5) nonce = bytes.toString("latin1", from, to);
    else if (field === 6) removed.push(interned(bytes, from, to));
  });
  return { typeUrl, nonce, resources, removed };
}

function readResource(bytes: Buffer, from: number, to: number): { name: string; version: string } {
  let name = "";
  let version = "";
  eachField(bytes, from, to, (field, start, end) => {
    if (field === 1) version = interned(bytes, start, end);
    else if (field === 3) name = interned(bytes, start, end);
  });
  return { name, version };
}

/** Every field that matters here is length-delimited, with a tag of one byte. */
function eachField(
  bytes: Buffer,
  from: number,
  to: number,
  take: (field: number, from: number, to: number) => void,
): void {
  let at = from;
  while (at < to) {
    const tag = bytes[at++]!;
    if ((tag & 7) !== 2) throw new Error(`a field of wire type ${tag & 7} in a discovery response`);
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      length += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
    }
    take(tag >> 3, at, at + length);
    at += length;
  }
}

const texts = new Map<string, string>();

/** A thousand sidecars hold the same names. */
function interned(bytes: Buffer, from: number, to: number): string {
  const found = bytes.toString("latin1", from, to);
  const known = texts.get(found);
  if (known !== undefined) return known;
  texts.set(found, found);
  return found;
}

function text(field: number, value: string): Buffer {
  return block(field, Buffer.from(value));
}

function block(field: number, value: Buffer): Buffer {
  const head: number[] = [(field << 3) | 2];
  let rest = value.length;
  for (; rest > 127; rest = Math.floor(rest / 128)) head.push((rest & 127) | 128);
  head.push(rest);
  return Buffer.concat([Buffer.from(head), value]);
}
