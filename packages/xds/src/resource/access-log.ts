import type { Json } from "@heddle/base";
import type { Message } from "@heddle/proto";
import { compileJsonFormat, compileTextFormat } from "@heddle/telemetry";
import type { AccessLogConfig } from "@heddle/traffic";
import { type LooseJsonObject, list } from "./encode.ts";
import { Fields } from "./fields.ts";
import { openAny } from "./typed-config.ts";

const FILE = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
const STDOUT = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
const STDERR = "envoy.extensions.access_loggers.stream.v3.StderrAccessLog";

type Sink = AccessLogConfig["sink"];
type Format = AccessLogConfig["format"];

/** A list of `envoy.config.accesslog.v3.AccessLog`. Loggers that we do not have are reported: a log decides nothing. */
export function decodeAccessLogs(fields: Fields, field: string): readonly AccessLogConfig[] {
  return fields.messages(field).flatMap((log) => {
    const any = log.raw("typed_config");
    if (any === undefined) {
      log.fail("typed_config", "must be set");
      return [];
    }
    return decodeLogger(log, any);
  });
}

function decodeLogger(log: Fields, any: Message): AccessLogConfig[] {
  const path = log.at("typed_config");
  const extension = openAny(any, path, log.findings);
  if (extension === undefined) return [];
  if (extension.message === undefined || ![FILE, STDOUT, STDERR].includes(extension.type)) {
    log.report("typed_config", `there is no access logger ${extension.type}; nothing is written`);
    return [];
  }
  const logger = new Fields(extension.type, extension.message, path, log.findings);
  return [{ name: log.text("name"), sink: decodeSink(logger), format: decodeFormat(logger) }];
}

// As files these two fail where the stream is a socket, and they are the same streams.
function decodeSink(logger: Fields): Sink {
  if (logger.typeName === STDOUT) return { type: "stdout" };
  if (logger.typeName === STDERR) return { type: "stderr" };
  const path = logger.text("path");
  if (path === "/dev/stdout") return { type: "stdout" };
  return path === "/dev/stderr" ? { type: "stderr" } : { type: "file", path };
}

/** A format that cannot be compiled would write no line: it is refused here, where somebody hears of it. */
function decodeFormat(logger: Fields): Format {
  const format = readFormat(logger);
  const compiled =
    format.type === "text"
      ? compileTextFormat(format.text, "")
      : format.type === "json"
        ? compileJsonFormat(format.json, "")
        : undefined;
  if (compiled?.ok === false) logger.fail(logger.has("log_format") ? "log_format" : "format", compiled.error);
  return format;
}

function readFormat(logger: Fields): Format {
  if (logger.typeName === FILE) {
    if (logger.text("format") !== "") return { type: "text", text: logger.text("format") };
    for (const field of ["json_format", "typed_json_format"]) {
      const json = logger.struct(field);
      if (json !== undefined) return { type: "json", json: flatten(json, logger, field) };
    }
  }
  const format = logger.message("log_format");
  if (format === undefined) return { type: "default" };
  const json = format.struct("json_format");
  if (json !== undefined) return { type: "json", json: flatten(json, format, "json_format") };
  const source = format.message("text_format_source");
  const text = source === undefined ? format.text("text_format") : decodeDataSource(source);
  return text === "" ? { type: "default" } : { type: "text", text };
}

/** Values that are no text are written as they stand; objects and lists within are not written at all. */
function flatten(
  json: { readonly [key: string]: Json },
  fields: Fields,
  field: string,
): { readonly [key: string]: string } {
  const entries = Object.entries(json).flatMap(([key, value]): [string, string][] => {
    if (typeof value !== "object" || value === null) return [[key, String(value)]];
    fields.report(`${field}[${JSON.stringify(key)}]`, "objects and lists within the format are not written");
    return [];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** `envoy.config.core.v3.DataSource`, given inline. */
export function decodeDataSource(source: Fields): string {
  const bytes = source.bytes("inline_bytes");
  if (bytes === undefined) return source.text("inline_string");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    source.fail("inline_bytes", "is no UTF-8 text");
    return "";
  }
}

export function encodeAccessLogs(logs: readonly AccessLogConfig[]): readonly LooseJsonObject[] | undefined {
  return list(logs.map(encodeAccessLog));
}

function encodeAccessLog(log: AccessLogConfig): LooseJsonObject {
  const type = log.sink.type === "file" ? FILE : log.sink.type === "stdout" ? STDOUT : STDERR;
  return {
    name: log.name,
    typed_config: {
      "@type": `type.googleapis.com/${type}`,
      path: log.sink.type === "file" ? log.sink.path : undefined,
      log_format: encodeFormat(log.format),
    },
  };
}

function encodeFormat(format: Format): LooseJsonObject | undefined {
  switch (format.type) {
    case "default":
      return undefined;
    case "text":
      return { text_format_source: { inline_string: format.text } };
    case "json":
      return { json_format: format.json };
  }
}
