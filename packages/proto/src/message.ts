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

/** A number of any width; above 2^53 the nearest one. */
export function toNumber(value: unknown): number {
  return typeof value === "number" ? value : Number(String(value));
}
