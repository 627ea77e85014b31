import { err, ok, type Result } from "@heddle/base";
import { DEFAULT_LOG_FLUSH, type LogFlush, type LogLevel, parseLogLevel } from "@heddle/telemetry";
import type { Address } from "@heddle/traffic";

/** What the command line of a sidecar says. */
export interface SidecarFlags {
  /** An Envoy bootstrap: a file, or the text itself. Undefined: the flags and the control plane say everything. */
  readonly config:
    | { readonly type: "file"; readonly path: string }
    | { readonly type: "text"; readonly text: string }
    | undefined;
  /** "host:port"; undefined where no flag said it. */
  readonly controlPlane: string | undefined;
  readonly nodeId: string | undefined;
  readonly nodeCluster: string | undefined;
  readonly adminAddress: Address | undefined;
  /** Traffic workers. */
  readonly concurrency: number;
  readonly logLevel: LogLevel;
  readonly logFormat: "text" | "json";
  /** How long requests may go on after SIGTERM. */
  readonly drainTimeMs: number;
  /** How connections of listeners that are gone are asked to end, and how long they may go on. */
  readonly drain: { readonly strategy: "gradual" | "immediate"; readonly timeMs: number };
  /** When lines of access logs are written. */
  readonly accessLogFlush: LogFlush;
  /** End when the parent process ends, however it ends. */
  readonly exitWithParent: boolean;
}

export type FlagsReading =
  | { readonly type: "run"; readonly flags: SidecarFlags }
  | { readonly type: "print"; readonly what: "help" | "version" };

interface Flag {
  /** The first is the one that help shows; others are Envoy's or short. */
  readonly names: readonly string[];
  /** What stands behind it in help; undefined: it takes no value. */
  readonly value: string | undefined;
  readonly help: string;
}

const FLAGS = {
  config: { names: ["-c", "--config-path"], value: "FILE", help: "an Envoy bootstrap in YAML or JSON" },
  configText: { names: ["--config-yaml"], value: "YAML", help: "the bootstrap itself instead of a file" },
  controlPlane: {
    names: ["--control-plane"],
    value: "HOST:PORT",
    help: "Heddle's control plane instead of a bootstrap (HEDDLE_CONTROL_PLANE, else 127.0.0.1:15010)",
  },
  nodeId: {
    names: ["--node-id", "--service-node"],
    value: "ID",
    help: "<namespace>/<workload>/<instance>; with a bootstrap, in place of its node.id",
  },
  nodeCluster: {
    names: ["--node-cluster", "--service-cluster"],
    value: "NAME",
    help: "the workload's name (by default the second part of the node's id)",
  },
  adminAddress: {
    names: ["--admin-address"],
    value: "HOST:PORT",
    help: "where admin listens (127.0.0.1:15000; with a bootstrap, what that says)",
  },
  concurrency: { names: ["--concurrency"], value: "N", help: "traffic workers (1)" },
  logLevel: { names: ["--log-level", "-l"], value: "LEVEL", help: "trace, debug, info, warn, error or off (info)" },
  logFormat: {
    names: ["--log-format"],
    value: "FORMAT",
    help: "text or json (text), one line an event, on standard error",
  },
  drainTime: {
    names: ["--drain-time-s"],
    value: "SECONDS",
    help: "how long requests may go on after SIGTERM (5), and connections of listeners that are gone (600)",
  },
  drainStrategy: {
    names: ["--drain-strategy"],
    value: "STRATEGY",
    help: "gradual: connections of a listener that is gone end one by one; immediate: with their next answer (gradual)",
  },
  logFlushInterval: {
    names: ["--file-flush-interval-msec"],
    value: "MS",
    help: "how long lines of an access log may wait (1000)",
  },
  logFlushSize: {
    names: ["--file-flush-min-size-kb"],
    value: "KB",
    help: "how much of an access log is written at once without waiting (64)",
  },
  exitWithParent: {
    names: ["--exit-with-parent"],
    value: undefined,
    help: "end when standard input or the parent process ends",
  },
  version: { names: ["--version"], value: undefined, help: "print the version" },
  help: { names: ["--help", "-h"], value: undefined, help: "print this" },
} as const satisfies Readonly<Record<string, Flag>>;

type FlagKey = keyof typeof FLAGS;

const KEY_BY_NAME: ReadonlyMap<string, FlagKey> = new Map(
  Object.entries(FLAGS).flatMap(([key, { names }]) => names.map((name) => [name, key as FlagKey])),
);

export function sidecarHelp(): string {
  const rows = Object.values(FLAGS).map((flag: Flag) => {
    const names = flag.names.toSorted((a, b) => a.length - b.length).join(", ");
    return [flag.value === undefined ? names : `${names} ${flag.value}`, flag.help] as const;
  });
  const width = Math.max(...rows.map(([names]) => names.length));
  return [
    "Usage: heddle sidecar -c FILE [OPTIONS]",
    "       heddle sidecar --node-id ID [--control-plane HOST:PORT] [OPTIONS]",
    "",
    "Runs a sidecar proxy, configured by an Envoy bootstrap or by Heddle's control plane.",
    "",
    "Options:",
    ...rows.map(([names, help]) => `  ${names.padEnd(width)}  ${help}`),
    "",
    "Examples:",
    "  heddle sidecar -c envoy.yaml --concurrency 2",
    "  heddle sidecar --node-id shop/orders/1 --control-plane 127.0.0.1:15010",
  ].join("\n");
}

/** Reads the words behind `heddle sidecar`. On failure every reason. */
export function parseSidecarFlags(words: readonly string[]): Result<FlagsReading, readonly string[]> {
  const faults: string[] = [];
  const given = collect(words, faults);
  if (given.has("help")) return ok({ type: "print", what: "help" });
  if (given.has("version")) return ok({ type: "print", what: "version" });

  const file = given.get("config");
  const text = given.get("configText");
  const controlPlane = given.get("controlPlane");
  if (file !== undefined && text !== undefined) faults.push("-c and --config-yaml exclude each other");
  if (controlPlane !== undefined) {
    if (file !== undefined || text !== undefined)
      faults.push("--control-plane and a bootstrap exclude each other: the bootstrap names its own control plane");
    if (parseHostPort(controlPlane) === undefined)
      faults.push(`--control-plane: found "${controlPlane}", allowed is HOST:PORT`);
  }
  const admin = given.get("adminAddress");
  const adminAddress = admin === undefined ? undefined : parseHostPort(admin);
  if (admin !== undefined && adminAddress === undefined)
    faults.push(`--admin-address: found "${admin}", allowed is HOST:PORT`);

  const level = given.get("logLevel") ?? "info";
  const logLevel = parseLogLevel(level);
  if (logLevel === undefined)
    faults.push(`--log-level: found "${level}", allowed are trace, debug, info, warn, error and off`);
  const format = given.get("logFormat") ?? "text";
  if (format !== "text" && format !== "json") faults.push(`--log-format: found "${format}", allowed are text and json`);

  const strategy = given.get("drainStrategy") ?? "gradual";
  if (strategy !== "gradual" && strategy !== "immediate")
    faults.push(`--drain-strategy: found "${strategy}", allowed are gradual and immediate`);

  const flags: SidecarFlags = {
    config: file !== undefined ? { type: "file", path: file } : text !== undefined ? { type: "text", text } : undefined,
    controlPlane,
    nodeId: given.get("nodeId"),
    nodeCluster: given.get("nodeCluster"),
    adminAddress,
    concurrency: wholeNumber(given, "concurrency", 1, 1, 256, faults),
    logLevel: logLevel ?? "info",
    logFormat: format === "json" ? "json" : "text",
    drainTimeMs: 1000 * wholeNumber(given, "drainTime", 5, 0, 86_400, faults),
    drain: {
      strategy: strategy === "immediate" ? "immediate" : "gradual",
      timeMs: 1000 * wholeNumber(given, "drainTime", 600, 0, 86_400, []),
    },
    accessLogFlush: {
      afterMs: wholeNumber(given, "logFlushInterval", DEFAULT_LOG_FLUSH.afterMs, 1, 3_600_000, faults),
      at: 1024 * wholeNumber(given, "logFlushSize", DEFAULT_LOG_FLUSH.at / 1024, 0, 512, faults),
    },
    exitWithParent: given.has("exitWithParent"),
  };
  return faults.length > 0 ? err(faults) : ok({ type: "run", flags });
}

/** "127.0.0.1:15000", "[::1]:15000", "localhost:0". Undefined: it is no such thing. */
export function parseHostPort(text: string): (Address & { readonly type: "socket" }) | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return undefined;
  return { type: "socket", address: match[1] ?? match[2] ?? "", port };
}

function collect(words: readonly string[], faults: string[]): ReadonlyMap<FlagKey, string> {
  const given = new Map<FlagKey, string>();
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const name = equals === -1 ? word : word.slice(0, equals);
    const key = KEY_BY_NAME.get(name);
    if (key === undefined) {
      faults.push(name.startsWith("-") ? `${name} is no flag${didYouMean(name)}` : `"${word}" stands behind no flag`);
      continue;
    }
    if (given.has(key)) faults.push(`${name} is given twice`);
    if (FLAGS[key].value === undefined) {
      if (equals !== -1) faults.push(`${name} takes no value`);
      given.set(key, "");
      continue;
    }
    const value = equals === -1 ? rest.shift() : word.slice(equals + 1);
    if (value === undefined) faults.push(`${name}: ${FLAGS[key].value} is missing`);
    else given.set(key, value);
  }
  return given;
}

function wholeNumber(
  given: ReadonlyMap<FlagKey, string>,
  key: "concurrency" | "drainTime" | "logFlushInterval" | "logFlushSize",
  byDefault: number,
  least: number,
  most: number,
  faults: string[],
): number {
  const text = given.get(key);
  if (text === undefined) return byDefault;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  faults.push(`${FLAGS[key].names[0]}: found "${text}", allowed are ${least} to ${most}`);
  return byDefault;
}

function didYouMean(name: string): string {
  let nearest = "";
  let best = Number.POSITIVE_INFINITY;
  for (const known of KEY_BY_NAME.keys()) {
    const distance = editDistance(name, known);
    if (distance >= best) continue;
    best = distance;
    nearest = known;
  }
  return best <= 1 + name.length / 3 ? `; is ${nearest} meant?` : "";
}

/** Levenshtein's: letters to add, take away or change. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1); // rows have b.length + 1 places
      row.push(Math.min(change, previous[j]! + 1, row[j - 1]! + 1));
    }
    previous = row;
  }
  return previous[b.length]!;
}
