import { ProtobufReader, type ProtobufWriter, WireType } from "@heddle/http";

/*
 * google.protobuf.Struct, Value and ListValue (struct.proto) for metadata that goes to a service and comes from it:
 *
 *     Struct { map<string, Value> fields = 1; }     ListValue { repeated Value values = 1; }
 *     Value { NullValue null_value = 1; double number_value = 2; string string_value = 3; bool bool_value = 4;
 *             Struct struct_value = 5; ListValue list_value = 6; }
 */

/** A map of which each entry is a message of key (1) and value (2), as all maps are. */
export function writeStruct(writer: ProtobufWriter, entries: Iterable<readonly [string, unknown]>, depth = 0): void {
  for (const [key, value] of entries) {
    const entry = writer.open(1);
    writer.text(1, key);
    const at = writer.open(2);
    writeValue(writer, value, depth + 1);
    writer.close(at);
    writer.close(entry);
  }
}

/** What is no JSON is null. */
function writeValue(writer: ProtobufWriter, value: unknown, depth: number): void {
  switch (typeof value) {
    case "number":
      writer.double(2, value);
      return;
    case "string":
      writer.text(3, value);
      return;
    case "boolean":
      writer.varint(4, value ? 1 : 0);
      return;
    case "object":
      if (value !== null && depth < MAX_DEPTH) {
        writeCompound(writer, value, depth);
        return;
      }
      break;
    default:
  }
  writer.varint(1, 0);
}

function writeCompound(writer: ProtobufWriter, value: object, depth: number): void {
  if (!Array.isArray(value)) {
    const struct = writer.open(5);
    writeStruct(writer, value instanceof Map ? value : Object.entries(value), depth);
    writer.close(struct);
    return;
  }
  const list = writer.open(6);
  for (const item of value) {
    const at = writer.open(1);
    writeValue(writer, item, depth + 1);
    writer.close(at);
  }
  writer.close(list);
}

/** The entries of a Struct. Undefined: these bytes are none, or it is nested too deeply. */
export function readStruct(bytes: Uint8Array, depth = 0): [string, unknown][] | undefined {
  const fields = new Map<string, unknown>(); // of a key that comes twice the last counts
  const reader = new ProtobufReader(bytes);
  while (reader.next()) {
    if (!reader.is(1, WireType.Bytes)) continue;
    const entry = new ProtobufReader(reader.bytes);
    let key = "";
    let value: unknown = null;
    while (entry.next()) {
      if (entry.is(1, WireType.Bytes)) key = entry.text;
      else if (entry.is(2, WireType.Bytes)) value = readValue(entry.bytes, depth + 1);
      if (value === undefined) return undefined;
    }
    if (entry.broken) return undefined;
    fields.set(key, value);
  }
  return reader.broken ? undefined : [...fields];
}

/** Undefined: these bytes are no Value. One without a kind is null. */
function readValue(bytes: Uint8Array, depth: number): unknown {
  if (depth > MAX_DEPTH) return undefined;
  const reader = new ProtobufReader(bytes);
  let value: unknown = null;
  while (reader.next()) {
    if (reader.is(1, WireType.Varint)) value = null;
    else if (reader.is(2, WireType.Fixed64)) value = reader.double;
    else if (reader.is(3, WireType.Bytes)) value = reader.text;
    else if (reader.is(4, WireType.Varint)) value = reader.varint !== 0;
    else if (reader.is(5, WireType.Bytes)) value = objectOf(readStruct(reader.bytes, depth));
    else if (reader.is(6, WireType.Bytes)) value = readList(reader.bytes, depth);
    if (value === undefined) return undefined;
  }
  return reader.broken ? undefined : value;
}

/** Defines own properties, "__proto__" as well. */
function objectOf(fields: readonly (readonly [string, unknown])[] | undefined): unknown {
  return fields && Object.fromEntries(fields);
}

function readList(bytes: Uint8Array, depth: number): unknown[] | undefined {
  const reader = new ProtobufReader(bytes);
  const values: unknown[] = [];
  while (reader.next()) {
    if (!reader.is(1, WireType.Bytes)) continue;
    const value = readValue(reader.bytes, depth + 1);
    if (value === undefined) return undefined;
    values.push(value);
  }
  return reader.broken ? undefined : values;
}

/** Of protobuf's own readers: 100 messages within each other, of which a value takes two or three. */
const MAX_DEPTH = 33;
