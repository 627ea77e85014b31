/** `envoy.extensions.filters.http.router.v3.Router`, as far as the router uses it. */
export interface RouterConfig {
  /** Adds no `x-envoy-*` field to requests and answers. */
  readonly suppressEnvoyHeaders: boolean;
}
