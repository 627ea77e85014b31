import type { Clock } from "@heddle/base";
import {
  type AccessLogFormat,
  type AccessLogSource,
  AccessLogWriter,
  type AccessLogWriterOptions,
  accessLogStats,
  compileFormat,
  DEFAULT_ACCESS_LOG_FORMAT,
  type FormatEnvironment,
  type Log,
  type LogFlush,
  type MetricScope,
  STDERR,
  STDOUT,
  type SubstitutionFormat,
} from "@heddle/telemetry";
import { type AccessLogConfig, type AccessLogFilter, compileAccessLogFilter, type LiveRuntime } from "@heddle/traffic";
import type { AccessLogger } from "../http/access-logger.ts";
import type { ConnectionLogger } from "../listener/connection-logger.ts";
import { ConnectionLogSource } from "./connection-log-source.ts";

export interface AccessLogsEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly format: FormatEnvironment;
  /** A whole number. */
  readonly random: () => number;
  readonly flush: LogFlush;
  /** What runtime keys of filters say. Left out: nothing. */
  readonly runtimeValues?: LiveRuntime;
}

/** The access logs of one worker. Loggers that write to the same place share a writer, so their lines keep their order. */
export class AccessLogs {
  readonly #env: AccessLogsEnv;
  readonly #writers = new Map<string, SharedWriter>();
  readonly #connectionSource: ConnectionLogSource;

  constructor(env: AccessLogsEnv) {
    this.#env = env;
    this.#connectionSource = new ConnectionLogSource(env.format);
  }

  /** Throws on a format that does not compile or a file that cannot be opened. */
  logger(configs: readonly AccessLogConfig[]): AccessLogger {
    const sinks = this.#sinks(configs);
    if (sinks.length === 0) return SILENT;
    return {
      log(exchange, type) {
        const source = exchange.logSource;
        source.logType = type;
        write(sinks, source);
      },
      close: this.#releaseOnce(sinks),
    };
  }

  /** As `logger`, for connections. */
  connectionLogger(configs: readonly AccessLogConfig[]): ConnectionLogger {
    const sinks = this.#sinks(configs);
    const source = this.#connectionSource;
    return {
      log(connection) {
        source.connection = connection;
        write(sinks, source);
      },
      close: this.#releaseOnce(sinks),
    };
  }

  /** Opens every file anew: somebody has moved them away (SIGUSR1, `/reopen_logs`). */
  reopen(): void {
    for (const { writer, path } of this.#writers.values()) if (path !== undefined) writer.reopen();
  }

  /** Writes out what waits. The loggers drop lines from now on. */
  close(): void {
    for (const { writer } of this.#writers.values()) writer.close();
  }

  #sinks(configs: readonly AccessLogConfig[]): readonly Sink[] {
    const sinks: Sink[] = [];
    try {
      for (const config of configs) sinks.push(this.#sink(config));
    } catch (error) {
      this.#release(sinks);
      throw error;
    }
    return sinks;
  }

  #sink({ name, filter, format, sink }: AccessLogConfig): Sink {
    const compiled = compileFormat(format.type === "default" ? DEFAULT : format);
    if (!compiled.ok) throw new Error(`access log ${name}: ${compiled.error}`);
    return {
      filter: filter && compileAccessLogFilter(filter, this.#env.random, this.#env.runtimeValues),
      format: compiled.value,
      shared: this.#writer(sink),
    };
  }

  #writer(sink: AccessLogConfig["sink"]): SharedWriter {
    const key = sink.type === "file" ? sink.path : `<${sink.type}>`;
    let shared = this.#writers.get(key);
    if (shared === undefined) {
      shared = { key, path: sink.type === "file" ? sink.path : undefined, writer: this.#open(sink), users: 0 };
      this.#writers.set(key, shared);
    }
    shared.users++;
    return shared;
  }

  #open(sink: AccessLogConfig["sink"]): AccessLogWriter {
    const { clock, log, metrics, flush } = this.#env;
    const path = sink.type === "file" ? sink.path : sink.type;
    const options: AccessLogWriterOptions = {
      clock,
      stats: accessLogStats(metrics, path),
      onError: (error) => log.error("an access log cannot be written", { path, error }),
      flush,
    };
    if (sink.type !== "file") {
      const stream = sink.type === "stdout" ? STDOUT : STDERR;
      return new AccessLogWriter(stream, () => stream, options);
    }
    const opened = AccessLogWriter.toFile(sink.path, options);
    if (!opened.ok) throw new Error(opened.error);
    return opened.value;
  }

  #releaseOnce(sinks: readonly Sink[]): () => void {
    let released = false;
    return () => {
      if (!released) this.#release(sinks);
      released = true;
    };
  }

  #release(sinks: readonly Sink[]): void {
    for (const { shared } of sinks) {
      if (--shared.users > 0) continue;
      this.#writers.delete(shared.key);
      shared.writer.end();
    }
  }
}

/** A place that is written to, and how many loggers do. */
interface SharedWriter {
  readonly key: string;
  /** Undefined: standard output or error. */
  readonly path: string | undefined;
  readonly writer: AccessLogWriter;
  users: number;
}

interface Sink {
  /** Undefined: everything. */
  readonly filter: AccessLogFilter | undefined;
  readonly format: AccessLogFormat;
  readonly shared: SharedWriter;
}

function write(sinks: readonly Sink[], source: AccessLogSource): void {
  for (const { filter, format, shared } of sinks) {
    if (filter === undefined || filter(source)) shared.writer.write(format(source));
  }
}

const DEFAULT: SubstitutionFormat = { type: "text", text: DEFAULT_ACCESS_LOG_FORMAT, omitEmptyValues: false };
const SILENT: AccessLogger = { log: () => undefined, close: () => undefined };
