/**
 * Reads DER (X.690) as far as certificates need it: one element after the other, strictly. Throws `DerError` on what is not
 * DER: lengths that run over their end, indefinite or padded ones, tags of more than one byte.
 */
export class DerError extends Error {}

export interface DerElement {
  /** The identifier byte, with class and the constructed bit. */
  readonly tag: number;
  readonly content: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
}

export const DerTag = {
  Boolean: 0x01,
  Integer: 0x02,
  BitString: 0x03,
  OctetString: 0x04,
  ObjectIdentifier: 0x06,
  Utf8String: 0x0c,
  PrintableString: 0x13,
  TeletexString: 0x14,
  Ia5String: 0x16,
  UtcTime: 0x17,
  GeneralizedTime: 0x18,
  UniversalString: 0x1c,
  BmpString: 0x1e,
  Sequence: 0x30,
  Set: 0x31,
} as const;

/** The elements that lie in `bytes`, which they fill. */
export function derElements(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = readAt(bytes, at);
    elements.push(element);
    at += element.whole.length;
  }
  return elements;
}

/** The one element that `bytes` hold, of that tag. */
export function derElement(bytes: Uint8Array, tag: number): DerElement {
  const [element, ...more] = derElements(bytes);
  if (element === undefined || more.length > 0 || element.tag !== tag)
    throw new DerError(`not one element of tag ${tag}`);
  return element;
}

function readAt(bytes: Uint8Array, at: number): DerElement {
  const tag = bytes[at]!; // the caller is below the end
  if ((tag & 0x1f) === 0x1f) throw new DerError("a tag of more than one byte");
  const first = bytes[at + 1];
  if (first === undefined) throw new DerError("ends within an element");
  let start = at + 2;
  let length = first;
  if (first >= 0x80) {
    const count = first - 0x80;
    if (count === 0 || count > 4 || start + count > bytes.length) throw new DerError("a length that is none");
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + bytes[start + i]!; // looked at above
    if (length < 0x80 || length < 256 ** (count - 1)) throw new DerError("a length that is longer than it has to be");
    start += count;
  }
  const end = start + length;
  if (end > bytes.length) throw new DerError("ends within an element");
  return { tag, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) };
}

/** "2.5.29.17" */
export function oidText(content: Uint8Array): string {
  const parts: number[] = [];
  let value = 0;
  for (const [index, byte] of content.entries()) {
    value = value * 128 + (byte & 0x7f);
    if (value > Number.MAX_SAFE_INTEGER / 128) throw new DerError("an object identifier that is too long");
    if (byte >= 0x80) {
      if (index === content.length - 1) throw new DerError("ends within an object identifier");
      continue;
    }
    if (parts.length === 0)
      parts.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else parts.push(value);
    value = 0;
  }
  return parts.join(".");
}
