/*
 * Reads protobuf's wire format (https://protobuf.dev/programming-guides/encoding/) by field numbers, with none of the code that
 * is tested.
 */

/** The values of each field in the order in which they came. */
export type WireMessage = ReadonlyMap<number, readonly WireValue[]>;
/** A varint or a fixed one as a number; bytes, text and messages as bytes. */
export type WireValue = bigint | Buffer;

export function readWire(bytes: Buffer): WireMessage {
  const fields = new Map<number, WireValue[]>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const values = fields.get(tag >> 3) ?? [];
    fields.set(tag >> 3, values);
    switch (tag & 7) {
      case 0:
        values.push(varint());
        break;
      case 1:
        values.push(bytes.readBigUInt64LE(at));
        at += 8;
        break;
      case 2: {
        const length = Number(varint());
        values.push(bytes.subarray(at, at + length));
        at += length;
        break;
      }
      case 5:
        values.push(BigInt(bytes.readUInt32LE(at)));
        at += 4;
        break;
      default:
        throw new Error(`wire type ${tag & 7} at ${at}`);
    }
  }
  return fields;
}

export function bytesAt(message: WireMessage, field: number): Buffer {
  const value = message.get(field)?.[0] ?? Buffer.alloc(0);
  if (typeof value === "bigint") throw new Error(`field ${field} is a number`);
  return value;
}

export function textAt(message: WireMessage, field: number): string {
  return bytesAt(message, field).toString("utf8");
}

export function numberAt(message: WireMessage, field: number): bigint {
  const value = message.get(field)?.[0] ?? 0n;
  if (typeof value !== "bigint") throw new Error(`field ${field} is no number`);
  return value;
}

export function doubleAt(message: WireMessage, field: number): number {
  const bits = Buffer.alloc(8);
  bits.writeBigUInt64LE(numberAt(message, field));
  return bits.readDoubleLE();
}

export function messagesAt(message: WireMessage, field: number): WireMessage[] {
  return (message.get(field) ?? []).map((value) => {
    if (typeof value === "bigint") throw new Error(`field ${field} holds no message`);
    return readWire(value);
  });
}

/** `repeated fixed64`, packed. */
export function packedFixed64(message: WireMessage, field: number): bigint[] {
  const bytes = bytesAt(message, field);
  return Array.from({ length: bytes.length / 8 }, (_, index) => bytes.readBigUInt64LE(index * 8));
}
