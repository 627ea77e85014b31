/** `envoy.extensions.filters.http.router.v3.Router`, as far as the router uses it. */
export interface RouterConfig {
  /** Adds no `x-envoy-*` field to requests and answers. */
  readonly suppressEnvoyHeaders: boolean;
  /** The time that a sidecar before us expects to wait counts for the route's timeout. */
  readonly respectExpectedRqTimeout: boolean;
  /** A span for each attempt, as `spawn_upstream_span` of the connection manager's tracing asks for. */
  readonly startChildSpan: boolean;
  /** Headers that steer, whose value must make sense; else the answer is 400. */
  readonly strictCheckHeaders: readonly string[];
}
