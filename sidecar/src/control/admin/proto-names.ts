import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import { describeMessage, type FieldDescription, isKnownType, typeNameOf } from "@heddle/proto";

/**
 * Proto JSON with the proto's own field names (snake_case) instead of lower camel case, as Envoy's admin writes it and as
 * tools that read it expect. Keys of maps and of free-form structs stay as they are.
 */
export function withProtoNames(typeName: string, json: Json): Json {
  if (!isJsonObject(json)) return json;
  if (typeName === "google.protobuf.Any") return anyWithProtoNames(json);
  if (typeName.startsWith("google.protobuf.")) return json; // has a JSON form of its own, without fields
  return fieldsWithProtoNames(typeName, json);
}

function anyWithProtoNames(json: JsonObject): Json {
  const { "@type": type, ...fields } = json;
  const inner = typeNameOf(typeof type === "string" ? type : "");
  if (type === undefined) return json;
  if (isKnownType(inner)) return { "@type": type, ...(withProtoNames(inner, fields) as JsonObject) };
  // What is in it nobody here can tell, so not whether it is secret either.
  const { value } = fields;
  return { "@type": type, value: `[${typeof value === "string" ? Buffer.byteLength(value, "base64") : 0} bytes]` };
}

function fieldsWithProtoNames(typeName: string, json: JsonObject): Json {
  const out: Record<string, Json> = {};
  for (const field of describeMessage(typeName).values()) {
    const value = json[camelCase(field.name)];
    if (value !== undefined) out[field.name] = valueWithProtoNames(field, value);
  }
  return out;
}

function valueWithProtoNames({ label, messageType }: FieldDescription, value: Json): Json {
  if (messageType === undefined) return value;
  if (label === "repeated") return (value as readonly Json[]).map((item) => withProtoNames(messageType, item));
  if (label === "single") return withProtoNames(messageType, value);
  const entries = Object.entries(value as JsonObject);
  return Object.fromEntries(entries.map(([key, item]) => [key, withProtoNames(messageType, item)]));
}

function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
