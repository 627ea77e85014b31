/** Below Node's `server.keepAliveTimeout` of 5 s, the shortest default among common servers. */
export const DEFAULT_IDLE_TIMEOUT_MS = 4000;

/** Envoy's. A server that ends an idle HTTP/2 connection says so first (GOAWAY), and what it has not served goes elsewhere. */
const DEFAULT_HTTP2_IDLE_TIMEOUT_MS = 3_600_000;

/** How long an HTTP/2 connection may stand without a stream before it is retired; 0 is without end. */
export function http2IdleLimitMs(configuredMs: number | undefined): number {
  return configuredMs ?? DEFAULT_HTTP2_IDLE_TIMEOUT_MS;
}

/**
 * How long an HTTP/1 connection may stand idle before it is retired; 0 is without end. The server's own announcement
 * (`Keep-Alive: timeout=N`) wins over a longer setting: we leave a second before it does, but use at least half of the
 * time, so that the race between its close and our next request stays rare.
 */
export function idleLimitMs(configuredMs: number | undefined, announcedMs: number | undefined): number {
  const ours = configuredMs ?? DEFAULT_IDLE_TIMEOUT_MS;
  if (announcedMs === undefined) return ours;
  const theirs = Math.max(announcedMs - 1000, announcedMs / 2);
  // Nothing configured: the announcement replaces our guess in both directions.
  if (configuredMs === undefined || configuredMs === 0) return theirs;
  return Math.min(ours, theirs);
}
