import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Json, JsonObject } from "@heddle/base";
import { ScriptedExchange } from "@heddle/filter/testing";
import { MemoryMetrics } from "../http/testing-telemetry.ts";
import { JWT_METADATA } from "./jwt/forward-claims.ts";
import type { JwksNews, RemoteJwks, RemoteKeys } from "./jwt/remote-jwks.ts";
import { decided, encoded, ISSUER, jwks, secretToken, TestIssuer } from "./jwt/testing-jwt.ts";
import { jwtAuthnType } from "./jwt-authn-type.ts";

/** The clock that exchanges are given begins at that moment. */
const NOW = Date.UTC(2026, 0, 1) / 1000;
const EC = new TestIssuer("ES256", "ec");
const OTHER = new TestIssuer("ES256", "other");
const CLAIMS = { iss: ISSUER, sub: "anna", aud: "shop", exp: NOW + 600 };

const type = jwtAuthnType(undefined, undefined);
before(() => type.load?.());

const LOCAL = { issuer: ISSUER, localJwks: jwks(EC.jwk()) };
const ANY_PATH = { match: { prefix: "/" } };

function config(provider: JsonObject = {}, more: JsonObject = {}): JsonObject {
  return {
    providers: { p: { ...LOCAL, ...provider } },
    rules: [{ ...ANY_PATH, requires: { providerName: "p" } }],
    ...more,
  };
}

interface Asked {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly routeConfig?: Json;
  readonly metrics?: MemoryMetrics;
  readonly filter?: typeof type;
}

function ask(
  json: Json,
  { path = "/a", method = "GET", headers = {}, routeConfig, metrics, filter = type }: Asked,
): ScriptedExchange {
  const exchange = new ScriptedExchange({
    filters: [{ name: "jwt", filter, config: json, ...(routeConfig !== undefined && { routeConfig }) }],
    ...(metrics !== undefined && { metrics }),
  });
  exchange.sendRequest(method, path, { host: "shop", ...headers });
  return exchange;
}

function bearer(token: string): Asked {
  return { headers: { authorization: `Bearer ${token}` } };
}

function outcome(json: Json, asked: Asked): Promise<string> {
  return decided(ask(json, asked));
}

function denied(text: string, status = 401): string {
  return `${status} jwt_authn_access_denied{${text.replaceAll(" ", "_")}}`;
}

const MISSING = denied("Jwt is missing");
const FAILS = denied("Jwt verification fails");
const NO_KEY = denied("Jwks doesn't have key to match kid or alg from Jwt");

describe("the JWT filter", () => {
  test("lets in who has a token that its issuer has signed", async () => {
    assert.equal(await outcome(config(), bearer(EC.token(CLAIMS))), "passed");
    assert.equal(await outcome(config(), bearer(OTHER.token(CLAIMS, { kid: "ec" }))), FAILS);
    const [header = "", , signature = ""] = EC.token(CLAIMS).split(".");
    assert.equal(
      await outcome(config(), bearer(`${header}.${encoded({ ...CLAIMS, sub: "root" })}.${signature}`)),
      FAILS,
    );
  });

  test("verifies every algorithm that Envoy does, each with a key of its own type", async () => {
    for (const algorithm of [
      "ES256",
      "ES384",
      "ES512",
      "RS256",
      "RS384",
      "RS512",
      "PS256",
      "PS512",
      "EdDSA",
    ] as const) {
      const issuer = new TestIssuer(algorithm);
      const json = config({ localJwks: jwks(OTHER.jwk(), issuer.jwk()) });
      assert.equal(await outcome(json, bearer(issuer.token(CLAIMS))), "passed", algorithm);
    }
    for (const alg of ["HS256", "HS384", "HS512"]) {
      const json = config({ localJwks: jwks({ kty: "oct", k: Buffer.alloc(64, 7).toString("base64url") }) });
      assert.equal(await outcome(json, bearer(secretToken(Buffer.alloc(64, 7), CLAIMS, { alg }))), "passed", alg);
    }
  });

  test("answers as Envoy does: status, challenge, body and details", async () => {
    const missing = ask(config(), { path: "/a/b?access=secret" });
    assert.equal(await decided(missing), MISSING);
    assert.equal(missing.atClient.head?.headers.get("www-authenticate"), 'Bearer realm="http://shop/a/b"');
    assert.equal(missing.atClient.body, "Jwt is missing");
    const expired = ask(config(), bearer(EC.token({ ...CLAIMS, exp: NOW - 61 })));
    assert.equal(await decided(expired), denied("Jwt is expired"));
    assert.equal(
      expired.atClient.head?.headers.get("www-authenticate"),
      'Bearer realm="http://shop/a", error="invalid_token"',
    );
    const stripped = ask(config({}, { stripFailureResponse: true }), {});
    assert.equal(await decided(stripped), MISSING);
    assert.deepEqual([stripped.atClient.body, stripped.atClient.head?.headers.has("www-authenticate")], ["", false]);
  });

  test("heeds from when and until when, with a minute for clocks that differ, or as long as it shall", async () => {
    const expiring = (exp: number, provider: JsonObject = {}) =>
      outcome(config(provider), bearer(EC.token({ ...CLAIMS, exp })));
    assert.deepEqual(
      [await expiring(NOW - 60), await expiring(NOW - 61), await expiring(0)],
      ["passed", denied("Jwt is expired"), denied("Jwt is expired")],
    );
    assert.equal(await expiring(NOW - 6, { clockSkewSeconds: 5 }), denied("Jwt is expired"));
    const beginning = (nbf: number) => outcome(config(), bearer(EC.token({ ...CLAIMS, nbf })));
    assert.deepEqual([await beginning(NOW + 60), await beginning(NOW + 61)], ["passed", denied("Jwt not yet valid")]);
    const endless = bearer(EC.token({ iss: ISSUER }));
    assert.equal(await outcome(config(), endless), "passed");
    assert.equal(await outcome(config({ requireExpiration: true }), endless), FAILS);
    assert.equal(await expiring(NOW + 600, { requireExpiration: true }), "passed");
    assert.equal(await expiring(NOW + 600, { maxLifetime: "600s" }), FAILS);
    assert.equal(await expiring(NOW + 599, { maxLifetime: "600s" }), "passed");
  });

  test("asks for the issuer, the audience and the subject", async () => {
    assert.equal(
      await outcome(config(), bearer(EC.token({ ...CLAIMS, iss: `${ISSUER}/` }))),
      denied("Jwt issuer is not configured"),
    );
    assert.equal(await outcome(config({ issuer: "" }), bearer(EC.token({ ...CLAIMS, iss: "x" }))), "passed");
    const audience = (aud: Json) =>
      outcome(config({ audiences: ["https://shop/", "b"] }), bearer(EC.token({ ...CLAIMS, aud })));
    const foreign = denied("Audiences in Jwt are not allowed", 403);
    assert.deepEqual(
      [
        await audience("shop"),
        await audience(["x", "http://b/"]),
        await audience("shop.evil"),
        await audience([]),
        await audience(""),
      ],
      ["passed", "passed", foreign, foreign, foreign],
    );
    const subjects = { subjects: { prefix: "ann" } };
    assert.equal(await outcome(config(subjects), bearer(EC.token(CLAIMS))), "passed");
    assert.equal(await outcome(config(subjects), bearer(EC.token({ ...CLAIMS, sub: "bob" }))), FAILS);
  });

  test("finds tokens where they shall be, and takes them away unless they are to go on", async () => {
    const token = EC.token(CLAIMS);
    const header = ask(config(), { headers: { authorization: `Bearer ${token}`, "x-a": "1" } });
    assert.equal(await decided(header), "passed");
    assert.deepEqual(header.atUpstream.head?.headers.fields, ["x-a", "1"]);
    const query = ask(config(), { path: `/a?x=1&access_token=${token}&y=%20` });
    assert.equal(await decided(query), "passed");
    assert.equal(query.atUpstream.head?.path, "/a?x=1&y=%20");
    const kept = ask(config({ forward: true }), { path: `/a?access_token=${token}` });
    assert.equal(await decided(kept), "passed");
    assert.equal(kept.atUpstream.head?.path, `/a?access_token=${token}`);
    const own = config({
      fromHeaders: [{ name: "X-Jwt", valuePrefix: "jwt:" }, { name: "x-raw" }],
      fromParams: ["t"],
      fromCookies: ["c"],
    });
    for (const asked of [
      { headers: { "x-jwt": `jwt: ${token}` } },
      { headers: { "x-raw": token } },
      { path: `/?t=${token}` },
      { headers: { cookie: `a=b; c=${token}` } },
    ])
      assert.equal(await outcome(own, asked), "passed", JSON.stringify(asked).slice(0, 40));
    assert.equal(await outcome(own, bearer(token)), MISSING);
    assert.equal(await outcome(own, { headers: { "x-jwt": token } }), MISSING);
  });

  test("the first rule that matches counts; one without a requirement, and none, let everybody in", async () => {
    const rules = [
      { match: { path: "/healthz" } },
      { match: { prefix: "/b", headers: [{ name: "x-a", presentMatch: true }] }, requirementName: "named" },
      { match: { prefix: "/a" }, requires: { providerName: "p" } },
    ];
    const json = config({}, { rules, requirementMap: { named: { providerName: "p" } } });
    for (const path of ["/healthz?x", "/b", "/other"]) assert.equal(await outcome(json, { path }), "passed", path);
    for (const path of ["/a", "/ab", "/a/healthz"]) assert.equal(await outcome(json, { path }), MISSING, path);
    assert.equal(await outcome(json, { path: "/b", headers: { "x-a": "" } }), MISSING);
  });

  test("a route may ask for nothing, or for another requirement by its name", async () => {
    const json = config({}, { requirementMap: { open: {}, strict: { providerName: "p" } } });
    assert.equal(await outcome(json, { routeConfig: { disabled: true } }), "passed");
    assert.equal(await outcome(json, { routeConfig: { requirementName: "open" } }), "passed");
    assert.equal(await outcome(json, { routeConfig: { requirementName: "strict" } }), MISSING);
    const unknown = ask(json, { routeConfig: { requirementName: "gone" } });
    assert.equal(
      await decided(unknown),
      denied("Wrong requirement_name: gone. It should be one of [open,strict]", 403),
    );
    assert.equal(
      unknown.atClient.body,
      "Failed JWT authentication: Wrong requirement_name: gone. It should be one of [open,strict]",
    );
  });

  test("a preflight of CORS carries no token, and passes where it may", async () => {
    const headers = { origin: "https://a", "access-control-request-method": "PUT" };
    const json = config({}, { bypassCorsPreflight: true });
    assert.equal(await outcome(json, { method: "OPTIONS", headers }), "passed");
    assert.equal(await outcome(json, { method: "OPTIONS", headers: { origin: "https://a" } }), MISSING);
    assert.equal(await outcome(json, { method: "GET", headers }), MISSING);
    assert.equal(await outcome(config(), { method: "OPTIONS", headers }), MISSING);
  });
});

describe("a requirement of several tokens", () => {
  const A = new TestIssuer("ES256", "a");
  const B = new TestIssuer("EdDSA", "b");
  const providers = {
    a: { issuer: "a", localJwks: jwks(A.jwk()), fromHeaders: [{ name: "x-t-a" }], payloadInMetadata: "a" },
    b: { issuer: "b", localJwks: jwks(B.jwk()), fromHeaders: [{ name: "x-t-b" }], failedStatusInMetadata: "failed" },
  };
  const asking = (requires: JsonObject, headers: Record<string, string>) =>
    ask({ providers, rules: [{ ...ANY_PATH, requires }] }, { headers });
  const GOOD_A = { "x-t-a": A.token({ iss: "a", sub: "A" }) };
  const GOOD_B = { "x-t-b": B.token({ iss: "b" }) };
  const LATE_B = { "x-t-b": B.token({ iss: "b", exp: 1 }) };
  const both = [{ providerName: "a" }, { providerName: "b" }];
  const EXPIRED = denied("Jwt is expired");

  async function table(
    requires: JsonObject,
    rows: readonly (readonly [Record<string, string>, string])[],
  ): Promise<void> {
    for (const [headers, wanted] of rows)
      assert.equal(await decided(asking(requires, headers)), wanted, JSON.stringify(Object.keys(headers)));
  }

  test("any: the first that is good counts; else the reason that says most", async () => {
    await table({ requiresAny: { requirements: both } }, [
      [GOOD_A, "passed"],
      [GOOD_B, "passed"],
      [{ ...GOOD_A, ...LATE_B }, "passed"],
      [{}, MISSING],
      [LATE_B, EXPIRED],
      [{ "x-t-a": A.token({ iss: "z" }) }, denied("Jwt issuer is not configured")],
      [{ "x-t-a": "no token", ...LATE_B }, EXPIRED],
    ]);
  });

  test("any, or none at all: allow_missing and allow_missing_or_failed", async () => {
    const missing = { requiresAny: { requirements: [...both, { allowMissing: {} }] } };
    await table(missing, [
      [{}, "passed"],
      [GOOD_A, "passed"],
      [LATE_B, EXPIRED],
    ]);
    const failed = { requiresAny: { requirements: [...both, { allowMissingOrFailed: {} }] } };
    await table(failed, [
      [{}, "passed"],
      [LATE_B, "passed"],
    ]);
  });

  test("all: each has to be good", async () => {
    await table({ requiresAll: { requirements: both } }, [
      [{ ...GOOD_A, ...GOOD_B }, "passed"],
      [GOOD_A, MISSING],
      [{ ...GOOD_A, ...LATE_B }, EXPIRED],
    ]);
    const nested = {
      requiresAll: { requirements: [{ requiresAny: { requirements: [both[0]!, { allowMissing: {} }] } }, both[1]!] },
    };
    await table(nested, [
      [GOOD_B, "passed"],
      [GOOD_A, MISSING],
      [
        { ...GOOD_B, "x-t-a": "x" },
        denied("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"),
      ],
    ]);
  });

  test("optional by itself: tokens of any provider, by their issuer, where that provider's are", async () => {
    await table({ allowMissing: {} }, [
      [{}, "passed"],
      [{ ...GOOD_A, ...GOOD_B }, "passed"],
      [LATE_B, EXPIRED],
      [{ "x-t-b": A.token({ iss: "a" }) }, denied("Jwt issuer is not configured")],
      [{ "x-t-a": A.token({ iss: "z" }) }, denied("Jwt issuer is not configured")],
      // One that is good does not make up for one that is not: the upstream may read either.
      [{ ...GOOD_A, ...LATE_B }, EXPIRED],
    ]);
    await table({ allowMissingOrFailed: {} }, [
      [{}, "passed"],
      [{ "x-t-a": "x", ...LATE_B }, "passed"],
    ]);
    const mixed = asking({ allowMissingOrFailed: {} }, { ...GOOD_A, ...LATE_B });
    assert.equal(await decided(mixed), "passed");
    assert.deepEqual(mixed.metadata.get(JWT_METADATA)?.get("a"), { iss: "a", sub: "A" });
    assert.deepEqual(mixed.metadata.get(JWT_METADATA)?.get("failed"), { code: "3", message: "Jwt is expired" });
  });

  test("audiences of a requirement count instead of the provider's", async () => {
    const requires = { providerAndAudiences: { providerName: "a", audiences: ["x"] } };
    await table(requires, [
      [GOOD_A, denied("Audiences in Jwt are not allowed", 403)],
      [{ "x-t-a": A.token({ iss: "a", aud: "x" }) }, "passed"],
    ]);
  });

  test("what one provider has taken the next one does not find, as in Envoy", async () => {
    const same = { c: { issuer: "a", localJwks: jwks(A.jwk()), fromHeaders: [{ name: "x-t-a" }] } };
    const requires = { requiresAll: { requirements: [{ providerName: "a" }, { providerName: "c" }] } };
    const rules = [{ ...ANY_PATH, requires }];
    assert.equal(await decided(ask({ providers: { ...providers, ...same }, rules }, { headers: GOOD_A })), MISSING);
    const forwards = { ...providers, a: { ...providers.a, forward: true }, ...same };
    assert.equal(await decided(ask({ providers: forwards, rules }, { headers: GOOD_A })), "passed");
  });
});

describe("claims", () => {
  const PAYLOAD = {
    ...CLAIMS,
    n: { d: { e: "deep" } },
    yes: true,
    whole: 12345678901,
    part: 0.5,
    list: ["a"],
    nothing: null,
    scope: "read  write",
    "x.y": "dot",
  };

  test("become fields of the head, which nobody else may write", async () => {
    const names = ["sub", "n.d.e", "n.d", "yes", "whole", "part", "list", "nothing", "none", "__proto__", "x.y"];
    const claimToHeaders = names.map((claimName) => ({
      claimName,
      headerName: `X-C-${claimName.replaceAll(/[._]/g, "-")}`,
    }));
    const forged = Object.fromEntries(claimToHeaders.map(({ headerName }) => [headerName, "forged"]));
    const exchange = ask(config({ claimToHeaders, forwardPayloadHeader: "X-Payload" }), {
      headers: { ...bearer(EC.token(PAYLOAD)).headers, ...forged, "x-payload": "forged" },
    });
    assert.equal(await decided(exchange), "passed");
    const found = Object.fromEntries(
      (exchange.atUpstream.head?.headers.fields ?? []).flatMap((name, i, all) =>
        i % 2 === 0 ? [[name, all[i + 1]]] : [],
      ),
    );
    assert.deepEqual(found, {
      "x-payload": encoded(PAYLOAD),
      "x-c-sub": "anna",
      "x-c-n-d-e": "deep",
      "x-c-n-d": Buffer.from('{"e":"deep"}').toString("base64"),
      "x-c-yes": "true",
      "x-c-whole": "12345678901",
      "x-c-part": "0.500000",
      "x-c-list": Buffer.from('["a"]').toString("base64"),
    });
  });

  test("that a client forges are taken out of requests that need no token", async () => {
    const json = config({ claimToHeaders: [{ claimName: "sub", headerName: "x-sub" }] }, { rules: [] });
    const open = ask(json, { headers: { "x-sub": "root" } });
    assert.equal(await decided(open), "passed");
    assert.equal(open.atUpstream.head?.headers.has("x-sub"), false);
  });

  test("with line breaks and the like in them become none: a signed token may be a foreign hand's", async () => {
    for (const sub of ["a\r\nx-admin: yes", "a\0b", "a\x7f", ""]) {
      const exchange = ask(
        config({ claimToHeaders: [{ claimName: "sub", headerName: "x-sub" }] }),
        bearer(EC.token({ ...CLAIMS, sub })),
      );
      assert.equal(await decided(exchange), "passed");
      assert.deepEqual(exchange.atUpstream.head?.headers.fields, []);
    }
    const exchange = ask(
      config({ claimToHeaders: [{ claimName: "sub", headerName: "x-sub" }] }),
      bearer(EC.token({ ...CLAIMS, sub: " bäcker " })),
    );
    assert.equal(await decided(exchange), "passed");
    assert.equal(exchange.atUpstream.head?.headers.get("x-sub"), Buffer.from("bäcker").toString("latin1"));
  });

  test("and the head of the token go into the metadata, words as a list where they shall", async () => {
    const provider = {
      payloadInMetadata: "claims",
      headerInMetadata: "head",
      normalizePayloadInMetadata: { spaceDelimitedClaims: ["scope", "none"] },
    };
    const exchange = ask(config(provider), bearer(EC.token(PAYLOAD)));
    assert.equal(await decided(exchange), "passed");
    const metadata = exchange.metadata.get("envoy.filters.http.jwt_authn");
    assert.deepEqual(metadata?.get("claims"), { ...PAYLOAD, scope: ["read", "write"] });
    assert.deepEqual(metadata.get("head"), { alg: "ES256", kid: "ec" });
  });

  test("a payload is padded where it shall be", async () => {
    const exchange = ask(
      config({ forwardPayloadHeader: "x-p", padForwardPayloadHeader: true }),
      bearer(EC.token({ iss: ISSUER, a: "1" })),
    );
    assert.equal(await decided(exchange), "passed");
    const value = exchange.atUpstream.head?.headers.get("x-p") ?? "";
    assert.equal(value.length % 4, 0);
    assert.equal(
      value,
      Buffer.from(JSON.stringify({ iss: ISSUER, a: "1" }))
        .toString("base64url")
        .padEnd(value.length, "="),
    );
  });
});

describe("an attack with tokens", () => {
  test("alg none, with and without a signature, gets nobody in", async () => {
    for (const alg of ["none", "None", "NONE"]) {
      const signed = `${encoded({ alg })}.${encoded(CLAIMS)}`;
      assert.equal(
        await outcome(config(), bearer(`${signed}.`)),
        denied("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"),
      );
      assert.equal(await outcome(config(), bearer(`${signed}.AA`)), denied("Jwt header [alg] is not supported"));
    }
  });

  test("key confusion: a public key is no secret, whatever form of it has signed", async () => {
    const rsa = new TestIssuer("RS256", "r");
    const json = config({ localJwks: jwks(rsa.jwk(), EC.jwk()) });
    const jwk = rsa.jwk() as { readonly n: string };
    for (const secret of [rsa.pem(), rsa.pem().trim(), JSON.stringify(jwk), jwk.n, Buffer.from(jwk.n, "base64url")])
      for (const kid of ["r", "ec", null]) {
        const header = { alg: "HS256", ...(kid !== null && { kid }) };
        assert.equal(await outcome(json, bearer(secretToken(secret, CLAIMS, header))), NO_KEY);
      }
    // Between algorithms of one type of key a key that names one of them is for that alone.
    const pss = new TestIssuer("PS256", "s");
    const bound = config({ localJwks: jwks(pss.jwk({ alg: "RS256" })) });
    assert.equal(await outcome(bound, bearer(pss.token(CLAIMS))), NO_KEY);
  });

  test("a key id that is a path, a query or a name of JavaScript is an id like any other", async () => {
    for (const kid of [
      "../../../../dev/null",
      "' OR 1=1 --",
      "__proto__",
      "constructor",
      "http://evil.example/k",
      "ec\0",
      "ec ",
    ])
      assert.equal(await outcome(config(), bearer(OTHER.token(CLAIMS, { kid }))), NO_KEY, kid);
  });

  test("keys that a token brings along or points to are looked at by nobody", async () => {
    const brought = { jwk: OTHER.jwk(), jku: "http://evil.example/jwks", x5u: "http://evil.example/c", x5c: ["AA"] };
    assert.equal(await outcome(config(), bearer(OTHER.token(CLAIMS, { ...brought, kid: "ec" }))), FAILS);
    assert.equal(await outcome(config(), bearer(OTHER.token(CLAIMS, { ...brought, kid: null }))), FAILS);
  });

  test("CVE-2022-21449: a signature of zeros (psychic), or of the order of the curve, is none", async () => {
    const signed = `${encoded({ alg: "ES256", kid: "ec" })}.${encoded(CLAIMS)}`;
    const order = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");
    for (const signature of [Buffer.alloc(64), Buffer.concat([order, order]), Buffer.concat([Buffer.alloc(32), order])])
      assert.equal(await outcome(config(), bearer(`${signed}.${signature.toString("base64url")}`)), FAILS);
  });

  test("a signature of ECDSA has exactly two numbers of the length of its curve, and not the form of X.509", async () => {
    const token = EC.token(CLAIMS);
    const [header = "", payload = "", encodedSignature = ""] = token.split(".");
    const signature = Buffer.from(encodedSignature, "base64url");
    const [r, s] = [signature.subarray(0, 32), signature.subarray(32)];
    const der = (part: Buffer): Buffer => Buffer.concat([Buffer.from([2, 33, 0]), part]);
    const zero = Buffer.alloc(1);
    for (const wrong of [
      signature.subarray(0, 63),
      signature.subarray(1),
      Buffer.concat([signature, zero]),
      Buffer.concat([zero, r, zero, s]),
      Buffer.concat([Buffer.from([0x30, 70]), der(r), der(s)]),
    ])
      assert.equal(await outcome(config(), bearer(`${header}.${payload}.${wrong.toString("base64url")}`)), FAILS);
    const ed = new TestIssuer("EdDSA", "ed");
    const [h = "", p = ""] = ed.token(CLAIMS).split(".");
    const short = bearer(`${h}.${p}.${Buffer.alloc(63).toString("base64url")}`);
    assert.equal(
      await outcome(config({ localJwks: jwks(ed.jwk()) }), short),
      denied("Jwt ED25519 signature is wrong length"),
    );
  });

  test("a good token beside a bad one is refused, wherever the two stand", async () => {
    const good = EC.token(CLAIMS);
    const bad = OTHER.token(CLAIMS, { kid: "ec" });
    const twice = (first: string, second: string): ScriptedExchange => {
      const exchange = new ScriptedExchange({ filters: [{ filter: type, config: config() }] });
      exchange.request.headers.append("authorization", `Bearer ${first}`);
      exchange.request.headers.append("authorization", `Bearer ${second}`);
      exchange.receiveHead(true);
      return exchange;
    };
    assert.deepEqual([await decided(twice(good, bad)), await decided(twice(bad, good))], [FAILS, FAILS]);
    const places = { path: `/?access_token=${bad}`, headers: { authorization: `Bearer ${good}` } };
    assert.equal(await outcome(config(), places), FAILS);
    assert.equal(await outcome(config(), { path: `/?access_token=${good}&access_token=${bad}` }), FAILS);
    const cookies = config({ fromCookies: ["c"] });
    assert.equal(await outcome(cookies, { headers: { cookie: `c=${good}; c=${bad}` } }), FAILS);
    assert.equal(await outcome(cookies, { headers: { cookie: `c=${good}; cc=${bad}` } }), "passed");
  });

  test("a request with more than 16 tokens at one place brings none that is good, and nobody looks at them", async () => {
    const parameters = (count: number): string => `/?${`access_token=${EC.token(CLAIMS)}&`.repeat(count)}`;
    assert.equal(await outcome(config(), { path: parameters(16) }), "passed");
    for (const [requires, expected] of [
      [{ providerName: "p" }, FAILS],
      [{ requiresAny: { requirements: [{ providerName: "p" }, { allowMissing: {} }] } }, FAILS],
      [{ allowMissing: {} }, FAILS],
      [{ allowMissingOrFailed: {} }, "passed"],
    ] as const) {
      const metrics = new MemoryMetrics();
      const json = config({ payloadInMetadata: "claims" }, { rules: [{ ...ANY_PATH, requires }] });
      const exchange = ask(json, { path: parameters(17), metrics });
      assert.equal(await decided(exchange), expected);
      assert.equal(exchange.metadata.get(JWT_METADATA), undefined);
      assert.equal(metrics.values.get("jwt_authn.jwt_cache_miss") ?? 0, 0);
    }
  });

  test("an RSA key that is too short, a point that is not on its curve: such keys verify nothing", async () => {
    const short = { kty: "RSA", n: Buffer.alloc(128, 0xf1).toString("base64url"), e: "AQAB" };
    const off = {
      kty: "EC",
      crv: "P-256",
      x: Buffer.alloc(32, 1).toString("base64url"),
      y: Buffer.alloc(32, 2).toString("base64url"),
    };
    const json = config({ localJwks: jwks(short, off) });
    assert.equal(await outcome(json, bearer(new TestIssuer("RS256").token(CLAIMS))), FAILS);
    assert.equal(await outcome(json, bearer(OTHER.token(CLAIMS))), FAILS);
  });
});

test("a local set without a key that counts lets nobody in", async () => {
  const json = config({ localJwks: { inlineString: '{"keys":[{"kty":"none"}]}' } });
  assert.equal(await outcome(json, bearer(EC.token(CLAIMS))), denied("Jwks doesn't have any valid public key"));
});

describe("tokens that have been seen", () => {
  test("are verified once, by those who bring them at the same time too, and never again while they count", async () => {
    const metrics = new MemoryMetrics();
    const parsed = type.parse(config({}, { statPrefix: "edge" }));
    assert.ok(parsed.ok);
    let made = 0;
    const shared = {
      ...type,
      create(...args: Parameters<typeof type.create>) {
        made++;
        factory ??= type.create(...args);
        return factory;
      },
    };
    let factory: ReturnType<typeof type.create> | undefined;
    const token = EC.token(CLAIMS);
    const asking = () => ask(config({}, { statPrefix: "edge" }), { ...bearer(token), metrics, filter: shared });
    const first = [asking(), asking(), asking()];
    assert.deepEqual(await Promise.all(first.map(decided)), ["passed", "passed", "passed"]);
    assert.equal(metrics.values.get("jwt_authn.edge.jwt_cache_miss"), 3);
    const again = asking();
    assert.equal(again.atUpstream.ended, true, "at once");
    assert.equal(metrics.values.get("jwt_authn.edge.jwt_cache_hit"), 1);
    assert.equal(metrics.values.get("jwt_authn.edge.allowed"), 4);
    assert.equal(made, 5 - 1);
  });

  test("a client that goes away while its token is verified leaves nothing behind", async () => {
    const exchange = ask(config(), bearer(EC.token(CLAIMS)));
    exchange.disconnect();
    assert.equal(exchange.clock.pending, 0);
    assert.equal(await outcome(config(), bearer(EC.token(CLAIMS))), "passed");
    assert.equal(exchange.atUpstream.head, undefined);
  });
});

/** The control thread, scripted. */
class ScriptedKeys implements RemoteKeys {
  readonly sources: RemoteJwks[] = [];
  refreshes = 0;
  closed = 0;
  #onNews: (news: JwksNews) => void = () => undefined;

  subscribe(source: RemoteJwks, onNews: (news: JwksNews) => void) {
    this.sources.push(source);
    this.#onNews = onNews;
    return { refresh: () => void this.refreshes++, close: () => void this.closed++ };
  }

  tell(outcome: JwksNews["outcome"], ...issuers: readonly TestIssuer[]): void {
    const keys = issuers.map((issuer) => ({
      id: issuer.keyId,
      algorithms: ["ES256" as const],
      jwk: issuer.jwk() as never,
    }));
    this.#onNews({ key: "k", outcome, counts: true, ...(issuers.length > 0 && { keys }) });
  }
}

describe("keys that are fetched", () => {
  const REMOTE: JsonObject = { httpUri: { uri: "https://issuer.example/jwks?a", cluster: "c", timeout: "2s" } };
  const json: JsonObject = {
    providers: { p: { issuer: ISSUER, remoteJwks: REMOTE } },
    rules: [{ ...ANY_PATH, requires: { providerName: "p" } }],
  };

  /** One place in a chain, and what comes to it. */
  async function place() {
    const keys = new ScriptedKeys();
    const metrics = new MemoryMetrics();
    const remote = jwtAuthnType(undefined, keys);
    await remote.load?.();
    let factory: ReturnType<typeof remote.create> | undefined;
    const filter = {
      ...remote,
      create: (...args: Parameters<typeof remote.create>) => (factory ??= remote.create(...args)),
    };
    const asking = (token: string) => ask(json, { ...bearer(token), filter, metrics });
    return {
      keys,
      asking,
      count: (name: string) => metrics.values.get(`jwt_authn.${name}`) ?? 0,
      close: () => factory?.close?.(),
    };
  }

  test("are waited for by the requests that need them, and are theirs while they are wanted", async () => {
    const { keys, asking, count, close } = await place();
    const waiting = asking(EC.token(CLAIMS));
    assert.deepEqual(keys.sources, [
      {
        cluster: "c",
        uri: "https://issuer.example/jwks?a",
        timeoutMs: 2000,
        cacheMs: 600_000,
        failedRefetchMs: 1000,
        retries: { count: 0, baseMs: 1000, maxMs: 10_000 },
      },
    ]);
    assert.deepEqual([waiting.atUpstream.head, waiting.atClient.head], [undefined, undefined]);
    keys.tell("fetched", EC);
    assert.equal(await decided(waiting), "passed");
    assert.equal(count("jwks_fetch_success"), 1);
    close();
    assert.equal(keys.closed, 1);
  });

  test("CVE-2025-64527: a fetch that fails denies those who wait for it, and nothing else happens to anybody", async () => {
    const { keys, asking, count } = await place();
    const waiting = [asking(EC.token(CLAIMS)), asking(EC.token({ ...CLAIMS, sub: "b" })), asking("x")];
    keys.tell("failed");
    assert.deepEqual(await Promise.all(waiting.map(decided)), [
      denied("Jwks remote fetch is failed"),
      denied("Jwks remote fetch is failed"),
      denied("Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"),
    ]);
    assert.equal(count("jwks_fetch_failed"), 1);
    const next = asking(EC.token(CLAIMS));
    keys.tell("fetched", EC);
    assert.equal(await decided(next), "passed");
    keys.tell("failed"); // those that are there stay
    assert.equal(await decided(asking(EC.token({ ...CLAIMS, sub: "c" }))), "passed");
  });

  test("CVE-2025-64527: several tokens, none of which has to be good, and a fetch that fails under them", async () => {
    const keys = new ScriptedKeys();
    const remote = jwtAuthnType(undefined, keys);
    await remote.load?.();
    const optional = { ...json, rules: [{ ...ANY_PATH, requires: { allowMissingOrFailed: {} } }] };
    const exchange = new ScriptedExchange({ filters: [{ filter: remote, config: optional }] });
    for (const sub of ["a", "b", "c"])
      exchange.request.headers.append("authorization", `Bearer ${EC.token({ ...CLAIMS, sub })}`);
    exchange.receiveHead(true);
    for (let i = 0; i < 3; i++) {
      keys.tell("failed");
      await Promise.resolve();
    }
    assert.equal(await decided(exchange), "passed");
    assert.deepEqual(exchange.exceptions, []);
    assert.equal(exchange.clock.pending, 0);
  });

  test("of an id that is not known are asked for once more, and what the old keys have verified is forgotten with them", async () => {
    const { keys, asking } = await place();
    keys.sources.length = 0;
    const first = asking(EC.token(CLAIMS));
    keys.tell("fetched", EC);
    assert.equal(await decided(first), "passed");
    const before = keys.refreshes;
    const rotated = asking(OTHER.token(CLAIMS));
    assert.equal(keys.refreshes, before + 1);
    keys.tell("fetched", OTHER);
    assert.equal(await decided(rotated), "passed");
    const old = asking(EC.token(CLAIMS));
    keys.tell("told");
    assert.equal(await decided(old), NO_KEY);
  });

  test("that never come hold a request no longer than a fetch with its retries may take", async () => {
    const { asking } = await place();
    const exchange = asking(EC.token(CLAIMS));
    exchange.advance(60_000);
    assert.equal(await decided(exchange), denied("Jwks remote fetch is failed"));
    assert.equal(exchange.clock.pending, 0);
  });
});

describe("a configuration of the JWT filter", () => {
  test("is refused with the place of everything that is wrong", () => {
    const parsed = type.parse({
      providers: {
        a: { localJwks: { inlineString: "secret{" }, subjects: { safeRegex: { regex: "(" } } },
        b: { remoteJwks: { httpUri: { uri: "ftp://x/", cluster: "c", timeout: "1s" } } },
        c: {},
      },
      requirementMap: { r: { requiresAny: { requirements: [{ providerName: "x" }, {}] } } },
      rules: [
        { match: {}, requires: { providerAndAudiences: { providerName: "y" } } },
        { match: { prefix: "/" }, requirementName: "s" },
      ],
    });
    assert.ok(!parsed.ok);
    assert.deepEqual(
      parsed.error.map(({ path }) => path),
      [
        'providers["a"].subjects',
        'providers["a"].localJwks',
        'providers["b"].remoteJwks.httpUri.uri',
        'providers["c"].localJwks',
        'requirementMap["r"].requiresAny.requirements[0].providerName',
        "rules[0].match",
        "rules[0].requires.providerAndAudiences.providerName",
        "rules[1].requirementName",
      ],
    );
    assert.doesNotMatch(JSON.stringify(parsed.error), /secret/);
    assert.equal(type.parseRoute?.({}).ok, false);
  });
});
