/**
 * Envoy's response flags (config/advanced/substitution_formatter, `%RESPONSE_FLAGS%`), as bits of one number, in the order
 * of Envoy's `CoreResponseFlag`, in which it prints them.
 */
export const ResponseFlag = {
  FailedLocalHealthCheck: 1 << 0, // LH
  NoHealthyUpstream: 1 << 1, // UH
  UpstreamRequestTimeout: 1 << 2, // UT
  LocalReset: 1 << 3, // LR
  UpstreamRemoteReset: 1 << 4, // UR
  UpstreamConnectionFailure: 1 << 5, // UF
  UpstreamConnectionTermination: 1 << 6, // UC
  UpstreamOverflow: 1 << 7, // UO
  NoRouteFound: 1 << 8, // NR
  DelayInjected: 1 << 9, // DI
  FaultInjected: 1 << 10, // FI
  RateLimited: 1 << 11, // RL
  UnauthorizedExternalService: 1 << 12, // UAEX
  RateLimitServiceError: 1 << 13, // RLSE
  DownstreamConnectionTermination: 1 << 14, // DC
  UpstreamRetryLimitExceeded: 1 << 15, // URX
  StreamIdleTimeout: 1 << 16, // SI
  InvalidEnvoyRequestHeaders: 1 << 17, // IH
  DownstreamProtocolError: 1 << 18, // DPE
  UpstreamMaxStreamDurationReached: 1 << 19, // UMSDR
  ResponseFromCacheFilter: 1 << 20, // RFCF
  NoFilterConfigFound: 1 << 21, // NFCF
  DurationTimeout: 1 << 22, // DT
  UpstreamProtocolError: 1 << 23, // UPE
  NoClusterFound: 1 << 24, // NC
  OverloadManager: 1 << 25, // OM
  DnsResolutionFailed: 1 << 26, // DF
  DropOverload: 1 << 27, // DO
  DownstreamRemoteReset: 1 << 28, // DR
  UnconditionalDropOverload: 1 << 29, // UDO
} as const;

const SHORT = [
  "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH",
  "DPE", "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO", "DR", "UDO",
] as const; // biome-ignore format: a table

/** The names above are Envoy's long ones, but for this: "OverloadManagerTerminated". */
const LONG: readonly string[] = Object.keys(ResponseFlag).map((name) =>
  name === "OverloadManager" ? "OverloadManagerTerminated" : name,
);

/** "UF,URX", or "-" where there is none. */
export function formatResponseFlags(flags: number): string {
  return flags === 0 ? "-" : join(flags, SHORT);
}

/** "UpstreamConnectionFailure,UpstreamRetryLimitExceeded", or "-" where there is none. */
export function formatResponseFlagsLong(flags: number): string {
  return flags === 0 ? "-" : join(flags, LONG);
}

/** The bit of a short name; undefined: there is no such flag. */
export function responseFlagOf(shortName: string): number | undefined {
  const bit = (SHORT as readonly string[]).indexOf(shortName);
  return bit === -1 ? undefined : 1 << bit;
}

function join(flags: number, names: readonly string[]): string {
  let text = "";
  for (let bit = 0; bit < names.length; bit++) {
    if ((flags & (1 << bit)) !== 0) text += text === "" ? names[bit]! : `,${names[bit]!}`; // bit is below the length
  }
  return text;
}
