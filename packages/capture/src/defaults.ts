/** Where a sidecar in a pod takes what is captured (design, "Names and ports"). */
export const DEFAULT_CAPTURE_PORTS = {
  /** What the application sends. */
  outbound: 15_001,
  /** What others send to the application. */
  inbound: 15_006,
  /** What the application asks of DNS, UDP and TCP. */
  dns: 15_053,
} as const;

/** User and group of the sidecar in a pod: whatever they send is not captured. Istio's number, so that policies of a cluster that name it hold. */
export const PROXY_UID = 1337;
