import type { Message } from "@heddle/proto";
import type { AccessLogConfig, AccessLogOptions } from "@heddle/traffic";
import { decodeAccessLogFilter, encodeAccessLogFilter } from "./access-log-filter.ts";
import { durationUnless, type LooseJsonObject, list, unless } from "./encode.ts";
import { Fields } from "./fields.ts";
import { checkFormat, decodeSubstitutionFormat, encodeSubstitutionFormat } from "./substitution-format.ts";
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
  const filter = decodeAccessLogFilter(log.message("filter"));
  return [{ name: log.text("name"), filter, sink: decodeSink(logger), format: decodeFormat(logger) }];
}

// As files these two fail where the stream is a socket, and they are the same streams.
function decodeSink(logger: Fields): Sink {
  if (logger.typeName === STDOUT) return { type: "stdout" };
  if (logger.typeName === STDERR) return { type: "stderr" };
  const path = logger.text("path");
  if (path === "/dev/stdout") return { type: "stdout" };
  return path === "/dev/stderr" ? { type: "stderr" } : { type: "file", path };
}

function decodeFormat(logger: Fields): Format {
  if (logger.typeName === FILE) {
    const text = logger.text("format");
    if (text !== "") return checkFormat({ type: "text", text, omitEmptyValues: false }, logger, "format");
    for (const field of ["json_format", "typed_json_format"]) {
      const json = logger.struct(field);
      if (json !== undefined) return checkFormat({ type: "json", json, omitEmptyValues: false }, logger, field);
    }
  }
  const logFormat = logger.message("log_format");
  if (logFormat?.has("content_type") === true && logFormat.text("content_type") !== "")
    logFormat.report("content_type", "a log has none");
  const format = logFormat && decodeSubstitutionFormat(logFormat);
  // As Envoy: a text that is empty is the default line.
  return format === undefined || (format.type === "text" && format.text === "") ? { type: "default" } : format;
}

/** `access_log_options`, and the older fields for two of them. Undefined: none is set. */
export function decodeAccessLogOptions(manager: Fields): AccessLogOptions | undefined {
  const options = manager.message("access_log_options");
  const older = manager.durationMs("access_log_flush_interval", 0);
  const everyMs = options?.durationMs("access_log_flush_interval", undefined) ?? older;
  const onNewRequest =
    manager.flag("flush_access_log_on_new_request") || (options?.flag("flush_access_log_on_new_request") ?? false);
  const onTunnel = options?.flag("flush_log_on_tunnel_successfully_established") ?? false;
  return onNewRequest || onTunnel || everyMs > 0 ? { onNewRequest, onTunnel, everyMs } : undefined;
}

export function encodeAccessLogOptions(options: AccessLogOptions | undefined): LooseJsonObject | undefined {
  return (
    options && {
      access_log_flush_interval: durationUnless(0, options.everyMs),
      flush_access_log_on_new_request: unless(false, options.onNewRequest),
      flush_log_on_tunnel_successfully_established: unless(false, options.onTunnel),
    }
  );
}

export function encodeAccessLogs(logs: readonly AccessLogConfig[]): readonly LooseJsonObject[] | undefined {
  return list(logs.map(encodeAccessLog));
}

function encodeAccessLog(log: AccessLogConfig): LooseJsonObject {
  const type = log.sink.type === "file" ? FILE : log.sink.type === "stdout" ? STDOUT : STDERR;
  return {
    name: log.name,
    filter: log.filter && encodeAccessLogFilter(log.filter),
    typed_config: {
      "@type": `type.googleapis.com/${type}`,
      path: log.sink.type === "file" ? log.sink.path : undefined,
      log_format: log.format.type === "default" ? undefined : encodeSubstitutionFormat(log.format),
    },
  };
}
