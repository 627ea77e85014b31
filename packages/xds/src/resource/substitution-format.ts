import { compileFormat, type SubstitutionFormat, unfilledCommands } from "@heddle/telemetry";
import { type LooseJsonObject, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";
import { openAny } from "./typed-config.ts";

/** Formatters whose commands are built in, here and in Envoy's newer versions. */
const BUILT_IN = [
  "envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery",
  "envoy.extensions.formatter.metadata.v3.Metadata",
];

/**
 * `envoy.config.core.v3.SubstitutionFormatString`. Undefined: it says nothing. A format that cannot be compiled would write
 * nothing: it is refused here, where somebody hears of it.
 */
export function decodeSubstitutionFormat(fields: Fields): SubstitutionFormat | undefined {
  reportFormatters(fields);
  fields.message("json_format_options"); // keys are always sorted
  const omitEmptyValues = fields.flag("omit_empty_values");
  const json = fields.struct("json_format");
  if (json !== undefined) return checkFormat({ type: "json", json, omitEmptyValues }, fields, "json_format");
  const source = fields.message("text_format_source");
  if (source !== undefined)
    return checkFormat({ type: "text", text: decodeDataSource(source), omitEmptyValues }, fields, "text_format_source");
  if (!fields.has("text_format")) return undefined;
  return checkFormat({ type: "text", text: fields.text("text_format"), omitEmptyValues }, fields, "text_format");
}

/** Refuses a format that cannot be compiled, and tells of commands that are always empty. */
export function checkFormat(format: SubstitutionFormat, fields: Fields, field: string): SubstitutionFormat {
  const compiled = compileFormat(format);
  if (!compiled.ok) fields.fail(field, compiled.error);
  for (const note of unfilledCommands(format)) fields.report(field, note);
  return format;
}

function reportFormatters(fields: Fields): void {
  for (const formatter of fields.messages("formatters")) {
    const any = formatter.raw("typed_config");
    const path = formatter.at("typed_config");
    const extension = any && openAny(any, path, formatter.findings);
    if (extension !== undefined && !BUILT_IN.includes(extension.type))
      formatter.report("typed_config", `there is no formatter ${extension.type}; its commands are not known`);
  }
}

/** `envoy.config.core.v3.DataSource`, given inline. */
export function decodeDataSource(source: Fields): string {
  if (source.has("filename")) source.fail("filename", "files are not read here; give the content inline");
  if (source.has("environment_variable")) {
    source.fail("environment_variable", "the environment is not read here; give the content inline");
  }
  const bytes = source.bytes("inline_bytes");
  if (bytes === undefined) return source.text("inline_string");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    source.fail("inline_bytes", "is no UTF-8 text");
    return "";
  }
}

export function encodeSubstitutionFormat(format: SubstitutionFormat): LooseJsonObject {
  const options = { omit_empty_values: unless(false, format.omitEmptyValues) };
  return format.type === "text"
    ? { text_format_source: { inline_string: format.text }, ...options }
    : { json_format: format.json, ...options };
}
