import type { Json } from "@heddle/base";
import {
  decodeMessage,
  fieldOf,
  isKnownType,
  type Message,
  messageFromJson,
  messageToJson,
  structToJson,
  typeNameOf,
  typeUrlOf,
  validate,
} from "@heddle/proto";
import type { TypedConfig } from "@heddle/traffic";
import type { Findings } from "./fields.ts";

/** What stood in an Any. */
export interface Extension {
  /** Full type name; of a TypedStruct the inner one. */
  readonly type: string;
  /** Undefined where the type has not been compiled. Its `validate.rules` have been applied. */
  readonly message: Message | undefined;
  /** Proto3 JSON. Undefined where the type has not been compiled and its bytes say nothing to us. */
  readonly config: Json | undefined;
}

const TYPED_STRUCTS = new Set(["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"]);

/** The full type name of what an Any holds; "" where it says nothing. */
export function anyTypeName(any: Message): string {
  return typeNameOf((fieldOf(any, "type_url") ?? "") as string);
}

/** Opens an Any, a TypedStruct in it as well. Undefined: it holds no such message, and an error says so. */
export function openAny(any: Message, path: string, findings: Findings): Extension | undefined {
  const typeUrl = (fieldOf(any, "type_url") ?? "") as string;
  const bytes = (fieldOf(any, "value") ?? new Uint8Array()) as Uint8Array;
  if (typeUrl === "") {
    findings.error(path, "must name a message type");
    return undefined;
  }
  const type = typeNameOf(typeUrl);
  if (!isKnownType(type)) return { type, message: undefined, config: undefined };
  const decoded = decodeMessage(type, bytes);
  if (!decoded.ok) {
    findings.error(path, decoded.error);
    return undefined;
  }
  if (TYPED_STRUCTS.has(type)) return openTypedStruct(decoded.value, path, findings);
  reportInvalid(type, decoded.value, path, findings);
  return opened(type, decoded.value);
}

// https://github.com/cncf/xds, typed_struct.proto: where the receiver knows the type, the struct is that type's JSON.
function openTypedStruct(struct: Message, path: string, findings: Findings): Extension | undefined {
  const type = typeNameOf((fieldOf(struct, "type_url") ?? "") as string);
  const value = fieldOf(struct, "value") as Message | undefined;
  const json = value === undefined ? {} : structToJson(value);
  if (type === "") {
    findings.error(`${path}.type_url`, "must name a message type");
    return undefined;
  }
  if (!isKnownType(type)) return { type, message: undefined, config: json };
  const message = messageFromJson(type, json);
  if (!message.ok) {
    for (const issue of message.error) findings.error(`${path}.value.${issue.path}`, issue.message);
    return undefined;
  }
  reportInvalid(type, message.value, path, findings);
  return opened(type, message.value);
}

/** JSON is made for who asks: of a DNS table of 1,000 services it is a third of the work of reading it. */
function opened(type: string, message: Message): Extension {
  return {
    type,
    message,
    get config() {
      return messageToJson(type, message);
    },
  };
}

function reportInvalid(type: string, message: Message, path: string, findings: Findings): void {
  for (const problem of validate(type, message)) {
    const colon = problem.indexOf(": ");
    findings.error(`${path}.${problem.slice(0, colon)}`, problem.slice(colon + 2));
  }
}

/** An extension as it stands in a configuration. One that says nothing to us is kept by its type alone. */
export function toTypedConfig(name: string, extension: Extension): TypedConfig {
  return { name, type: extension.type, config: extension.config ?? null };
}

/**
 * An extension's configuration as the JSON of an Any. A type that has not been compiled becomes a TypedStruct; so does one of
 * ours, since others have not compiled it: an Envoy can print a TypedStruct, and no /config_dump with a type that it does not know.
 */
export function anyJson(typed: TypedConfig): Json {
  if (isKnownType(typed.type) && !typed.type.startsWith("heddle."))
    return { "@type": typeUrlOf(typed.type), ...(typed.config as object) };
  return { "@type": typeUrlOf("xds.type.v3.TypedStruct"), type_url: typeUrlOf(typed.type), value: typed.config };
}
