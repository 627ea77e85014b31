/**
 * Envoy's response flags (config/observability/access_log/usage, `%RESPONSE_FLAGS%`), as bits of one number, in the
 * order in which Envoy prints them.
 */
export const ResponseFlag = {
  NoHealthyUpstream: 1 << 0, // UH
  UpstreamConnectionFailure: 1 << 1, // UF
  UpstreamOverflow: 1 << 2, // UO
  NoRouteFound: 1 << 3, // NR
  UpstreamRetryLimitExceeded: 1 << 4, // URX
  NoClusterFound: 1 << 5, // NC
  DurationTimeout: 1 << 6, // DT
  DownstreamConnectionTermination: 1 << 7, // DC
  FailedLocalHealthCheck: 1 << 8, // LH
  UpstreamRequestTimeout: 1 << 9, // UT
  LocalReset: 1 << 10, // LR
  UpstreamRemoteReset: 1 << 11, // UR
  UpstreamConnectionTermination: 1 << 12, // UC
  DelayInjected: 1 << 13, // DI
  FaultInjected: 1 << 14, // FI
  RateLimited: 1 << 15, // RL
  UnauthorizedExternalService: 1 << 16, // UAEX
  RateLimitServiceError: 1 << 17, // RLSE
  StreamIdleTimeout: 1 << 18, // SI
  InvalidEnvoyRequestHeaders: 1 << 19, // IH
  DownstreamProtocolError: 1 << 20, // DPE
  UpstreamProtocolError: 1 << 21, // UPE
  UpstreamMaxStreamDurationReached: 1 << 22, // UMSDR
  ResponseFromCacheFilter: 1 << 23, // RFCF
  NoFilterConfigFound: 1 << 24, // NFCF
  OverloadManager: 1 << 25, // OM
  DnsResolutionFailed: 1 << 26, // DF
  DropOverload: 1 << 27, // DO
} as const;

const SHORT = [
  "UH", "UF", "UO", "NR", "URX", "NC", "DT", "DC", "LH", "UT", "LR", "UR", "UC", "DI", "FI", "RL",
  "UAEX", "RLSE", "SI", "IH", "DPE", "UPE", "UMSDR", "RFCF", "NFCF", "OM", "DF", "DO",
] as const; // biome-ignore format: a table

/** "UF,URX", or "-" where there is none. */
export function formatResponseFlags(flags: number): string {
  if (flags === 0) return "-";
  const names: string[] = [];
  for (let bit = 0; bit < SHORT.length; bit++) if ((flags & (1 << bit)) !== 0) names.push(SHORT[bit]!);
  return names.join(",");
}
