import { isObject, isSame, type Json, type JsonObject, stringsOf } from "./kube-object.ts";

/** One thing wrong with an object, by where. */
export interface SchemaCause {
  readonly field: string;
  readonly message: string;
}

/**
 * A custom object by the OpenAPI v3 schema of its definition: defaults filled in, fields that the schema does not know taken away, and what is wrong.
 * Types, required, enum, pattern, lengths and bounds are checked; CEL rules, formats and oneOf are not.
 */
export function shaped(
  object: JsonObject,
  schema: JsonObject,
): { readonly object: JsonObject; readonly causes: readonly SchemaCause[] } {
  const causes: SchemaCause[] = [];
  const { apiVersion, kind, metadata, ...rest } = object;
  const { apiVersion: _a, kind: _k, metadata: _m, ...properties } = record(schema["properties"]);
  const result = shape(rest, { ...schema, properties }, "", causes) as JsonObject;
  return { object: { apiVersion, kind, metadata, ...result }, causes };
}

function shape(value: Json, schema: JsonObject, field: string, causes: SchemaCause[]): Json {
  const bad = (why: string): void => {
    causes.push({ field: field === "" ? "<nil>" : field, message: `Invalid value: ${JSON.stringify(value)}: ${why}` });
  };
  const type = schema["type"];
  if (value === null && schema["nullable"] === true) return null;
  if (schema["x-kubernetes-int-or-string"] === true) {
    if (typeof value !== "string" && !Number.isInteger(value))
      bad(`${field} in body must be of type integer or string`);
    return value;
  }
  if (typeof type === "string" && !isOfType(value, type)) {
    bad(`${field} in body must be of type ${type}: ${JSON.stringify(typeof value)}`);
    return value;
  }
  if (Array.isArray(schema["enum"]) && !schema["enum"].some((one) => isSame(one as Json, value))) {
    causes.push({
      field,
      message: `Unsupported value: ${JSON.stringify(value)}: supported values: ${schema["enum"].map((one) => JSON.stringify(one)).join(", ")}`,
    });
    return value;
  }
  if (typeof value === "string") {
    const { pattern, minLength, maxLength } = schema;
    if (typeof pattern === "string" && !new RegExp(pattern, "u").test(value))
      bad(`${field} in body should match '${pattern}'`);
    if (typeof minLength === "number" && value.length < minLength)
      bad(`${field} in body should be at least ${minLength} chars long`);
    if (typeof maxLength === "number" && value.length > maxLength) bad(`may not be more than ${maxLength} bytes`);
  }
  if (typeof value === "number") {
    const { minimum, maximum } = schema;
    if (typeof minimum === "number" && value < minimum)
      bad(`${field} in body should be greater than or equal to ${minimum}`);
    if (typeof maximum === "number" && value > maximum)
      bad(`${field} in body should be less than or equal to ${maximum}`);
  }
  if (Array.isArray(value)) {
    const { items, minItems, maxItems } = schema;
    if (typeof minItems === "number" && value.length < minItems)
      bad(`${field} in body should have at least ${minItems} items`);
    if (typeof maxItems === "number" && value.length > maxItems) bad(`must have at most ${maxItems} items`);
    return value.map((one, i) =>
      isObject(items) ? shape(one as Json, items, `${field}[${i}]`, causes) : (one as Json),
    );
  }
  return isObject(value) ? shapeObject(value, schema, field, causes) : value;
}

function shapeObject(value: JsonObject, schema: JsonObject, field: string, causes: SchemaCause[]): JsonObject {
  const properties = record(schema["properties"]);
  const others = schema["additionalProperties"];
  const result: Record<string, Json | undefined> = {};
  const at = (name: string): string => (field === "" ? name : `${field}.${name}`);
  for (const [name, inner] of Object.entries(value)) {
    const own = properties[name];
    if (inner === undefined) continue;
    if (isObject(own)) result[name] = shape(inner, own, at(name), causes);
    else if (isObject(others)) result[name] = shape(inner, others, at(name), causes);
    else if (schema["x-kubernetes-preserve-unknown-fields"] === true || others === true) result[name] = inner;
  }
  for (const [name, own] of Object.entries(properties))
    if (isObject(own) && result[name] === undefined && own["default"] !== undefined) result[name] = own["default"];
  for (const name of stringsOf(schema["required"]))
    if (result[name] === undefined) causes.push({ field: at(name), message: "Required value" });
  return result;
}

function isOfType(value: Json, type: string): boolean {
  switch (type) {
    case "object":
      return isObject(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function record(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}
