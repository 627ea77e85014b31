import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { holdsInlineSecrets } from "./inline-secrets.ts";
import { isSensitive, redactSecrets } from "./redact-secrets.ts";

test("what is secret is not shown, wherever it stands, and what is not stays", () => {
  const json = {
    static_resources: {
      secrets: [{ name: "server", tls_certificate: { private_key: { inline_string: "PEM" } } }],
      clusters: [
        {
          name: "c",
          tls_certificates: [{ certificate_chain: { filename: "c.pem" }, private_key: { filename: "/k.pem" } }],
          request_headers: [
            { key: "authorization", value: "Bearer abc" },
            { key: "x-team", value: "shop" },
            { key: "X-Shared-Secret", value: "hunter3" },
          ],
        },
      ],
    },
    admin: { password: "hunter2" },
  };
  const shown = JSON.stringify(redactSecrets(json));
  for (const secret of ["PEM", "Bearer abc", "hunter2", "hunter3"]) assert.ok(!shown.includes(secret), secret);
  for (const plain of ["c.pem", "/k.pem", "shop", '"server"']) assert.ok(shown.includes(plain), plain);
});

test("every field that Envoy's API marks sensitive is hidden", () => {
  const folder = join(import.meta.dirname, "../../../../node_modules/@grpc/grpc-js-xds/deps/envoy-api");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
    /\/v3\/\w+\.proto$/.test(file),
  );
  const marked = files.flatMap((file) =>
    [...readFileSync(join(folder, file), "utf8").matchAll(/(\w+) = \d+\s*\[([^\]]*)\]/g)].flatMap(
      ([, field = "", options]) => (options?.includes("(udpa.annotations.sensitive) = true") === true ? [field] : []),
    ),
  );
  assert.ok(marked.length > 10);
  // Hidden with what they stand in: `session_ticket_keys` and `private_key_provider`.
  const within = ["keys", "typed_config"];
  assert.deepEqual(
    marked.filter((field) => !isSensitive(field) && !within.includes(field)),
    [],
  );
});

test("what a provider is asked with is hidden where its header is named after a credential", () => {
  const headers = { authorization: "Bearer s3cret", "X-Api-Key": "s3cret", "x-team": "shop" };
  const shown = redactSecrets({ envoyExtAuthzHttp: { port: 80, includeAdditionalHeadersInCheck: headers } });
  const expected = { authorization: "[redacted]", "X-Api-Key": "[redacted]", "x-team": "shop" };
  assert.deepEqual(shown, { envoyExtAuthzHttp: { port: 80, includeAdditionalHeadersInCheck: expected } });
  assert.doesNotMatch(JSON.stringify(redactSecrets({ includeAdditionalHeadersInCheck: ["s3cret"] })), /s3cret/);
});

test("a name is the same in camel case", () => {
  const shown = JSON.stringify(redactSecrets({ tlsCertificate: { privateKey: { inlineBytes: "UEVN" } }, name: "n" }));
  assert.equal(shown, '{"tlsCertificate":{"privateKey":{"inlineBytes":"[redacted]"}},"name":"n"}');
});

test("credentials of calls to Google and AWS, and the users of basic authentication, are hidden", () => {
  const google = {
    google_refresh_token: "hidden",
    service_account_jwt_access: { json_key: "hidden", token_lifetime_seconds: 60 },
    google_iam: { authorization_token: "hidden", authority_selector: "shown" },
  };
  const aws = { inline_credential: { access_key_id: "shown", secretAccessKey: "hidden", session_token: "hidden" } };
  const shown = JSON.stringify(redactSecrets({ google, aws, basic: { users: { inline_string: "hidden" } } }));
  assert.doesNotMatch(shown, /hidden/);
  assert.equal(shown.match(/"shown"/g)?.length, 2);
});

test("what is sent to a control plane to be let in is hidden, whatever it is called", () => {
  const header = { key: "x-mesh-pass", value: "hidden 1" };
  const shown = JSON.stringify(
    redactSecrets({ a: { initial_metadata: [header] }, b: { initialMetadata: [header, "hidden 2"] } }),
  );
  assert.doesNotMatch(shown, /hidden/);
  assert.match(shown, /x-mesh-pass/);
});

test("X10: API keys, users and the keys of tokens are hidden in the configuration of the filters that read them", () => {
  const shown = JSON.stringify(
    redactSecrets({
      api: { credentials: [{ key: "hidden 1", client: "c" }], key_sources: [{ header: "x-api-key" }] },
      basic: { users: { inlineString: "u:{SHA}hidden 2" } },
      jwt: { providers: { p: { localJwks: { inlineString: "hidden 3" }, issuer: "shown" } } },
    }),
  );
  assert.doesNotMatch(shown, /hidden/);
  assert.match(shown, /x-api-key.*shown/);
});

test("a resource has a secret in itself where one is written there, and not where it is named or public", () => {
  for (const json of [
    { filter_chains: [{ tls_certificates: [{ private_key: { inline_string: "PEM" } }] }] },
    { tlsCertificates: [{ privateKey: { inlineBytes: "UEVN" } }] },
    { session_ticket_keys: { keys: [{ inline_bytes: "UEVN" }] } },
    { users: { inline_string: "user:{SHA}hash" } },
    { credentials: [{ key: "one", client: "a" }] },
    { private_key_provider: { provider_name: "p", typed_config: { private_key: { inline_string: "PEM" } } } },
    { password: "plain" },
    { request_headers_to_add: [{ header: { key: "Authorization", value: "Bearer s3cret" } }] },
    { requestHeadersToAdd: [{ header: { key: "x-api-key", rawValue: "czNjcmV0" } }] },
    { grpc_service: { initial_metadata: [{ key: "x-mesh-pass", value: "s3cret" }] } },
  ]) {
    assert.equal(holdsInlineSecrets(json), true, JSON.stringify(json));
    assert.doesNotMatch(JSON.stringify(redactSecrets(json)), /s3cret|czNjcmV0/);
  }
  for (const json of [
    { tls_certificates: [{ private_key: { filename: "/k.pem" }, certificate_chain: { inline_string: "PEM" } }] },
    { tls_certificates: [{ private_key: { inline_string: "" } }] },
    { hmac_secret: { name: "hmac", sds_config: { resource_api_version: "V3", ads: {} } } },
    { local_jwks: { inline_string: '{"keys":[]}' } },
    { key: "x-team", value: "shop" },
    { header: { key: "authorization", value: "Bearer %REQ(x-token)%" } },
    { header: { key: "cookie", value: "" } },
    { headers: [{ name: "authorization", present_match: true }] },
    { request_headers_to_remove: ["authorization"] },
    { initial_metadata: [{ key: "x-node", value: "%HOSTNAME%" }] },
  ])
    assert.equal(holdsInlineSecrets(json), false, JSON.stringify(json));
});
