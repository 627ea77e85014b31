import { Buffer } from "node:buffer";
import { err, type Json, ok, type Result } from "@heddle/base";
import protobuf from "protobufjs/light.js";
import { decodeMessage, fieldOf, type Message, toNumber } from "./message.ts";
import { findType, typeNameOf, typeOf } from "./registry.ts";
import { structToJson, valueToJson } from "./well-known.ts";

/*
 * Messages as proto3 JSON, lower camel case. Own code and not protobufjs' `ext/protojson`, which throws on an Any whose
 * type it does not know: configuration that we keep for others must survive that.
 */

/** A serialised message as proto3 JSON. Fails on bytes that are no such message. */
export function toProtoJson(typeName: string, bytes: Uint8Array): Result<Json, string> {
  const message = decodeMessage(typeName, bytes);
  if (!message.ok) return message;
  try {
    return ok(messageToJson(typeName, message.value));
  } catch (error) {
    return err(error instanceof Error ? error.message : String(error));
  }
}

/**
 * A decoded message as proto3 JSON: only what was set, enums by name, 64-bit integers as strings. An Any of a type that
 * we have not compiled becomes `{ "@type", "value": <base64> }`.
 */
export function messageToJson(typeName: string, message: Message): Json {
  return writeMessage(typeOf(typeName), message);
}

function writeMessage(type: protobuf.Type, message: Message): Json {
  const special = SPECIAL[type.fullName];
  if (special !== undefined) return special(message);
  if (WRAPPER.test(type.fullName)) {
    const field = type.fields["value"]!.resolve();
    return writeSingular(field, fieldOf(message, "value") ?? field.typeDefault);
  }
  const out: { [key: string]: Json } = {};
  for (const field of type.fieldsArray) {
    const value = fieldOf(message, field.name);
    if (value === undefined || value === null) continue;
    field.resolve();
    if (field instanceof protobuf.MapField && Object.keys(value).length === 0) continue;
    out[field.jsonName] = writeField(field, value);
  }
  return out;
}

function writeField(field: protobuf.Field, value: unknown): Json {
  if (field.repeated) return (value as unknown[]).map((item) => writeSingular(field, item));
  if (!(field instanceof protobuf.MapField)) return writeSingular(field, value);
  const entries = Object.entries(value as object).map(([key, item]) => [key, writeSingular(field, item)] as const);
  return Object.fromEntries(entries); // defines own properties, "__proto__" as well
}

function writeSingular(field: protobuf.FieldBase, value: unknown): Json {
  if (field.resolvedType instanceof protobuf.Type) return writeMessage(field.resolvedType, value as Message);
  if (field.resolvedType instanceof protobuf.Enum)
    return field.resolvedType.valuesById[value as number] ?? (value as number);
  switch (field.type) {
    case "int64":
    case "uint64":
    case "sint64":
    case "fixed64":
    case "sfixed64":
      return String(value);
    case "bytes":
      return Buffer.from(value as Uint8Array).toString("base64");
    case "float":
      return writeFloat(shortestFloat(value as number));
    case "double":
      return writeFloat(value as number);
    default:
      return value as Json;
  }
}

function writeFloat(value: number): Json {
  return Number.isFinite(value) ? value : String(value); // "NaN", "Infinity", "-Infinity"
}

/** 0.1 as a float is 0.10000000149…; the shortest number that gives the same float is what was meant. */
function shortestFloat(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const shorter = Number(value.toPrecision(digits));
    if (Math.fround(shorter) === value) return shorter;
  }
  return value;
}

const WRAPPER = /^\.google\.protobuf\.(Bool|U?Int(32|64)|Float|Double|String|Bytes)Value$/;

const SPECIAL: { readonly [fullName: string]: (message: Message) => Json } = {
  ".google.protobuf.Any": writeAny,
  ".google.protobuf.Struct": structToJson,
  ".google.protobuf.Value": valueToJson,
  ".google.protobuf.ListValue": (list) => valueToJson({ listValue: list }),
  ".google.protobuf.Duration": (duration) => `${secondsText(duration)}s`,
  ".google.protobuf.Timestamp": writeTimestamp,
  ".google.protobuf.FieldMask": (mask) =>
    ((fieldOf(mask, "paths") ?? []) as string[]).map((path) => protobuf.util.camelCase(path)).join(","),
};

function writeAny(any: Message): Json {
  const typeUrl = fieldOf(any, "type_url") as string | undefined;
  if (typeUrl === undefined) return {};
  const bytes = (fieldOf(any, "value") ?? new Uint8Array()) as Uint8Array;
  const type = findType(typeNameOf(typeUrl));
  const message = type && decodeMessage(typeNameOf(typeUrl), bytes);
  if (type === undefined || message === undefined || !message.ok) {
    return { "@type": typeUrl, value: Buffer.from(bytes).toString("base64") };
  }
  const body = writeMessage(type, message.value);
  const wellKnown = SPECIAL[type.fullName] !== undefined || WRAPPER.test(type.fullName);
  return wellKnown ? { "@type": typeUrl, value: body } : { "@type": typeUrl, ...(body as object) };
}

/** Seconds with 0, 3, 6 or 9 decimals. Done in text: seconds may need more digits than a number has. */
function secondsText(message: Message): string {
  const field = fieldOf(message, "seconds") as { toString(): string } | undefined; // a number, a Long or text
  const seconds = field?.toString() ?? "0";
  const nanos = toNumber(fieldOf(message, "nanos") ?? 0);
  if (nanos === 0) return seconds;
  const sign = nanos < 0 && !seconds.startsWith("-") ? "-" : "";
  const decimals = String(Math.abs(nanos))
    .padStart(9, "0")
    .replace(/(000){1,2}$/, "");
  return `${sign}${seconds}.${decimals}`;
}

// Years 0001 to 9999 (timestamp.proto). What lies outside is no time, and somebody else's mistake: null.
const MIN_SECONDS = -62_135_596_800;
const MAX_SECONDS = 253_402_300_799;

function writeTimestamp(timestamp: Message): Json {
  const seconds = toNumber(fieldOf(timestamp, "seconds") ?? 0);
  if (seconds < MIN_SECONDS || seconds > MAX_SECONDS) return null;
  const date = new Date(seconds * 1000).toISOString().slice(0, 19);
  const decimals = secondsText({ nanos: fieldOf(timestamp, "nanos") ?? 0 }).slice(1);
  return `${date}${decimals}Z`;
}
