import { availableParallelism } from "node:os";
import { err, ok, type Result } from "@heddle/base";
import { DEFAULT_LOG_FLUSH, type Labels, type LogFlush, type LogLevel, parseLogLevel } from "@heddle/telemetry";
import type { Address } from "@heddle/traffic";
import { type Logger, parseComponentLevels } from "./control/admin/logging-page.ts";
import { FLAGS, type Flag, type FlagKey, WITHOUT_EFFECT } from "./flag-table.ts";
import type { IdentityFlags } from "./identity-settings.ts";

/** What the command line of a sidecar says. */
export interface SidecarFlags {
  /** The file of an Envoy bootstrap. With neither this nor `configYaml` the flags and the control plane say everything. */
  readonly configPath: string | undefined;
  /** A bootstrap as text; merged over the file where there is one. */
  readonly configYaml: string | undefined;
  readonly allowUnknownStaticFields: boolean;
  readonly mode: "serve" | "validate" | "init_only";
  /** Of `validate`. */
  readonly json: boolean;
  /** "host:port"; undefined where no flag said it. */
  readonly controlPlane: string | undefined;
  readonly nodeId: string | undefined;
  readonly nodeCluster: string | undefined;
  readonly nodeZone: string | undefined;
  readonly adminAddress: Address | undefined;
  /** Ports that are open to the pod's network; undefined: there is none. */
  readonly healthAddress: SocketAddress | undefined;
  readonly metricsAddress: SocketAddress | undefined;
  /** A file that gets the address of admin. */
  readonly adminAddressPath: string | undefined;
  /** Traffic workers. */
  readonly concurrency: number;
  readonly logLevel: LogLevel;
  readonly componentLevels: ReadonlyMap<Logger, LogLevel>;
  readonly logFormat: "text" | "json";
  /** Undefined: standard error. */
  readonly logPath: string | undefined;
  /** How long requests may go on after SIGTERM. */
  readonly drainTimeMs: number;
  /** How connections of listeners that are gone are asked to end, and how long they may go on. */
  readonly drain: { readonly strategy: "gradual" | "immediate"; readonly timeMs: number };
  /** When lines of access logs are written. */
  readonly accessLogFlush: LogFlush;
  /** Names of HTTP filters that are not to be had, without the category before the slash. */
  readonly disabledExtensions: readonly string[];
  /** Labels that every metric carries. */
  readonly statsTags: Labels;
  /** End when the parent process ends, however it ends. */
  readonly exitWithParent: boolean;
  readonly identity: IdentityFlags;
  /** Flags that were given and have no effect, each with the reason. */
  readonly withoutEffect: readonly string[];
}

type SocketAddress = Address & { readonly type: "socket" };

export type FlagsReading =
  | { readonly type: "run"; readonly flags: SidecarFlags }
  | { readonly type: "print"; readonly what: "help" | "version" | "hot-restart-version" };

const ALL_FLAGS: readonly Flag[] = [...Object.values(FLAGS), ...WITHOUT_EFFECT];
const FLAG_BY_NAME: ReadonlyMap<string, Flag> = new Map(
  ALL_FLAGS.flatMap((flag) => flag.names.map((name) => [name, flag])),
);

/** Reads the words behind `heddle sidecar`. On failure every reason. */
export function parseSidecarFlags(words: readonly string[]): Result<FlagsReading, readonly string[]> {
  const faults: string[] = [];
  const given = collect(words, faults);
  if (given.has(FLAGS.help)) return ok({ type: "print", what: "help" });
  if (given.has(FLAGS.version)) return ok({ type: "print", what: "version" });
  if (given.has(FLAGS.hotRestartVersion)) return ok({ type: "print", what: "hot-restart-version" });

  const text = (key: FlagKey): string | undefined => given.get(FLAGS[key])?.[0];
  const has = (key: FlagKey): boolean => given.has(FLAGS[key]);
  const configPath = text("configPath");
  const configYaml = text("configYaml");
  const controlPlane = text("controlPlane");
  if (controlPlane !== undefined) {
    if (configPath !== undefined || configYaml !== undefined)
      faults.push("--control-plane and a bootstrap exclude each other: the bootstrap names its own control plane");
    if (parseHostPort(controlPlane) === undefined)
      faults.push(`--control-plane: found "${controlPlane}", allowed is HOST:PORT`);
  }
  const caAddress = text("caAddress");
  if (caAddress !== undefined && parseHostPort(caAddress) === undefined)
    faults.push(`--ca-address: found "${caAddress}", allowed is HOST:PORT`);
  const address = (key: "adminAddress" | "healthAddress" | "metricsAddress"): SocketAddress | undefined => {
    const given = text(key);
    const read = given === undefined ? undefined : parseHostPort(given);
    if (given !== undefined && read === undefined)
      faults.push(`${FLAGS[key].names[0]}: found "${given}", allowed is HOST:PORT`);
    return read;
  };
  const adminAddress = address("adminAddress");

  const level = text("logLevel") ?? "info";
  const logLevel = parseLogLevel(level);
  if (logLevel === undefined)
    faults.push(`--log-level: found "${level}", allowed are trace, debug, info, warn, error and off`);
  const components = parseComponentLevels(text("componentLogLevel") ?? "");
  for (const fault of components.faults) faults.push(`--component-log-level: ${fault}`);

  // Envoy's patterns are understood by their percent signs: "[%Y-%m-%d %T.%e][%t][%l][%n] %v".
  const format = text("logFormat") ?? "text";
  if (format !== "text" && format !== "json" && !format.includes("%"))
    faults.push(`--log-format: found "${format}", allowed are text and json`);

  const mode = (text("mode") ?? "serve") as SidecarFlags["mode"];
  if (mode === "validate" && configPath === undefined && configYaml === undefined)
    faults.push("--mode validate needs a bootstrap: name one with -c");
  if (has("json") && mode !== "validate") faults.push("--json belongs to --mode validate");

  const flags: SidecarFlags = {
    configPath,
    configYaml,
    allowUnknownStaticFields: has("allowUnknownStaticFields"),
    mode,
    json: has("json"),
    controlPlane,
    nodeId: text("nodeId"),
    nodeCluster: text("nodeCluster"),
    nodeZone: text("nodeZone"),
    adminAddress,
    healthAddress: address("healthAddress"),
    metricsAddress: address("metricsAddress"),
    adminAddressPath: text("adminAddressPath"),
    concurrency: wholeNumber(
      "--concurrency",
      text("concurrency"),
      has("cpusetThreads") ? availableParallelism() : 1,
      1,
      256,
      faults,
    ),
    logLevel: logLevel ?? "info",
    componentLevels: components.levels,
    logFormat: format === "json" ? "json" : "text",
    logPath: text("logPath"),
    drainTimeMs: 1000 * wholeNumber("--drain-time-s", text("drainTime"), 5, 0, 86_400, faults),
    drain: {
      strategy: text("drainStrategy") === "immediate" ? "immediate" : "gradual",
      timeMs: 1000 * wholeNumber("--drain-time-s", text("drainTime"), 600, 0, 86_400, []),
    },
    accessLogFlush: {
      afterMs: wholeNumber(
        "--file-flush-interval-msec",
        text("logFlushInterval"),
        DEFAULT_LOG_FLUSH.afterMs,
        1,
        3_600_000,
        faults,
      ),
      at:
        1024 *
        wholeNumber("--file-flush-min-size-kb", text("logFlushSize"), DEFAULT_LOG_FLUSH.at / 1024, 0, 512, faults),
    },
    disabledExtensions: (text("disableExtensions") ?? "")
      .split(",")
      .map((name) => name.trim().replace(/^.*\//, ""))
      .filter((name) => name !== ""),
    statsTags: readStatsTags(given.get(FLAGS.statsTag) ?? [], faults),
    exitWithParent: has("exitWithParent"),
    identity: {
      caBundle: text("caBundle"),
      caAddress: text("caAddress"),
      joinTokenFile: text("joinTokenFile"),
      serviceAccountToken: text("serviceAccountToken"),
      identityDir: text("identityDir"),
      spiffeEndpointSocket: text("spiffeEndpointSocket"),
      workloadApi: text("workloadApi"),
      svidRenewAtPercent:
        text("svidRenewAtPercent") === undefined
          ? undefined
          : // With its jitter before the end, and with time for more than one attempt.
            wholeNumber("--svid-renew-at-percent", text("svidRenewAtPercent"), 50, 1, 80, faults),
    },
    withoutEffect: [
      ...WITHOUT_EFFECT.filter((flag) => given.has(flag)).map(
        ({ names, help }) => `${names[0]} has no effect: ${help}`,
      ),
      ...(format.includes("%") ? ["--log-format has no effect with a pattern: lines are text"] : []),
    ],
  };
  return faults.length > 0 ? err(faults) : ok({ type: "run", flags });
}

/** "127.0.0.1:15000", "[::1]:15000", "localhost:0". Undefined: it is no such thing. */
export function parseHostPort(text: string): SocketAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) return undefined;
  return { type: "socket", address: match[1] ?? match[2] ?? "", port };
}

/** What was given, by flag; a flag that takes no value has an empty list. */
function collect(words: readonly string[], faults: string[]): ReadonlyMap<Flag, readonly string[]> {
  const given = new Map<Flag, string[]>();
  const rest = [...words];
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const name = equals === -1 ? word : word.slice(0, equals);
    const flag = FLAG_BY_NAME.get(name);
    if (flag === undefined) {
      faults.push(name.startsWith("-") ? `${name} is no flag${didYouMean(name)}` : `"${word}" stands behind no flag`);
      continue;
    }
    if (given.has(flag) && flag.repeated !== true) faults.push(`${name} is given twice`);
    const values = given.get(flag) ?? [];
    given.set(flag, values);
    if (flag.value === undefined) {
      if (equals !== -1) faults.push(`${name} takes no value`);
      continue;
    }
    const value = equals === -1 ? rest.shift() : word.slice(equals + 1);
    if (value === undefined) faults.push(`${name}: ${flag.value} is missing`);
    else if (flag.number === true && !/^\d+$/.test(value))
      faults.push(`${name}: found "${value}", allowed is a number`);
    else if (flag.oneOf?.includes(value) === false)
      faults.push(`${name}: found "${value}", allowed ${flag.oneOf.length === 1 ? "is" : "are"} ${listed(flag.oneOf)}`);
    else values.push(value);
  }
  return given;
}

function listed(words: readonly string[]): string {
  return words.length === 1 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** Envoy's rule: letters, digits, "_" and "-" in names; no ":" or blank in values. */
function readStatsTags(tags: readonly string[], faults: string[]): Labels {
  const labels: Record<string, string> = {};
  for (const tag of tags) {
    const [, name, value] = /^([A-Za-z0-9_-]+):([^:\s]+)$/.exec(tag) ?? [];
    if (name === undefined || value === undefined) faults.push(`--stats-tag: found "${tag}", allowed is NAME:VALUE`);
    else if (Object.hasOwn(labels, name)) faults.push(`--stats-tag: ${name} is given twice`);
    else labels[name] = value;
  }
  return labels;
}

function wholeNumber(
  name: string,
  text: string | undefined,
  byDefault: number,
  least: number,
  most: number,
  faults: string[],
): number {
  if (text === undefined) return byDefault;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  faults.push(`${name}: found "${text}", allowed are ${least} to ${most}`);
  return byDefault;
}

function didYouMean(name: string): string {
  let nearest = "";
  let best = Number.POSITIVE_INFINITY;
  for (const known of FLAG_BY_NAME.keys()) {
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
