import { err, ok, type Result } from "@heddle/base";
import type { AccessLogSource } from "./access-log-source.ts";
import { compileTimeFormat } from "./time-format.ts";

/** What a command gives for one exchange. Numbers stay numbers in JSON; undefined is "-" in text and null in JSON. */
export type LogValue = string | number | boolean | null | { readonly [key: string]: unknown } | readonly unknown[];
export type LogCommand = (source: AccessLogSource) => LogValue | undefined;

/** Commands without an argument (Envoy: config/observability/access_log/usage, "Command Operators"). */
const PLAIN: Readonly<Record<string, LogCommand>> = {
  PROTOCOL: (s) => s.protocol,
  RESPONSE_CODE: (s) => s.responseCode,
  RESPONSE_FLAGS: (s) => s.responseFlags,
  RESPONSE_CODE_DETAILS: (s) => s.responseCodeDetails,
  BYTES_RECEIVED: (s) => s.bytesReceived,
  BYTES_SENT: (s) => s.bytesSent,
  DURATION: (s) => Math.round(s.durationMs),
  RESPONSE_DURATION: (s) => (s.responseDurationMs < 0 ? undefined : Math.round(s.responseDurationMs)),
  RESPONSE_TX_DURATION: (s) => (s.responseDurationMs < 0 ? undefined : Math.round(s.durationMs - s.responseDurationMs)),
  UPSTREAM_HOST: (s) => s.upstreamHost,
  UPSTREAM_CLUSTER: (s) => s.upstreamCluster,
  UPSTREAM_CLUSTER_RAW: (s) => s.upstreamCluster,
  UPSTREAM_LOCAL_ADDRESS: (s) => s.upstreamLocalAddress,
  UPSTREAM_REMOTE_ADDRESS: (s) => s.upstreamHost,
  UPSTREAM_TRANSPORT_FAILURE_REASON: (s) => s.upstreamTransportFailureReason,
  UPSTREAM_REQUEST_ATTEMPT_COUNT: (s) => s.upstreamAttempts,
  DOWNSTREAM_REMOTE_ADDRESS: (s) => withPort(s.downstreamRemoteAddress, s.downstreamRemotePort),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: (s) => s.downstreamRemoteAddress,
  DOWNSTREAM_REMOTE_PORT: (s) => s.downstreamRemotePort,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: (s) => withPort(s.downstreamDirectRemoteAddress, s.downstreamRemotePort),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: (s) => s.downstreamDirectRemoteAddress,
  DOWNSTREAM_LOCAL_ADDRESS: (s) => withPort(s.downstreamLocalAddress, s.downstreamLocalPort),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: (s) => s.downstreamLocalAddress,
  DOWNSTREAM_LOCAL_PORT: (s) => s.downstreamLocalPort,
  CONNECTION_ID: (s) => s.connectionId,
  ROUTE_NAME: (s) => s.routeName,
  VIRTUAL_HOST_NAME: (s) => s.virtualHost,
  // Virtual clusters are not honoured, so no request is ever in one.
  VIRTUAL_CLUSTER_NAME: () => undefined,
  FILTER_CHAIN_NAME: (s) => s.filterChainName,
  STREAM_ID: (s) => s.requestId,
  TRACE_ID: (s) => s.traceId,
  // Known only with TLS, which this version does not speak; Envoy writes "-" for plaintext too.
  REQUESTED_SERVER_NAME: () => undefined,
  CONNECTION_TERMINATION_DETAILS: () => undefined,
  DOWNSTREAM_TRANSPORT_FAILURE_REASON: () => undefined,
};

/** Commands with an argument in parentheses. */
const WITH_ARGUMENT: Readonly<Record<string, (argument: string) => Result<LogCommand, string>>> = {
  REQ: headerCommand((source, name) => source.requestHeader(name)),
  REQ_WITHOUT_QUERY: headerCommand((source, name) => withoutQuery(source.requestHeader(name))),
  RESP: headerCommand((source, name) => source.responseHeader(name)),
  TRAILER: headerCommand((source, name) => source.responseTrailer(name)),
  DYNAMIC_METADATA: metadataCommand,
  START_TIME: startTimeCommand,
};

/** The command of that name. `argument` is undefined without parentheses. The error says what is wrong, without the name. */
export function compileCommand(
  name: string,
  argument: string | undefined,
  hostname: string,
): Result<LogCommand, string> {
  if (name === "HOSTNAME" && argument === undefined) return ok(() => hostname);
  if (name === "START_TIME") return startTimeCommand(argument ?? "");
  const plain = Object.hasOwn(PLAIN, name) ? PLAIN[name] : undefined;
  if (plain !== undefined) return argument === undefined ? ok(plain) : err("takes no argument");
  const make = Object.hasOwn(WITH_ARGUMENT, name) ? WITH_ARGUMENT[name] : undefined;
  if (make === undefined) return err(`is not known; known are ${COMMAND_NAMES.join(", ")}`);
  return argument === undefined || argument === "" ? err("needs an argument in parentheses") : make(argument);
}

export const COMMAND_NAMES: readonly string[] = [
  ...Object.keys(PLAIN),
  ...Object.keys(WITH_ARGUMENT),
  "HOSTNAME",
].sort();

type HeaderLookup = (source: AccessLogSource, name: string) => string | undefined;

/** `X?Y`: Y where there is no X. */
function headerCommand(lookup: HeaderLookup): (argument: string) => Result<LogCommand, string> {
  return (argument) => {
    const [name = "", alternative, ...more] = argument.split("?").map((part) => part.trim().toLowerCase());
    if (name === "" || alternative === "" || more.length > 0)
      return err(`"${argument}" is not NAME or NAME?ALTERNATIVE`);
    if (alternative === undefined) return ok((source) => lookup(source, name));
    return ok((source) => lookup(source, name) ?? lookup(source, alternative));
  };
}

function metadataCommand(argument: string): Result<LogCommand, string> {
  const [namespace = "", ...path] = argument.split(":").map((part) => part.trim());
  if (namespace === "" || path.includes("")) return err(`"${argument}" is not NAMESPACE:KEY`);
  return ok((source) => source.metadata(namespace, path) as LogValue | undefined);
}

function startTimeCommand(argument: string): Result<LogCommand, string> {
  const format = compileTimeFormat(argument);
  return format.ok ? ok((source) => format.value(source.startWallMs)) : format;
}

function withPort(address: string, port: number): string {
  if (address === "" || port === 0) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function withoutQuery(path: string | undefined): string | undefined {
  const query = path?.indexOf("?") ?? -1;
  return query < 0 ? path : path?.slice(0, query);
}
