import assert from "node:assert/strict";
import { test } from "node:test";
import { checkBootstrap } from "../../check.ts";

/* The filters' own tests give them JSON. Here it comes as it does from outside: by the messages of Envoy's API. */

const ALL = `
static_resources:
  listeners:
  - name: in
    address: { socket_address: { address: 127.0.0.1, port_value: 19912 } }
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          route_config:
            virtual_hosts:
            - name: a
              domains: ["*"]
              routes:
              - match: { prefix: /open }
                direct_response: { status: 200, body: { inline_string: open } }
                typed_per_filter_config:
                  jwt: { "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig, disabled: true }
                  basic: { "@type": type.googleapis.com/envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute, users: { inline_string: "u:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=" }, realm: x }
                  keys: { "@type": type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuthPerRoute, allowed_clients: [c] }
              - match: { prefix: / }
                direct_response: { status: 200, body: { inline_string: ok } }
          http_filters:
          - name: keys
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth
              credentials: [{ key: k, client: c }, { key: k2, client: d }]
              key_sources: [{ header: x-api-key }, { query: key }, { cookie: key }]
              forwarding: { header: x-client, hide_credentials: true }
          - name: basic
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.basic_auth.v3.BasicAuth
              users: { inline_string: "u:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=" }
              authentication_header: x-auth
              forward_username_header: x-user
              allow_missing: true
              emit_dynamic_metadata: true
              realm: shop
          - name: jwt
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              stat_prefix: edge
              bypass_cors_preflight: true
              providers:
                p:
                  issuer: i
                  audiences: [a]
                  subjects: { prefix: a }
                  require_expiration: true
                  max_lifetime: 3600.5s
                  clock_skew_seconds: 5
                  jwt_cache_config: { jwt_cache_size: 10, jwt_max_token_size: 9000 }
                  claim_to_headers: [{ header_name: x-a, claim_name: a.b }]
                  normalize_payload_in_metadata: { space_delimited_claims: [scope] }
                  payload_in_metadata: p
                  remote_jwks:
                    http_uri: { uri: "https://x/keys", cluster: issuer, timeout: 0.5s }
                    cache_duration: { seconds: 300 }
                    async_fetch: { fast_listener: false, failed_refetch_duration: 2s }
                    retry_policy: { num_retries: 3, retry_back_off: { base_interval: 0.01s, max_interval: 20s } }
              rules:
              - match: { safe_regex: { regex: "/a/.*" }, headers: [{ name: x, string_match: { exact: y } }], query_parameters: [{ name: q, present_match: true }] }
                requires: { requires_any: { requirements: [ { provider_name: p }, { allow_missing: {} } ] } }
              - match: { prefix: / }
                requirement_name: r
              requirement_map:
                r: { requires_all: { requirements: [ { provider_and_audiences: { provider_name: p, audiences: [b] } }, { allow_missing_or_failed: {} } ] } }
          - name: router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - { name: issuer, type: STATIC, connect_timeout: 1s, load_assignment: { cluster_name: issuer, endpoints: [] } }
`;

test("every field of the filters that authenticate is read as Envoy's messages have it", () => {
  assert.deepEqual(checkBootstrap("all.yaml", ALL), []);
});

for (const [what, from, to, path] of [
  ["rules by filter state", "bypass_cors_preflight: true", "filter_state_rules: { name: a }", /filter_state_rules/],
  ["a token that nobody verifies", "{ allow_missing: {} }", "{ extract_only_without_validation: {} }", /extract_only/],
  [
    "a route's match that has no effect here",
    "{ prefix: / }\n                requirement_name",
    "{ prefix: /, grpc: {} }\n                requirement_name",
    /rules\[1\]\.match\.grpc/,
  ],
  ["two clients with one key", "{ key: k2, client: d }", "{ key: k, client: d }", /credentials\[1\]\.key/],
  [
    "a user twice",
    'users: { inline_string: "u:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=" }\n              authentication',
    'users: { inline_string: "u" }\n              authentication',
    /users: line 1/,
  ],
  [
    "a requirement without a provider",
    "{ provider_name: p, audiences: [b] }",
    "{ provider_name: q }",
    /there is no provider "q"/,
  ],
  ["a route's configuration that says nothing", "disabled: true }", "}", /typed_per_filter_config/],
] as const) {
  test(`${what} is refused, with its place`, () => {
    assert.ok(ALL.includes(from), from);
    const told = checkBootstrap("all.yaml", ALL.replace(from, to)).map(({ path, message }) => `${path}: ${message}`);
    assert.match(told.join("\n"), path);
    assert.doesNotMatch(told.join("\n"), /qUqP5/);
  });
}
