import { Buffer } from "node:buffer";
import { err, isJsonObject, ok, type Result } from "@heddle/base";
import protobuf from "protobufjs/light.js";
import { encodeMessage, type Message } from "./message.ts";
import { findType, typeNameOf, typeOf } from "./registry.ts";
import { isNestedDeeper, structFromJson, valueFromJson } from "./well-known.ts";

/*
 * Messages from proto3 JSON, as Envoy reads it: field names in snake_case or lower camel case, enums by name or number.
 * Own code and not protobufjs' `ext/protojson`, which stops at the first error and does not say where it is.
 */

/** One thing wrong with a document. */
export interface JsonIssue {
  /** Keys as they stand in the document, and list indices. */
  readonly segments: readonly (string | number)[];
  /** The same, to be read: "filter_chains[0].filters[1].name". */
  readonly path: string;
  /** What was found and what is allowed. */
  readonly message: string;
}

/** Proto3 JSON as a serialised message, or everything that is wrong with it. Says nothing about `validate.rules`. */
export function fromProtoJson(typeName: string, json: unknown): Result<Uint8Array, readonly JsonIssue[]> {
  const message = messageFromJson(typeName, json);
  return message.ok ? ok(encodeMessage(typeName, message.value)) : message;
}

/**
 * Proto3 JSON as a message, or everything that is wrong with it. Where `onUnknownField` is given, fields that are not known
 * are told to it and left out, instead of being wrong.
 */
export function messageFromJson(
  typeName: string,
  json: unknown,
  onUnknownField?: (issue: JsonIssue) => void,
): Result<Message, readonly JsonIssue[]> {
  const reader = new Reader(onUnknownField);
  const message = reader.readMessage(typeOf(typeName), json, []);
  return reader.issues.length === 0 ? ok(message as Message) : err(reader.issues);
}

/** "a[0].b" of ["a", 0, "b"]. Keys that are no names are quoted: `a["x.y"]`. */
export function formatSegments(segments: readonly (string | number)[]): string {
  let text = "";
  for (const segment of segments) {
    if (typeof segment === "number") text += `[${segment}]`;
    else if (!/^[@\w]+$/.test(segment)) text += `[${JSON.stringify(segment)}]`;
    else text += text === "" ? segment : `.${segment}`;
  }
  return text;
}

type Path = readonly (string | number)[];
type JsonObject = { readonly [key: string]: unknown };

// Deeper than any configuration; short of the stack.
const MAX_DEPTH = 100;
/** Of messages within one another. Protobuf writes and reads 100 of them, and what is read here may become part of others. */
const MAX_MESSAGES = 90;
const TOO_MANY_MESSAGES = `is nested deeper than ${MAX_MESSAGES} messages; an object or list in a Struct is two`;

class Reader {
  readonly issues: JsonIssue[] = [];
  readonly #onUnknownField: ((issue: JsonIssue) => void) | undefined;
  /** Messages that the one that is being read stands in, up to the `Any` that holds them as bytes. */
  #around = 0;

  constructor(onUnknownField: ((issue: JsonIssue) => void) | undefined) {
    this.#onUnknownField = onUnknownField;
  }

  /** Undefined: something is wrong, and an issue says what. */
  readMessage(type: protobuf.Type, json: unknown, path: Path): Message | undefined {
    if (path.length > MAX_DEPTH) return this.#fail(path, `is nested deeper than ${MAX_DEPTH} levels`);
    if (this.#around > MAX_MESSAGES) return this.#fail(path, TOO_MANY_MESSAGES);
    this.#around += 1;
    const message = this.#readWithin(type, json, path);
    this.#around -= 1;
    return message;
  }

  #readWithin(type: protobuf.Type, json: unknown, path: Path): Message | undefined {
    const special = SPECIAL[type.fullName];
    if (special !== undefined) {
      // An object or list of JSON is two messages: a Value, and the Struct or ListValue in it.
      if (isNestedDeeper(json, (MAX_MESSAGES - this.#around) / 2)) return this.#fail(path, TOO_MANY_MESSAGES);
      const message = special(json);
      return typeof message === "string" ? this.#fail(path, message) : message;
    }
    if (type.fullName === ".google.protobuf.Any") return this.#readAny(json, path);
    if (WRAPPER.test(type.fullName)) {
      const value = this.#readSingular(type.fields["value"]!.resolve(), wrapped(json), path);
      return value === undefined ? undefined : { value };
    }
    if (!isJsonObject(json)) {
      const found = type.fullName === DATA_SOURCE ? "is none" : `found ${show(json)}`;
      return this.#fail(path, `${found}, allowed is an object`);
    }
    return this.#readFields(type, json, path);
  }

  #readFields(type: protobuf.Type, json: JsonObject, path: Path): Message {
    const out: { [field: string]: unknown } = {};
    const keyOf = new Map<string, string>(); // field or oneof, and the key that set it
    for (const [key, value] of Object.entries(json)) {
      if (value === undefined) continue; // from a program; a document cannot say it
      const field = fieldsByKey(type).get(key);
      if (field === undefined) {
        this.#unknownField([...path, key], `is no field of ${type.fullName.slice(1)}${didYouMean(type, key)}`);
        continue;
      }
      if (value === null && field.resolvedType?.fullName !== ".google.protobuf.Value") continue; // null is unset
      const read = this.#readField(field, value, [...path, key]);
      const slot = field.partOf?.name ?? field.name;
      const earlier = keyOf.get(slot);
      if (earlier !== undefined) {
        const why = field.partOf === null ? "is the same field as" : "excludes";
        this.#fail([...path, key], `${why} "${earlier}", which is set as well`);
        continue;
      }
      keyOf.set(slot, key);
      if (read !== undefined && !isImplicitDefault(field, read)) out[field.name] = read;
    }
    return out;
  }

  #readField(field: protobuf.Field, json: unknown, path: Path): unknown {
    if (field instanceof protobuf.MapField) return this.#readMap(field, json, path);
    if (!field.repeated) return this.#readSingular(field, json, path);
    // Envoy's reader takes what stands alone for a list of one: `grpc_services: { envoy_grpc: … }`.
    if (!Array.isArray(json)) {
      const read = this.#readSingular(field, json, path);
      return read === undefined ? undefined : [read];
    }
    return json.map((item, index) => this.#readSingular(field, item, [...path, index]));
  }

  #readMap(field: protobuf.MapField, json: unknown, path: Path): unknown {
    if (!isJsonObject(json)) return this.#fail(path, `found ${show(json)}, allowed is an object`);
    // Sorted, so that equal maps give equal bytes.
    const keys = Object.keys(json).sort();
    return Object.fromEntries(keys.map((key) => [key, this.#readSingular(field, json[key], [...path, key])]));
  }

  #readSingular(field: protobuf.FieldBase, json: unknown, path: Path): unknown {
    if (field.resolvedType instanceof protobuf.Type) return this.readMessage(field.resolvedType, json, path);
    if (field.resolvedType instanceof protobuf.Enum) return this.#readEnum(field.resolvedType, json, path);
    const scalar = readScalar(field.type, json);
    if (scalar !== undefined) return scalar;
    // What stands there may be a key.
    const isHidden = field.type === "bytes" || field.parent?.fullName === DATA_SOURCE;
    return this.#fail(path, `${isHidden ? "is none" : `found ${show(json)}`}, allowed is ${SCALARS[field.type]}`);
  }

  #readEnum(type: protobuf.Enum, json: unknown, path: Path): number | undefined {
    // Envoy reads the names of enums in any case.
    if (typeof json === "string" && Object.hasOwn(type.values, json.toUpperCase()))
      return type.values[json.toUpperCase()];
    if (typeof json === "string" && Object.hasOwn(type.values, json)) return type.values[json];
    if (typeof json === "number" && Number.isInteger(json) && Math.abs(json) <= 0x7fffffff) return json;
    return this.#fail(path, `found ${show(json)}, allowed are ${Object.keys(type.values).join(", ")}`);
  }

  #readAny(json: unknown, path: Path): Message | undefined {
    if (!isJsonObject(json)) return this.#fail(path, `found ${show(json)}, allowed is an object with "@type"`);
    const typeUrl = json["@type"];
    if (typeUrl === undefined && Object.keys(json).length === 0) return {};
    if (typeof typeUrl !== "string") return this.#fail([...path, "@type"], "must name the message type");
    const name = typeNameOf(typeUrl);
    const type = findType(name);
    if (type === undefined) return this.#fail([...path, "@type"], `message type ${JSON.stringify(name)} is not known`);
    const { "@type": _, ...body } = json;
    const around = this.#around;
    this.#around = 0;
    const wellKnown = type.fullName.startsWith(".google.protobuf.") && type.fullName !== ".google.protobuf.Empty";
    const inner = wellKnown
      ? this.readMessage(type, body["value"], [...path, "value"])
      : this.readMessage(type, body, path);
    this.#around = around;
    if (inner === undefined || this.issues.length > 0) return undefined; // half a message is not worth its bytes
    return { type_url: typeUrl, value: encodeMessage(name, inner) };
  }

  #unknownField(path: Path, message: string): void {
    if (this.#onUnknownField === undefined) this.#fail(path, message);
    else this.#onUnknownField({ segments: path, path: formatSegments(path), message });
  }

  #fail(path: Path, message: string): undefined {
    this.issues.push({ segments: path, path: formatSegments(path), message });
    return undefined;
  }
}

const fieldIndexes = new WeakMap<protobuf.Type, ReadonlyMap<string, protobuf.Field>>();

function fieldsByKey(type: protobuf.Type): ReadonlyMap<string, protobuf.Field> {
  let index = fieldIndexes.get(type);
  if (index === undefined) {
    index = new Map(
      type.fieldsArray.flatMap((field) => {
        field.resolve();
        return [[field.name, field] as const, [field.jsonName, field] as const];
      }),
    );
    fieldIndexes.set(type, index);
  }
  return index;
}

function didYouMean(type: protobuf.Type, key: string): string {
  const plain = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
  const wanted = plain(key);
  const near = type.fieldsArray.find((field) => plain(field.name) === wanted || plain(field.name) === `${wanted}s`);
  return near === undefined ? "" : `; did you mean "${near.name}"?`;
}

/** Plain scalars of proto3 that are zero are not sent. */
function isImplicitDefault(field: protobuf.Field, value: unknown): boolean {
  if (field.repeated || field.map || field.partOf !== null || field.resolvedType instanceof protobuf.Type) return false;
  return value === 0 || value === "" || value === false || (value instanceof Uint8Array && value.length === 0);
}

const RANGES: { readonly [type: string]: readonly [bigint, bigint] } = {
  int32: [-(2n ** 31n), 2n ** 31n - 1n],
  sint32: [-(2n ** 31n), 2n ** 31n - 1n],
  sfixed32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint32: [0n, 2n ** 32n - 1n],
  fixed32: [0n, 2n ** 32n - 1n],
  int64: [-(2n ** 63n), 2n ** 63n - 1n],
  sint64: [-(2n ** 63n), 2n ** 63n - 1n],
  sfixed64: [-(2n ** 63n), 2n ** 63n - 1n],
  uint64: [0n, 2n ** 64n - 1n],
  fixed64: [0n, 2n ** 64n - 1n],
};

const SCALARS: { readonly [type: string]: string } = {
  ...Object.fromEntries(
    Object.entries(RANGES).map(([type, [low, high]]) => [type, `a whole number from ${low} to ${high}`]),
  ),
  float: "a number",
  double: "a number",
  bool: "true or false",
  string: "text",
  bytes: "text in base64",
};

/** Undefined where the value does not fit the type. */
function readScalar(type: string, json: unknown): unknown {
  switch (type) {
    case "bool":
      return typeof json === "string" ? BOOLEANS.get(json.toLowerCase()) : typeof json === "boolean" ? json : undefined;
    case "string":
      return typeof json === "string" && json.isWellFormed() ? json : undefined;
    case "bytes":
      return typeof json === "string" && BASE64.test(json) ? Buffer.from(json, "base64") : undefined;
    case "float":
    case "double":
      return readFloat(type, json);
    default:
      return readInteger(type, json);
  }
}

/** As text too: Envoy's YAML is of version 1.1, where these words are no text. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...["true", "yes", "on", "y"].map((word) => [word, true] as const),
  ...["false", "no", "off", "n"].map((word) => [word, false] as const),
]);
// Standard and URL-safe alphabet, with and without padding.
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;
const NUMBER = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;
const MAX_FLOAT = 3.4028234663852886e38;

function readFloat(type: string, json: unknown): number | undefined {
  if (json === "NaN" || json === "Infinity" || json === "-Infinity") return Number(json);
  const value = typeof json === "string" && NUMBER.test(json) ? Number(json) : json;
  if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
  return type === "float" && Math.abs(value) > MAX_FLOAT ? undefined : value;
}

function readInteger(type: string, json: unknown): unknown {
  const text = typeof json === "number" ? String(json) : json;
  if (typeof text !== "string" || !NUMBER.test(text)) return undefined;
  const value = /^-?\d+$/.test(text) ? BigInt(text) : Number.isInteger(Number(text)) ? BigInt(Number(text)) : undefined;
  const [low, high] = RANGES[type]!; // every scalar type that is not handled before stands in the table
  if (value === undefined || value < low || value > high) return undefined;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value); // protobufjs takes 64-bit integers as text, too
}

const WRAPPER = /^\.google\.protobuf\.(Bool|U?Int(32|64)|Float|Double|String|Bytes)Value$/;

/** A message, or what is wrong with the JSON. */
const SPECIAL: { readonly [fullName: string]: (json: unknown) => Message | string } = {
  ".google.protobuf.Struct": (json) =>
    isJsonObject(json) ? structFromJson(json) : `found ${show(json)}, allowed is an object`,
  ".google.protobuf.Value": valueFromJson,
  ".google.protobuf.ListValue": (json) =>
    Array.isArray(json) ? { values: json.map(valueFromJson) } : `found ${show(json)}, allowed is a list`,
  ".google.protobuf.Duration": readDuration,
  ".google.protobuf.Timestamp": readTimestamp,
  ".google.protobuf.FieldMask": (json) =>
    typeof json === "string"
      ? {
          paths:
            json === "" ? [] : json.split(",").map((path) => path.replaceAll(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)),
        }
      : `found ${show(json)}, allowed is text such as "a,b.c"`,
};

/*
 * Older readers of protobuf took the fields of these messages as well as their JSON form, and configurations of that time are
 * still about: `connect_timeout: { seconds: 5 }`, `max_requests: { value: 100 }`.
 */

/** "5.000000002s" of `{ seconds: 5, nanos: 2 }`; anything else as it is. */
function durationText(json: unknown): unknown {
  if (!isJsonObject(json) || Object.keys(json).some((key) => key !== "seconds" && key !== "nanos")) return json;
  const [seconds, nanos] = [Number(json["seconds"] ?? 0), Number(json["nanos"] ?? 0)];
  if (!Number.isSafeInteger(seconds) || !Number.isInteger(nanos) || Math.abs(nanos) > 999_999_999) return json;
  if (seconds * nanos < 0) return json; // of one sign (duration.proto)
  const sign = seconds < 0 || nanos < 0 ? "-" : "";
  return `${sign}${Math.abs(seconds)}.${String(Math.abs(nanos)).padStart(9, "0")}s`;
}

/** 100 of `{ value: 100 }`; anything else as it is. */
function wrapped(json: unknown): unknown {
  return isJsonObject(json) && Object.keys(json).length === 1 && "value" in json ? json["value"] : json;
}

/** google/protobuf/duration.proto: at most 10,000 years, nine decimals. */
const MAX_DURATION_SECONDS = 315_576_000_000;

function readDuration(json: unknown): Message | string {
  const text = durationText(json);
  const parts = typeof text === "string" ? /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(text) : null;
  if (parts === null) return `found ${show(json)}, allowed is a duration in seconds such as "1.5s"`;
  const sign = parts[1] === "-" ? -1 : 1;
  const seconds = sign * Number(parts[2]);
  const nanos = sign * Number((parts[3] ?? "").padEnd(9, "0"));
  if (Math.abs(seconds) > MAX_DURATION_SECONDS)
    return `found ${show(json)}, allowed are up to ${MAX_DURATION_SECONDS}s`;
  return { ...(seconds !== 0 && { seconds }), ...(nanos !== 0 && { nanos }) };
}

function readTimestamp(json: unknown): Message | string {
  const parts =
    typeof json === "string" ? /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(json) : null;
  const ms = parts === null ? Number.NaN : Date.parse(`${parts[1]}${parts[3]}`);
  if (parts === null || Number.isNaN(ms))
    return `found ${show(json)}, allowed is a time such as "2026-01-31T12:00:00Z"`;
  return { seconds: ms / 1000, nanos: Number((parts[2] ?? "").padEnd(9, "0")) };
}

/** Holds keys and passwords: no error shows what was written there. */
const DATA_SOURCE = ".envoy.config.core.v3.DataSource";

function show(json: unknown): string {
  const text = JSON.stringify(json) ?? String(json);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}
