import assert from "node:assert/strict";
import { test } from "node:test";
import { apiKeyAuthType } from "./api-key-auth-type.ts";
import { basicAuthType } from "./basic-auth-type.ts";
import { jwtAuthnType } from "./jwt-authn-type.ts";

test("what filters tell the upstream goes by no field of framing, and by none that is no field", () => {
  const provider = { localJwks: { inlineString: '{"keys":[]}' } };
  const jwt = (more: object) =>
    jwtAuthnType(undefined, undefined).parse({ providers: { p: { ...provider, ...more } } });
  const types: Readonly<Record<string, (name: string) => { readonly ok: boolean }>> = {
    claim: (name) => jwt({ claimToHeaders: [{ headerName: name, claimName: "sub" }] }),
    payload: (name) => jwt({ forwardPayloadHeader: name }),
    user: (name) => basicAuthType(undefined).parse({ forwardUsernameHeader: name }),
    client: (name) => apiKeyAuthType.parse({ forwarding: { header: name } }),
    "client of a route": (name) => apiKeyAuthType.parseRoute!({ forwarding: { header: name } }),
  };
  for (const [which, parse] of Object.entries(types)) {
    assert.equal(parse("x-who").ok, true, which);
    for (const name of [":path", "host", "Content-Length", "transfer-encoding", "a b", "a:", "x\r\ny"])
      assert.equal(parse(name).ok, false, `${which}: ${name}`);
  }
});
