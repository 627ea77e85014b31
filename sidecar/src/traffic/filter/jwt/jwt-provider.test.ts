import assert from "node:assert/strict";
import { test } from "node:test";
import { JwtProvider } from "./jwt-provider.ts";
import { parseJwt } from "./parse-jwt.ts";
import { readJwtAuthentication } from "./read-jwt-config.ts";
import { ISSUER, TestIssuer } from "./testing-jwt.ts";

test("a token whose client has left is not kept until the keys come, and one that others wait for as well is", () => {
  const httpUri = { uri: "https://issuer.example/jwks", cluster: "c", timeout: "2s" };
  const config = readJwtAuthentication({ providers: { p: { issuer: ISSUER, remoteJwks: { httpUri } } } }, undefined);
  assert.ok(config.ok);
  const remoteKeys = { subscribe: () => ({ refresh: () => undefined, close: () => undefined }) };
  const provider = new JwtProvider(config.value.providers.get("p")!, {
    remoteKeys,
    onFetched: () => undefined,
    onThrow: (error) => assert.fail(String(error)),
  });
  const issuer = new TestIssuer("ES256");
  const ask = (sub: string): { cancel(): void } => {
    const jwt = parseJwt(issuer.token({ iss: ISSUER, sub }));
    assert.ok(jwt.ok);
    return provider.verify(jwt.value, () => undefined);
  };
  for (let i = 0; i < 100; i++) ask(`left-${i}`).cancel();
  assert.equal(provider.waiting, 0);
  // The same text, so the same token.
  const jwt = parseJwt(issuer.token({ iss: ISSUER, sub: "shared" }));
  assert.ok(jwt.ok);
  const [first, second] = [1, 2].map(() => provider.verify(jwt.value, () => undefined));
  first?.cancel();
  first?.cancel();
  assert.equal(provider.waiting, 1);
  second?.cancel();
  assert.equal(provider.waiting, 0);
});
