import { hostname } from "node:os";
import type { Clock } from "@heddle/base";
import type { Exchange } from "@heddle/filter";
import {
  type AccessLogFormat,
  AccessLogWriter,
  type AccessLogWriterOptions,
  compileJsonFormat,
  compileTextFormat,
  DEFAULT_ACCESS_LOG_FORMAT,
  type Log,
  type MetricScope,
} from "@heddle/telemetry";
import type { AccessLogConfig } from "@heddle/traffic";
import type { AccessLogger } from "../http/access-logger.ts";
import type { ConnectionLogger, EndedConnection } from "../listener/connection-logger.ts";
import { ConnectionLogSource } from "./connection-log-source.ts";
import { ExchangeLogSource } from "./exchange-log-source.ts";

export interface AccessLogsEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
}

const STDOUT = 1;
const STDERR = 2;

/** The access logs of one worker. Loggers that write to the same place share a writer, so their lines keep their order. */
export class AccessLogs {
  readonly #env: AccessLogsEnv;
  readonly #writers = new Map<string, AccessLogWriter>();
  readonly #source = new ExchangeLogSource();
  readonly #connectionSource = new ConnectionLogSource();
  readonly #hostname = hostname();

  constructor(env: AccessLogsEnv) {
    this.#env = env;
  }

  /** Throws on a format that does not compile or a file that cannot be opened. */
  logger(configs: readonly AccessLogConfig[]): AccessLogger {
    const sinks = this.#sinks(configs);
    const source = this.#source;
    if (sinks.length === 0) return SILENT;
    return {
      log(exchange: Exchange) {
        source.exchange = exchange;
        for (const { format, writer } of sinks) writer.write(format(source));
      },
    };
  }

  /** As `logger`, for connections. */
  connectionLogger(configs: readonly AccessLogConfig[]): ConnectionLogger {
    const sinks = this.#sinks(configs);
    const source = this.#connectionSource;
    return {
      log(connection: EndedConnection) {
        source.connection = connection;
        for (const { format, writer } of sinks) writer.write(format(source));
      },
    };
  }

  /** Writes out what waits. The loggers drop lines from now on. */
  close(): void {
    for (const writer of this.#writers.values()) writer.close();
  }

  #sinks(configs: readonly AccessLogConfig[]): readonly Sink[] {
    return configs.map((config) => ({ format: this.#format(config), writer: this.#writer(config.sink) }));
  }

  #format({ name, format }: AccessLogConfig): AccessLogFormat {
    const compiled =
      format.type === "json"
        ? compileJsonFormat(format.json, this.#hostname)
        : compileTextFormat(format.type === "text" ? format.text : DEFAULT_ACCESS_LOG_FORMAT, this.#hostname);
    if (!compiled.ok) throw new Error(`access log ${name}: ${compiled.error}`);
    return compiled.value;
  }

  #writer(sink: AccessLogConfig["sink"]): AccessLogWriter {
    const key = sink.type === "file" ? sink.path : sink.type;
    const known = this.#writers.get(key);
    if (known !== undefined) return known;
    const writer = this.#open(sink, key);
    this.#writers.set(key, writer);
    return writer;
  }

  #open(sink: AccessLogConfig["sink"], name: string): AccessLogWriter {
    const { clock, log, metrics } = this.#env;
    const options: AccessLogWriterOptions = {
      clock,
      dropped: metrics.counter("access_log.dropped", { path: name }),
      onError: (error) => log.error("an access log cannot be written", { path: name, error }),
    };
    if (sink.type !== "file") return new AccessLogWriter(sink.type === "stdout" ? STDOUT : STDERR, false, options);
    const opened = AccessLogWriter.toFile(sink.path, options);
    if (!opened.ok) throw new Error(opened.error);
    return opened.value;
  }
}

interface Sink {
  readonly format: AccessLogFormat;
  readonly writer: AccessLogWriter;
}

const SILENT: AccessLogger = { log: () => undefined };
