import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { JwtStatus } from "./jwt-status.ts";
import { parseJwt } from "./parse-jwt.ts";
import { encoded } from "./testing-jwt.ts";

const HEADER = encoded({ alg: "ES256", kid: "k" });
const PAYLOAD = encoded({ iss: "i", sub: "s", aud: ["a", "b"], exp: 1.5, nbf: 0 });

function statusOf(token: string): string {
  const parsed = parseJwt(token);
  return parsed.ok ? "OK" : parsed.error.text;
}

function ofPayload(payload: string): string {
  return statusOf(`${HEADER}.${encoded(payload)}.AA`);
}

describe("a token", () => {
  test("is read with what it says of itself", () => {
    const parsed = parseJwt(`${HEADER}.${PAYLOAD}.AAAA`);
    assert.ok(parsed.ok);
    const { keyId, algorithm, issuer, subject, audiences, expires, notBefore, signatureBytes } = parsed.value;
    assert.deepEqual([keyId, algorithm, issuer, subject, audiences], ["k", "ES256", "i", "s", ["a", "b"]]);
    assert.deepEqual([expires, notBefore, signatureBytes], [1.5, 0, 3]);
    const least = parseJwt(`${encoded({ alg: "EdDSA" })}.${encoded({ aud: "a" })}.AA`);
    assert.ok(least.ok);
    assert.deepEqual([least.value.keyId, least.value.issuer, least.value.audiences], ["", "", ["a"]]);
    assert.deepEqual([least.value.expires, least.value.notBefore], [undefined, undefined]);
  });

  test("has three parts, none of them empty, and an end", () => {
    for (const token of [
      "",
      "..",
      "a.b",
      `${HEADER}.${PAYLOAD}.`,
      `.${PAYLOAD}.AA`,
      `${HEADER}.${PAYLOAD}.AA.`,
      `${HEADER}..AA`,
    ])
      assert.equal(statusOf(token), JwtStatus.badFormat.text, token);
    assert.equal(statusOf(`${HEADER}.${"A".repeat(1024 * 1024)}.AA`), JwtStatus.badFormat.text, "1 MB of claims");
    assert.equal(statusOf(".".repeat(1024 * 1024)), JwtStatus.badFormat.text);
  });

  test("is strict base64url: no padding, no other alphabet, no white space, no bits left over", () => {
    for (const wrong of ["A", "AA==", "A+AA", "A/AA", "AA AA", "AA\nAA", "AB", "AAB", "A\0AA", "Ä"]) {
      assert.equal(statusOf(`${HEADER}.${PAYLOAD}.${wrong}`), JwtStatus.signatureBadBase64.text, JSON.stringify(wrong));
      assert.equal(statusOf(`${HEADER}.${wrong}.AA`), JwtStatus.payloadBadBase64.text, JSON.stringify(wrong));
      assert.equal(statusOf(`${wrong}.${PAYLOAD}.AA`), JwtStatus.headerBadBase64.text, JSON.stringify(wrong));
    }
  });

  test("is JSON that all readers understand alike", () => {
    const wrong = [
      "[]",
      "null",
      '"a"',
      "{",
      '{"sub":"a"}x',
      '{"sub":"a","sub":"b"}',
      '{"a":{"b":1,"\\u0062":2}}',
      '{"a":[{"b":1},{"b":1,"b":2}]}',
      "\ufeff{}",
      `{"a":${"[".repeat(100)}${"]".repeat(100)}}`,
    ];
    for (const payload of wrong) assert.equal(ofPayload(payload), JwtStatus.payloadBadJson.text, payload);
    const notUtf8 = Buffer.from('{"sub":"\xff"}', "latin1").toString("base64url");
    assert.equal(statusOf(`${HEADER}.${notUtf8}.AA`), JwtStatus.payloadBadJson.text);
    const right = [
      '{"a":{"b":1},"b":{"b":"\\"}{,:"},"c":["b","b"]}',
      '{"__proto__":{"sub":"x"}}',
      "{}",
      `{"a":${"[".repeat(99)}${"]".repeat(99)}}`,
    ];
    for (const payload of right) assert.equal(ofPayload(payload), "OK", payload);
  });

  test("alg none, and every other that is not known, is refused before anything else is looked at", () => {
    for (const alg of ["none", "None", "NONE", "nOnE", "", "HS1", "es256", "RS256 ", "toString", "__proto__", "ES256K"])
      assert.equal(statusOf(`${encoded({ alg })}.x.x`), JwtStatus.headerUnknownAlg.text, alg);
    for (const alg of [undefined, null, 1, ["ES256"], { a: 1 }])
      assert.equal(statusOf(`${encoded({ ...(alg !== undefined && { alg }) })}.x.x`), JwtStatus.headerBadAlg.text);
    assert.equal(statusOf(`${encoded({ alg: "ES256", kid: 1 })}.x.x`), JwtStatus.headerBadKid.text);
  });

  test("RFC 7515 §4.1.11: what has to be understood (crit) is not, so the token is refused", () => {
    for (const crit of [["exp"], ["b64"], [], null])
      assert.equal(
        statusOf(`${encoded({ alg: "ES256", crit, b64: false })}.${PAYLOAD}.AA`),
        JwtStatus.verificationFails.text,
      );
  });

  test("has claims of the types that they have to have", () => {
    for (const [name, wrong, status] of [
      ["iss", 1, JwtStatus.issNotString],
      ["sub", null, JwtStatus.subNotString],
      ["jti", {}, JwtStatus.jtiNotString],
      ["aud", 1, JwtStatus.audNotString],
      ["aud", ["a", 1], JwtStatus.audNotString],
      ["exp", "1", JwtStatus.expNotInteger],
      ["exp", null, JwtStatus.expNotInteger],
      ["exp", -1, JwtStatus.expOutOfRange],
      ["nbf", true, JwtStatus.nbfNotInteger],
      ["nbf", 2 ** 64, JwtStatus.nbfOutOfRange],
      ["iat", [], JwtStatus.iatNotInteger],
    ] as const)
      assert.equal(ofPayload(JSON.stringify({ [name]: wrong })), status.text, name);
    assert.equal(ofPayload('{"iat":1e400}'), JwtStatus.iatOutOfRange.text);
  });
});
