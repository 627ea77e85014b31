import { err, ok, type Result } from "@heddle/base";
import protobuf from "protobufjs/light.js";
import { typeOf } from "./registry.ts";

/**
 * A decoded message. Fields have their proto names (snake_case) and are own properties only where they were on the wire
 * (for plain scalars: where they were sent, which proto3 senders leave out for zero). 64-bit integers are `Long`s: use
 * `toNumber`. Enums are numbers. Unknown fields are kept in `$unknowns`.
 */
export type Message = { readonly [field: string]: unknown };

/** Reads a serialised message. Fails on bytes that are no such message; unknown fields are no failure. */
export function decodeMessage(typeName: string, bytes: Uint8Array): Result<Message, string> {
  const type = typeOf(typeName);
  try {
    const reader = protobuf.Reader.create(bytes);
    reader.discardUnknown = false; // what we do not know has to be seen, so that it can be refused or reported
    return ok(type.decode(reader) as unknown as Message);
  } catch (error) {
    return err(`not a ${typeName}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Serialises; fields in the order of their numbers, map entries in the order of the object's keys. */
export function encodeMessage(typeName: string, message: Message): Uint8Array {
  return typeOf(typeName).encode(message).finish();
}

/**
 * A field that was set, or undefined. For a plain scalar "set" means other than zero and for a list not empty, as proto3
 * has it; a map that is not set may come as an empty object.
 */
export function fieldOf(message: Message, name: string): unknown {
  if (!Object.hasOwn(message, name)) return undefined;
  const value = message[name];
  return value === null || (Array.isArray(value) && value.length === 0) ? undefined : value;
}

/** The numbers of the fields that a decoded message has and its type does not, each once. */
export function unknownFields(message: Message): ReadonlySet<number> {
  if (!Object.hasOwn(message, "$unknowns")) return NONE;
  return new Set((message["$unknowns"] as readonly Uint8Array[]).map(fieldNumberOf));
}

const NONE: ReadonlySet<number> = new Set();

/** A number of any width; above 2^53 the nearest one. */
export function toNumber(value: unknown): number {
  return typeof value === "number" ? value : Number(String(value));
}

/** The field number of an unknown field as it was on the wire: its tag is a varint, the lowest three bits are the type. */
function fieldNumberOf(raw: Uint8Array): number {
  let tag = 0;
  for (let i = 0; i < raw.length && i < 5; i++) {
    tag += (raw[i]! & 0x7f) * 2 ** (7 * i); // i is below the length
    if (raw[i]! < 0x80) break;
  }
  return Math.floor(tag / 8);
}
