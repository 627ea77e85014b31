import {
  compileHeaderFormat,
  type LocalReplyConfig,
  type LocalReplyFormat,
  type ResponseMapperConfig,
} from "@heddle/traffic";
import { decodeAccessLogFilter, encodeAccessLogFilter } from "./access-log-filter.ts";
import { type LooseJsonObject, list, unless } from "./encode.ts";
import type { Fields } from "./fields.ts";
import { decodeHeaderValueOption, encodeHeaderValueOption } from "./header-mutations.ts";
import { decodeDataSource, decodeSubstitutionFormat, encodeSubstitutionFormat } from "./substitution-format.ts";

/** `envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig`. */
export function decodeLocalReply(fields: Fields | undefined): LocalReplyConfig | undefined {
  if (fields === undefined) return undefined;
  return {
    mappers: fields.messages("mappers").flatMap(decodeMapper),
    bodyFormat: decodeBodyFormat(fields.message("body_format")),
  };
}

function decodeMapper(fields: Fields): ResponseMapperConfig[] {
  const filter = decodeAccessLogFilter(fields.message("filter"));
  const body = fields.message("body");
  const mapper = {
    statusCode: fields.wrappedNumber("status_code", undefined),
    body: body && decodeDataSource(body),
    bodyFormatOverride: decodeBodyFormat(fields.message("body_format_override")),
    headersToAdd: fields.messages("headers_to_add").map(decodeHeader),
  };
  return filter === undefined ? [] : [{ filter, ...mapper }];
}

function decodeHeader(fields: Fields): ResponseMapperConfig["headersToAdd"][0] {
  const option = decodeHeaderValueOption(fields);
  const format = compileHeaderFormat(option.value);
  if (!format.ok) fields.fail("header.value", format.error);
  return option;
}

function decodeBodyFormat(fields: Fields | undefined): LocalReplyFormat | undefined {
  const format = fields && decodeSubstitutionFormat(fields);
  return format && { format, contentType: fields?.text("content_type") ?? "" };
}

export function encodeLocalReply(config: LocalReplyConfig | undefined): LooseJsonObject | undefined {
  if (config === undefined) return undefined;
  return { mappers: list(config.mappers.map(encodeMapper)), body_format: encodeBodyFormat(config.bodyFormat) };
}

function encodeMapper(mapper: ResponseMapperConfig): LooseJsonObject {
  return {
    filter: encodeAccessLogFilter(mapper.filter),
    status_code: mapper.statusCode,
    body: mapper.body === undefined ? undefined : { inline_string: mapper.body },
    body_format_override: encodeBodyFormat(mapper.bodyFormatOverride),
    headers_to_add: list(mapper.headersToAdd.map(encodeHeaderValueOption)),
  };
}

function encodeBodyFormat(format: LocalReplyFormat | undefined): LooseJsonObject | undefined {
  return format && { ...encodeSubstitutionFormat(format.format), content_type: unless("", format.contentType) };
}
