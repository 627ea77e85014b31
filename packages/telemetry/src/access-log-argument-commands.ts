import { Cidr, err, grpcStatusName, ok, parseIp, type Result } from "@heddle/base";
import type { CommandMaker, LogCommand, LogValue } from "./access-log-command-type.ts";
import { addressOf } from "./access-log-plain-commands.ts";
import { type AccessLogSource, type MetadataOf, TIME_POINTS, type TimePoint } from "./access-log-source.ts";
import { grpcStatusOfCall } from "./grpc-status.ts";
import { compileTimeFormat, type TimeZone } from "./time-format.ts";

interface ArgumentCommand {
  readonly needsArgument: boolean;
  readonly make: CommandMaker;
}

type HeaderLookup = (source: AccessLogSource, name: string) => string | undefined;

/** Commands that take an argument in parentheses (Envoy: config/advanced/substitution_formatter). */
export const WITH_ARGUMENT: Readonly<Record<string, ArgumentCommand>> = {
  ...needed({
    REQ: header((source, name) => source.requestHeader(name)),
    REQUEST_HEADER: header((source, name) => source.requestHeader(name)),
    REQ_WITHOUT_QUERY: header((source, name) => withoutQuery(source.requestHeader(name))),
    RESP: header((source, name) => source.responseHeader(name)),
    RESPONSE_HEADER: header((source, name) => source.responseHeader(name)),
    TRAILER: header((source, name) => source.responseTrailer(name)),
    RESPONSE_TRAILER: header((source, name) => source.responseTrailer(name)),
    DYNAMIC_METADATA: metadataOf("DYNAMIC"),
    CLUSTER_METADATA: metadataOf("CLUSTER"),
    UPSTREAM_METADATA: metadataOf("UPSTREAM_HOST"),
    METADATA: anyMetadata,
    COMMON_DURATION: commonDuration,
    ENVIRONMENT: (name) => ok((source) => source.environment.variable(name)),
    QUERY_PARAM: (name) => ok((source) => queryParameter(source.requestHeader(":path"), name)),
  }),
  ...allowed({
    START_TIME: time((source) => source.startWallMs, "utc"),
    START_TIME_LOCAL: time((source) => source.startWallMs, "local"),
    EMIT_TIME: time((source) => source.environment.wallNow(), "utc"),
    EMIT_TIME_LOCAL: time((source) => source.environment.wallNow(), "local"),
    RESPONSE_CODE_DETAILS: oneOf(["ALLOW_WHITESPACES"], (choice) => (source) => {
      const { responseCodeDetails } = source;
      if (responseCodeDetails === "") return undefined;
      return choice === "" ? responseCodeDetails.replaceAll(/\s/g, "_") : responseCodeDetails;
    }),
    GRPC_STATUS: oneOf(["CAMEL_STRING", "SNAKE_STRING", "NUMBER"], (style) => (source) => {
      const status = grpcStatusOfCall(source);
      if (status === undefined || style === "NUMBER") return status;
      return grpcStatusName(status, style === "SNAKE_STRING" ? "snake" : "camel");
    }),
    REQUESTED_SERVER_NAME: requestedServerName,
    PATH: path,
    QUERY_PARAMS: oneOf(["ORIG", "DECODED"], (choice) => (source) => {
      const query = queryOf(source.requestHeader(":path"));
      return choice === "DECODED" && query !== undefined ? decoded(query) : query;
    }),
    HOSTNAME: withoutArgument((source) => source.environment.hostname),
    UNIQUE_ID: withoutArgument((source) => source.environment.uuid()),
    UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: address((source) => addressOf(source.upstreamLocalAddress)),
    UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: address((source) => addressOf(source.upstreamHost)),
    DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: address((source) => source.downstreamRemoteAddress),
    DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: address((source) => source.downstreamDirectRemoteAddress),
    DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: address((source) => source.downstreamLocalAddress),
    DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT: address((source) => source.downstreamDirectLocalAddress),
    DOWNSTREAM_PEER_CERT_V_START: time(({ downstreamTls }) => downstreamTls?.peer?.validFromMs, "utc"),
    DOWNSTREAM_PEER_CERT_V_END: time(({ downstreamTls }) => downstreamTls?.peer?.validToMs, "utc"),
    UPSTREAM_PEER_CERT_V_START: time(({ upstreamTls }) => upstreamTls?.peer?.validFromMs, "utc"),
    UPSTREAM_PEER_CERT_V_END: time(({ upstreamTls }) => upstreamTls?.peer?.validToMs, "utc"),
  }),
};

function needed(makers: Readonly<Record<string, CommandMaker>>): Record<string, ArgumentCommand> {
  return Object.fromEntries(Object.entries(makers).map(([name, make]) => [name, { needsArgument: true, make }]));
}

function allowed(makers: Readonly<Record<string, CommandMaker>>): Record<string, ArgumentCommand> {
  return Object.fromEntries(Object.entries(makers).map(([name, make]) => [name, { needsArgument: false, make }]));
}

function withoutArgument(command: LogCommand): CommandMaker {
  return (argument) => (argument === "" ? ok(command) : err("takes no argument"));
}

/** One word of a list, or none (""). */
function oneOf(words: readonly string[], make: (word: string) => LogCommand): CommandMaker {
  return (argument) =>
    argument === "" || words.includes(argument)
      ? ok(make(argument))
      : err(`"${argument}" is not one of ${words.join(", ")}`);
}

/** `X?Y`: Y where there is no X. */
function header(lookup: HeaderLookup): CommandMaker {
  return (argument) => {
    const [name = "", alternative, ...more] = argument.split("?").map((part) => part.trim().toLowerCase());
    if (name === "" || alternative === "" || more.length > 0)
      return err(`"${argument}" is not NAME or NAME?ALTERNATIVE`);
    if (alternative === undefined) return ok((source) => lookup(source, name));
    return ok((source) => lookup(source, name) ?? lookup(source, alternative));
  };
}

function metadataOf(of: MetadataOf): CommandMaker {
  return (argument) => {
    const [namespace = "", ...keys] = argument.split(":").map((part) => part.trim());
    if (namespace === "" || keys.includes("")) return err(`"${argument}" is not NAMESPACE:KEY`);
    return ok((source) => source.metadata(of, namespace, keys) as LogValue | undefined);
  };
}

const METADATA_TYPES: readonly MetadataOf[] = [
  "DYNAMIC",
  "CLUSTER",
  "ROUTE",
  "UPSTREAM_HOST",
  "LISTENER",
  "LISTENER_FILTER_CHAIN",
  "VIRTUAL_HOST",
];

function anyMetadata(argument: string): Result<LogCommand, string> {
  const colon = argument.indexOf(":");
  const type = METADATA_TYPES.find((name) => name === argument.slice(0, colon));
  if (type === undefined) return err(`"${argument}" does not begin with one of ${METADATA_TYPES.join(", ")} and ":"`);
  return metadataOf(type)(argument.slice(colon + 1));
}

function time(of: (source: AccessLogSource) => number | undefined, zone: TimeZone): CommandMaker {
  return (argument) => {
    const format = compileTimeFormat(argument, zone);
    if (!format.ok) return format;
    return ok((source) => {
      const wallMs = of(source);
      return wallMs === undefined ? undefined : format.value(wallMs);
    });
  };
}

const PER_MS: Readonly<Record<string, number>> = { ms: 1, us: 1000, ns: 1_000_000 };

/** `START:END:PRECISION`. */
function commonDuration(argument: string): Result<LogCommand, string> {
  const [start = "", end = "", precision = "", ...more] = argument.split(":");
  const perMs = Object.hasOwn(PER_MS, precision) ? PER_MS[precision]! : undefined;
  if (start === "" || end === "" || perMs === undefined || more.length > 0)
    return err(`"${argument}" is not START:END:PRECISION with a precision of ms, us or ns`);
  return ok((source) => {
    const from = pointOf(source, start);
    const to = pointOf(source, end);
    return from < 0 || to < 0 ? undefined : Math.floor((to - from) * perMs);
  });
}

/** Other names are time points that filters set; none of ours does, so they never happen. */
function pointOf(source: AccessLogSource, name: string): number {
  return (TIME_POINTS as readonly string[]).includes(name) ? source.timeOf(name as TimePoint) : -1;
}

/** Without a port; `MASK_PREFIX_LEN` makes it the block of so many bits: "10.1.0.0/16". */
function address(of: (source: AccessLogSource) => string): CommandMaker {
  return (argument) => {
    if (argument === "") return ok((source) => of(source) || undefined);
    const bits = Number(argument);
    if (!/^\d{1,3}$/.test(argument) || bits > 128) return err(`"${argument}" is no prefix length from 0 to 128`);
    return ok((source) => masked(of(source), bits));
  };
}

function masked(text: string, bits: number): string | undefined {
  const words = parseIp(text);
  if (words === undefined) return undefined;
  const isIpv4 = text.includes(".");
  if (isIpv4 && bits > 32) return undefined;
  return new Cidr(words, isIpv4 ? 96 + bits : bits).toString();
}

/** `X:Y`: X says whether the Host stands in for a missing SNI, Y which host that is. */
function requestedServerName(argument: string): Result<LogCommand, string> {
  const [use = "", which = "", ...more] = argument.split(":");
  const uses = ["", "SNI_ONLY", "SNI_FIRST", "HOST_FIRST"];
  const hosts = ["", "ORIG", "HOST", "ORIG_OR_HOST"];
  if (!uses.includes(use) || !hosts.includes(which) || more.length > 0)
    return err(`"${argument}" is not SNI_ONLY, SNI_FIRST or HOST_FIRST, and ORIG, HOST or ORIG_OR_HOST behind a colon`);
  const host = original("x-envoy-original-host", ":authority", which === "HOST" ? "PATH" : which);
  switch (use) {
    case "SNI_FIRST":
      return ok((source) => source.requestedServerName || host(source));
    case "HOST_FIRST":
      return ok((source) => host(source) || source.requestedServerName || undefined);
    default:
      return ok((source) => source.requestedServerName || undefined);
  }
}

/** `X:Y`: X with or without the query, Y from which header. */
function path(argument: string): Result<LogCommand, string> {
  const [query = "", which = "", ...more] = argument.split(":");
  if (!["", "WQ", "NQ"].includes(query) || !["", "ORIG", "PATH", "ORIG_OR_PATH"].includes(which) || more.length > 0)
    return err(`"${argument}" is not WQ or NQ, and ORIG, PATH or ORIG_OR_PATH behind a colon`);
  const full = original("x-envoy-original-path", ":path", which);
  return ok(query === "NQ" ? (source) => withoutQuery(full(source)) : full);
}

/** What a rewrite has kept in a header, what stands there now, or the first that there is. */
function original(kept: string, current: string, which: string): (source: AccessLogSource) => string | undefined {
  if (which === "ORIG") return (source) => source.requestHeader(kept);
  if (which === "PATH") return (source) => source.requestHeader(current);
  return (source) => source.requestHeader(kept) ?? source.requestHeader(current);
}

function withoutQuery(target: string | undefined): string | undefined {
  const query = target?.indexOf("?") ?? -1;
  return query < 0 ? target : target?.slice(0, query);
}

function queryOf(target: string | undefined): string | undefined {
  const query = target?.indexOf("?") ?? -1;
  return query < 0 ? undefined : target?.slice(query + 1);
}

function queryParameter(target: string | undefined, name: string): string | undefined {
  for (const pair of queryOf(target)?.split("&") ?? []) {
    const equals = pair.indexOf("=");
    if (decoded(equals === -1 ? pair : pair.slice(0, equals)) === name)
      return equals === -1 ? "" : decoded(pair.slice(equals + 1));
  }
  return undefined;
}

/** Percent-decoded where it can be; else as it came. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
