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

/**
 * The sidecar's own doors, never captured inbound whatever the settings say: admin, metrics, health. The kubelet and Prometheus ask there,
 * and a sidecar that captured its own health port would wait for itself.
 */
export const NEVER_CAPTURED_INBOUND: readonly number[] = [15_000, 15_020, 15_021];

/**
 * The address that the sidecar sends from when it hands an inbound connection to the application at the pod's own address: what is sent from
 * here over loopback is not captured again. To 127.0.0.1 and ::1 no special source is needed. Istio's addresses. The kernel has all of
 * 127.0.0.0/8; `::6` is added to `lo` together with the rules.
 */
export const PASSTHROUGH_SOURCE = { ipv4: "127.0.0.6", ipv6: "::6" } as const;

/** The packet mark of TPROXY, and the routing table that marked packets take: Istio's numbers, so that what a node reserves for a mesh suits both. */
export const TPROXY_MARK = 1337;
export const TPROXY_ROUTE_TABLE = 133;
/** What the sidecar sends to its own pod's address, so that TPROXY on loopback tells it from what the application sends there. Istio's number. */
export const TPROXY_OWN_MARK = 1338;
/** The conntrack zone of the sidecar's own DNS over UDP. */
export const DNS_ZONE = 1;
