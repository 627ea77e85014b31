import protobuf from "protobufjs/light.js";
import { findType, typeOf } from "./registry.ts";

/** What a message type says about one of its fields. */
export interface FieldDescription {
  /** snake_case */
  readonly name: string;
  readonly label: "single" | "repeated" | "map";
  /** Full name of the message type that it holds (of a map: that its values are). */
  readonly messageType: string | undefined;
  /** Of an enum: number to name. */
  readonly enumNames: ReadonlyMap<number, string> | undefined;
  readonly deprecated: boolean;
}

/** The fields of a message type, by name. The type must have been compiled. */
export function describeMessage(typeName: string): ReadonlyMap<string, FieldDescription> {
  let fields = descriptions.get(typeName);
  if (fields === undefined) {
    fields = new Map(typeOf(typeName).fieldsArray.map((field) => [field.name, describeField(field)]));
    descriptions.set(typeName, fields);
  }
  return fields;
}

/** Whether a message type of that full name has been compiled. */
export function isKnownType(typeName: string): boolean {
  return findType(typeName) !== undefined;
}

const descriptions = new Map<string, ReadonlyMap<string, FieldDescription>>();

function describeField(field: protobuf.Field): FieldDescription {
  field.resolve();
  const type = field.resolvedType;
  return {
    name: field.name,
    label: field instanceof protobuf.MapField ? "map" : field.repeated ? "repeated" : "single",
    messageType: type instanceof protobuf.Type ? type.fullName.slice(1) : undefined,
    enumNames:
      type instanceof protobuf.Enum
        ? new Map(Object.entries(type.values).map(([name, value]) => [value, name]))
        : undefined,
    deprecated: field.options?.["deprecated"] === true,
  };
}
