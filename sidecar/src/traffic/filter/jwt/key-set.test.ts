import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "@heddle/base";
import { JwtStatus } from "./jwt-status.ts";
import { KeySet } from "./key-set.ts";
import { type Algorithm, type Jwt, parseJwt } from "./parse-jwt.ts";
import { readJwks } from "./read-jwks.ts";

/** The claims that RFC 7515 signs, as they stand there: with line breaks. */
const CLAIMS = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

function verify(key: JsonObject, jwt: Jwt): Promise<JwtStatus> {
  const read = readJwks(JSON.stringify({ keys: [key] }), "local");
  assert.ok(read.ok);
  return new KeySet(read.value).verify(jwt);
}

/** `token` and the same with another last character but one. */
async function both(key: JsonObject, token: string): Promise<readonly JwtStatus[]> {
  const outcomes: JwtStatus[] = [];
  for (const text of [token, `${token.slice(0, -2)}${token.at(-2) === "A" ? "B" : "A"}${token.at(-1)}`]) {
    const parsed = parseJwt(text);
    assert.ok(parsed.ok);
    outcomes.push(await verify(key, parsed.value));
  }
  return outcomes;
}

const RIGHT_AND_WRONG = [JwtStatus.ok, JwtStatus.verificationFails];

describe("the examples of the standards are verified", () => {
  test("RFC 7515 A.1: HS256", async () => {
    const k = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    const token = `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${CLAIMS}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`;
    assert.deepEqual(await both({ kty: "oct", k }, token), RIGHT_AND_WRONG);
  });

  test("RFC 7515 A.3: ES256", async () => {
    const key = {
      kty: "EC",
      crv: "P-256",
      x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
      y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    };
    const signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert.deepEqual(await both(key, `eyJhbGciOiJFUzI1NiJ9.${CLAIMS}.${signature}`), RIGHT_AND_WRONG);
  });

  test("RFC 8037 A.4: EdDSA", async () => {
    const key = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
    const text =
      "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    // What it signs are no claims, so no reader of tokens takes it.
    assert.equal(parseJwt(text).ok, false);
    const jwt = { text, algorithm: "EdDSA" as Algorithm, keyId: "", signatureBytes: 64 } as Jwt;
    assert.equal(await verify(key, jwt), JwtStatus.ok);
  });
});

test("of many keys no more than a hundred are tried for a token that names none of them", () => {
  const keys = Array.from({ length: 300 }, () => ({
    id: "",
    algorithms: ["HS256" as const],
    jwk: { kty: "oct", k: "AAAA" },
  }));
  const parsed = parseJwt(`${Buffer.from('{"alg":"HS256"}').toString("base64url")}.${CLAIMS}.AA`);
  assert.ok(parsed.ok);
  assert.equal(new KeySet(keys).candidates(parsed.value).length, 100);
});
