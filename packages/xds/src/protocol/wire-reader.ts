import type { ResourceError } from "./wire.ts";

/*
 * Reads single fields of serialised messages without decoding the whole: a resource's name before it is known whether its
 * bytes are new, and fields that are younger than the descriptors that we compile.
 */

/**
 * The name of a serialised resource: Listener, RouteConfiguration, Cluster, ClusterLoadAssignment (as Secret and the
 * others) all have it as field 1. Undefined when the bytes are no message or have no such field.
 */
export function peekName(bytes: Uint8Array): string | undefined {
  let name: string | undefined;
  const complete = eachBlock(bytes, (field, block) => {
    if (field === 1) name ??= text(block);
  });
  return complete ? name : undefined;
}

/** `resource_errors` of a DiscoveryResponse (field 7) or a DeltaDiscoveryResponse (field 9). */
export function readResourceErrors(bytes: Uint8Array, field: 7 | 9): readonly ResourceError[] {
  const errors: ResourceError[] = [];
  eachBlock(bytes, (number, block) => {
    if (number === field) errors.push(readResourceError(block));
  });
  return errors;
}

/** ResourceError { ResourceName resource_name = 1 { string name = 1 }; google.rpc.Status error_detail = 2 } */
function readResourceError(bytes: Uint8Array): ResourceError {
  let name = "";
  let code = 0;
  let message = "";
  eachBlock(bytes, (field, block) => {
    if (field === 1) name = peekName(block) ?? "";
    if (field !== 2) return;
    eachField(block, (number, value) => {
      if (number === 1 && typeof value === "number") code = value;
      if (number === 2 && typeof value !== "number") message = text(value);
    });
  });
  return { name, status: { code, message } };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
}

function eachBlock(bytes: Uint8Array, visit: (field: number, block: Uint8Array) => void): boolean {
  return eachField(bytes, (field, value) => {
    if (typeof value !== "number") visit(field, value);
  });
}

/** Visits the top-level fields of a message: varints as numbers, blocks as views. False when it is no message. */
function eachField(bytes: Uint8Array, visit: (field: number, value: number | Uint8Array) => void): boolean {
  const reader = { bytes, at: 0 };
  while (reader.at < bytes.length) {
    const tag = varint(reader);
    if (tag === undefined) return false;
    const field = Math.floor(tag / 8);
    switch (tag % 8) {
      case 0: {
        const value = varint(reader);
        if (value === undefined) return false;
        visit(field, value);
        break;
      }
      case 1:
        reader.at += 8;
        break;
      case 2: {
        const length = varint(reader);
        if (length === undefined || reader.at + length > bytes.length) return false;
        visit(field, bytes.subarray(reader.at, reader.at + length));
        reader.at += length;
        break;
      }
      case 5:
        reader.at += 4;
        break;
      default:
        return false;
    }
  }
  return reader.at === bytes.length;
}

/** Precise up to 2^53; what is larger is no length and no field number. */
function varint(reader: { readonly bytes: Uint8Array; at: number }): number | undefined {
  let value = 0;
  for (let power = 1, length = 0; length < 10; power *= 128, length += 1) {
    const byte = reader.bytes[reader.at];
    if (byte === undefined) return undefined;
    reader.at += 1;
    value += (byte & 127) * power;
    if (byte < 128) return value;
  }
  return undefined;
}
