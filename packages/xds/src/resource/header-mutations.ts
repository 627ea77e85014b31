import { Buffer, isUtf8 } from "node:buffer";
import { unfilledCommands } from "@heddle/telemetry";
import type { HeaderMutations, HeaderValueOption } from "@heddle/traffic";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";

type AppendAction = HeaderValueOption["appendAction"];

/** The four header lists that route configurations, virtual hosts, routes and weighted clusters have in common. */
export function decodeHeaderMutations(fields: Fields): HeaderMutations {
  return {
    requestHeadersToAdd: fields.messages("request_headers_to_add").map(decodeHeaderValueOption),
    requestHeadersToRemove: decodeRemovals(fields, "request_headers_to_remove"),
    responseHeadersToAdd: fields.messages("response_headers_to_add").map(decodeHeaderValueOption),
    responseHeadersToRemove: decodeRemovals(fields, "response_headers_to_remove"),
  };
}

export function encodeHeaderMutations(mutations: HeaderMutations): LooseJsonObject {
  return {
    request_headers_to_add: list(mutations.requestHeadersToAdd.map(encodeHeaderValueOption)),
    request_headers_to_remove: list(mutations.requestHeadersToRemove),
    response_headers_to_add: list(mutations.responseHeadersToAdd.map(encodeHeaderValueOption)),
    response_headers_to_remove: list(mutations.responseHeadersToRemove),
  };
}

/** `envoy.config.core.v3.HeaderValueOption` */
export function decodeHeaderValueOption(fields: Fields): HeaderValueOption {
  const header = fields.message("header");
  const name = (header?.text("key") ?? "").toLowerCase();
  if (isProtected(name)) fields.fail("header.key", `${JSON.stringify(name)} may not be changed here`);
  const value = header === undefined ? "" : decodeValue(header);
  for (const note of unfilledCommands({ type: "text", text: value, omitEmptyValues: true }))
    fields.report("header.value", note);
  return {
    name,
    value,
    appendAction: decodeAppendAction(fields),
    keepEmptyValue: fields.flag("keep_empty_value"),
  };
}

// A value is text here: `value`, or `raw_value` where its bytes are UTF-8 and may stand in a header (RFC 9110 §5.5).
function decodeValue(header: Fields): string {
  const raw = header.bytes("raw_value");
  const value = header.text("value");
  if (raw === undefined) return value;
  if (value !== "") header.fail("raw_value", 'excludes "value", which is set as well');
  const text = Buffer.from(raw).toString("utf8");
  const hasControls = raw.some((byte) => (byte < 0x20 && byte !== 0x09) || byte === 0x7f);
  if (!isUtf8(raw) || hasControls) header.fail("raw_value", "is no UTF-8 text without control characters");
  return text;
}

// `append` is the older form; Envoy refuses a resource that sets both.
function decodeAppendAction(fields: Fields): AppendAction {
  const append = fields.wrappedFlag("append", undefined);
  const action = fields.enumName("append_action") as AppendAction;
  if (append === undefined) return action;
  if (action !== "APPEND_IF_EXISTS_OR_ADD") fields.fail("append", 'excludes "append_action", which is set as well');
  return append ? "APPEND_IF_EXISTS_OR_ADD" : "OVERWRITE_IF_EXISTS_OR_ADD";
}

export function encodeHeaderValueOption(option: HeaderValueOption): LooseJsonObject {
  return {
    header: { key: option.name, value: option.value },
    append_action: unless("APPEND_IF_EXISTS_OR_ADD", option.appendAction),
    keep_empty_value: unless(false, option.keepEmptyValue),
  };
}

function decodeRemovals(fields: Fields, field: string): readonly string[] {
  return fields.texts(field).map((name, index) => decodeRemoval(fields, `${field}[${index}]`, name));
}

/** The name of a header that shall be removed, in lower case. `field` is where it stands in the message. */
export function decodeRemoval(fields: Fields, field: string, name: string): string {
  const lower = name.toLowerCase();
  if (isProtected(lower)) fields.fail(field, `${JSON.stringify(name)} may not be removed`);
  return lower;
}

/** As Envoy: routing has used these, so changing them is left to the rewrites that routes have for it. */
function isProtected(name: string): boolean {
  return name.startsWith(":") || name === "host";
}
