/** What somebody who reaches the port may take of this process. */
export interface WebhookLimits {
  /** Of a review. An API server's own limit of a request is 3 MiB, and an etcd's of an object 1.5. */
  readonly bodyBytes: number;
  /** Of all reviews that are being read, together. */
  readonly allBodiesBytes: number;
  readonly connections: number;
  /** Of one address: API servers are few, and whoever else reaches the port must not take all of them. */
  readonly connectionsPerSource: number;
  /** From its first byte to the end of its head, and to the end of its body. */
  readonly headMs: number;
  readonly requestMs: number;
  /** Between two reviews. An API server keeps a connection for 90 s; the side that closes first must not be ours. */
  readonly idleMs: number;
  readonly handshakeMs: number;
  /** Of a review that waits for Kubernetes to say what labels a namespace has. */
  readonly reviewMs: number;
}

export const DEFAULT_WEBHOOK_LIMITS: WebhookLimits = {
  bodyBytes: 3 * 1024 * 1024,
  allBodiesBytes: 64 * 1024 * 1024,
  connections: 1024,
  connectionsPerSource: 256,
  headMs: 5000,
  requestMs: 10_000,
  idleMs: 120_000,
  handshakeMs: 5000,
  reviewMs: 3000,
};
