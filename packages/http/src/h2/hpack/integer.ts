/** Larger than anything that a block may say; what is larger still is an error (RFC 7541 §5.1). */
const MAX_INTEGER = 0x0fff_ffff;

/** Where an integer ended, since a function returns one number. */
export const INTEGER_END = { at: 0 };

/**
 * Reads an integer whose first byte, at `at`, has it in the low bits of `mask` (RFC 7541 §5.1). -1: it does not end before
 * `end`, or is larger than 2^28 - 1, or is written longer than that needs. `INTEGER_END.at` is the index behind it.
 */
export function readInteger(bytes: Uint8Array, at: number, end: number, mask: number): number {
  let value = bytes[at]! & mask; // the caller has seen that there is a byte
  let i = at + 1;
  if (value === mask) {
    let shift = 0;
    for (;;) {
      // Five bytes with seven bits each are enough; zeros without end are an attack on whoever counts shifts.
      if (i >= end || shift > 28) return -1;
      const byte = bytes[i++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (value > MAX_INTEGER) return -1;
      shift += 7;
      if (byte < 0x80) break;
    }
  }
  INTEGER_END.at = i;
  return value;
}

/** Writes `value` behind the high bits `pattern` of the first byte. The index behind it. */
export function writeInteger(into: Uint8Array, at: number, pattern: number, mask: number, value: number): number {
  if (value < mask) {
    into[at] = pattern | value;
    return at + 1;
  }
  into[at++] = pattern | mask;
  let rest = value - mask;
  while (rest >= 0x80) {
    into[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[at++] = rest;
  return at;
}
