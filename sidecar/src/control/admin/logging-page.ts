import { type LogLevel, type LogLevels, parseLogLevel } from "@heddle/telemetry";
import type { AdminAnswer, AdminPage } from "@heddle/telemetry/admin";

/** The loggers of a sidecar. `traffic` are the traffic workers; `main` is everything that has no other. */
export const LOGGERS = ["main", "xds", "report", "traffic"] as const;

export type Logger = (typeof LOGGERS)[number];

/** Envoy's components that have a logger of their own here. Its others are parts of `main` or `traffic`. */
const ENVOY_CONTROL: ReadonlySet<string> = new Set([
  "admin", "assert", "backtrace", "client", "dns", "envoy_bug", "file", "hc", "health_checker", "init", "io", "main", "misc",
  "runtime", "stats", "stats_sink", "testing", "tracing",
]); // biome-ignore format: a table
const ENVOY_CONFIG: ReadonlySet<string> = new Set(["config", "grpc", "rds", "secret", "key_value_store"]);
const ENVOY_TRAFFIC: ReadonlySet<string> = new Set([
  "alternate_protocols_cache", "aws", "basic_auth", "cache_filter", "compression", "conn_handler", "connection",
  "credential_injector", "decompression", "dubbo", "dynamic_forward_proxy", "ext_authz", "ext_proc", "filter", "forward_proxy",
  "geolocation", "golang", "happy_eyeballs", "http", "http2", "hystrix", "jwt", "kafka", "lua", "matcher", "mongo",
  "multi_connection", "oauth2", "pool", "quic", "quic_stream", "rate_limit_quota", "ratelimit", "rbac", "redis", "rocketmq",
  "router", "tap", "tcp", "thrift", "udp", "upstream", "wasm", "websocket",
]); // biome-ignore format: a table

/** The logger that a name of ours or of Envoy's means; undefined where there is none of that name. */
export function loggerNamed(name: string): Logger | undefined {
  if ((LOGGERS as readonly string[]).includes(name)) return name as Logger;
  if (ENVOY_CONTROL.has(name)) return "main";
  if (ENVOY_CONFIG.has(name)) return "xds";
  return ENVOY_TRAFFIC.has(name) ? "traffic" : undefined;
}

/** Levels of loggers by name, as "xds:debug,traffic:warn" has them. On failure what is wrong with it. */
export function parseComponentLevels(text: string): {
  readonly levels: Map<Logger, LogLevel>;
  readonly faults: string[];
} {
  const levels = new Map<Logger, LogLevel>();
  const faults: string[] = [];
  for (const part of text.split(",").filter((part) => part.trim() !== "")) {
    const [name = "", level = ""] = part.split(":").map((word) => word.trim());
    const logger = loggerNamed(name);
    const parsed = parseLogLevel(level);
    if (logger === undefined) faults.push(`found "${name}", allowed are ${LOGGERS.join(", ")} and Envoy's components`);
    else if (parsed === undefined) faults.push(`found "${part.trim()}", allowed is NAME:LEVEL`);
    else levels.set(logger, parsed);
  }
  return { levels, faults };
}

const USAGE =
  "usage: /logging?level=LEVEL (all), /logging?NAME=LEVEL (one), /logging?paths=NAME:LEVEL,NAME:LEVEL (some)\n";

/** `/logging`: POST changes levels, GET shows them. `onChange` hears of each change. */
export function loggingPage(levels: LogLevels, onChange: () => void): AdminPage {
  return {
    path: "/logging",
    method: "POST",
    showsWithGet: true,
    help: "show or change the levels of loggers",
    params: [
      {
        name: "level",
        help: "of all of them",
        values: ["trace", "debug", "info", "warning", "error", "critical", "off"],
      },
      { name: "paths", help: "of some of them: NAME:LEVEL,NAME:LEVEL" },
    ],
    answer(query) {
      // An empty field of the form at `/` says nothing.
      const given = [...query].filter(([name, value]) => value !== "" || (name !== "level" && name !== "paths"));
      const [first, ...more] = given;
      if (first === undefined) return { body: activeLevels(levels) };
      if (more.length > 0) return refuse("one change at a time");
      const fault = change(levels, ...first);
      if (fault !== undefined) return refuse(fault);
      onChange();
      return { body: activeLevels(levels) };
    },
  };
}

function change(levels: LogLevels, name: string, value: string): string | undefined {
  if (name === "paths") {
    const { levels: some, faults } = parseComponentLevels(value);
    if (faults.length > 0) return faults.join("; ");
    for (const [logger, level] of some) levels.set(logger, level);
    return undefined;
  }
  const level = parseLogLevel(value);
  if (level === undefined) return `unknown level "${value}"`;
  const logger = name === "level" ? undefined : loggerNamed(name);
  if (name === "level") levels.setAll(level);
  else if (logger === undefined) return `unknown logger name "${name}", allowed are ${LOGGERS.join(", ")}`;
  else levels.set(logger, level);
  return undefined;
}

function refuse(fault: string): AdminAnswer {
  return { status: 400, body: `error: ${fault}\n${USAGE}` };
}

/** As Envoy lists them, and with its word for `warn`. */
function activeLevels(levels: LogLevels): string {
  const lines = LOGGERS.map((logger) => {
    const level = levels.levelOf(logger);
    return `  ${logger}: ${level === "warn" ? "warning" : level}\n`;
  });
  return `active loggers:\n${lines.join("")}`;
}
