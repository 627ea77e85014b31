import type { Json } from "@heddle/base";
import { fieldOf, type Message, toNumber } from "./message.ts";

/* google.protobuf.Struct, Duration and Timestamp as what they mean. */

/** A `google.protobuf.Struct` as the object that it stands for. */
export function structToJson(struct: Message): { [key: string]: Json } {
  const fields = (fieldOf(struct, "fields") ?? {}) as { readonly [key: string]: Message };
  const out: { [key: string]: Json } = {};
  for (const [key, value] of Object.entries(fields)) setOwn(out, key, valueToJson(value));
  return out;
}

/** An object as `google.protobuf.Struct`. Keys are sorted, so that equal objects give equal bytes. */
export function structFromJson(json: { readonly [key: string]: unknown }): Message {
  const fields: { [key: string]: Message } = {};
  for (const key of Object.keys(json).sort()) setOwn(fields, key, valueFromJson(json[key]));
  return { fields };
}

/** A `google.protobuf.Value` as what it stands for. */
export function valueToJson(value: Message): Json {
  const number = fieldOf(value, "numberValue");
  if (number !== undefined) return number as number;
  const text = fieldOf(value, "stringValue");
  if (text !== undefined) return text as string;
  const flag = fieldOf(value, "boolValue");
  if (flag !== undefined) return flag as boolean;
  const struct = fieldOf(value, "structValue");
  if (struct !== undefined) return structToJson(struct as Message);
  const list = fieldOf(value, "listValue");
  if (list !== undefined) return ((fieldOf(list as Message, "values") ?? []) as Message[]).map(valueToJson);
  return null;
}

/** What JSON can say as `google.protobuf.Value`; anything else counts as null. */
export function valueFromJson(json: unknown): Message {
  switch (typeof json) {
    case "number":
      return { numberValue: json };
    case "string":
      return { stringValue: json };
    case "boolean":
      return { boolValue: json };
    case "object":
      if (json === null) return { nullValue: 0 };
      if (Array.isArray(json)) return { listValue: { values: json.map(valueFromJson) } };
      return { structValue: structFromJson(json as { readonly [key: string]: unknown }) };
    default:
      return { nullValue: 0 };
  }
}

/** Whether objects and lists stand within one another more than `most` levels deep. Safe for any depth. */
export function isNestedDeeper(json: unknown, most: number): boolean {
  if (typeof json !== "object" || json === null) return false;
  return most < 1 || Object.values(json).some((inner: unknown) => isNestedDeeper(inner, most - 1));
}

/** A `google.protobuf.Duration` in milliseconds; nanoseconds become a fraction. */
export function durationToMs(duration: Message): number {
  return toNumber(fieldOf(duration, "seconds") ?? 0) * 1000 + toNumber(fieldOf(duration, "nanos") ?? 0) / 1e6;
}

export function durationFromMs(ms: number): Message {
  const seconds = Math.trunc(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  return { ...(seconds !== 0 && { seconds }), ...(nanos !== 0 && { nanos }) };
}

/** Milliseconds since 1970 as `google.protobuf.Timestamp`. */
export function timestampFromMs(ms: number): Message {
  const seconds = Math.floor(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  return { seconds, nanos };
}

export function timestampToMs(timestamp: Message): number {
  return durationToMs(timestamp);
}

// `out["__proto__"] = x` would set the prototype: a key of a Struct is data that somebody sent.
function setOwn<V>(object: { [key: string]: V }, key: string, value: V): void {
  if (key === "__proto__") Object.defineProperty(object, key, { value, enumerable: true, configurable: true });
  else object[key] = value;
}
