import assert from "node:assert/strict";
import { test } from "node:test";
import type { Json, JsonObject } from "@heddle/base";
import { parseYamlDocuments } from "@heddle/config";
import { messageFromJson, validate } from "@heddle/proto";
import { RuleReader, readRbacRules } from "@heddle/traffic/rbac";
import fc from "fast-check";
import { readObjects } from "../../read/read-objects.ts";
import { httpAuthorization } from "./authorization.ts";
import { requestAuthentication } from "./request-authentication.ts";

/* A listener with one filter that a sidecar refuses is refused whole: nothing that is read may become one. */

const ODD = fc.oneof(
  fc.constantFrom("", " ", "a\r\nb", "\0", "é", "\ud83d", "(", "[a", "\\", "%", "$", "a/", "//", "/a*b", "{", "/{x}"),
  fc.string({ unit: "binary", maxLength: 6 }),
);

/** Mostly what people write. */
function mostly(...usual: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof({ weight: 30, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: ODD });
}

const list = (one: fc.Arbitrary<string>): fc.Arbitrary<readonly string[]> =>
  fc.array(one, { minLength: 1, maxLength: 2 });
const NAMES = mostly("a", "*", "a*", "*a", "mesh.test/ns/a/sa/b");
const TEXTS = list(NAMES);
const SOURCE = {
  principals: TEXTS,
  notPrincipals: TEXTS,
  requestPrincipals: list(mostly("i/s", "*", "*/s", "i*")),
  namespaces: list(mostly("a", "a*b", "*")),
  serviceAccounts: list(mostly("a", "b/c")),
  ipBlocks: list(mostly("1.2.3.4", "10.0.0.0/8", "fd00::/8")),
};
const OPERATION = {
  hosts: TEXTS,
  ports: list(mostly("80", "443")),
  methods: list(mostly("GET", "P*")),
  paths: list(mostly("/a", "/a*", "*.b", "/a/{*}/b", "/{**}", "/a.(b")),
  notPaths: list(mostly("/a")),
  grpcMethods: list(mostly("p.S/M", "p.S/*")),
};

const RULES = fc.array(
  fc.record(
    {
      from: fc.array(
        fc.record({
          source: fc.record(SOURCE, { requiredKeys: [] }),
        }),
        { maxLength: 1 },
      ),
      to: fc.array(fc.record({ operation: fc.record(OPERATION, { requiredKeys: [] }) }), {
        maxLength: 1,
      }),
      when: fc.array(
        fc.record({
          key: fc.oneof(
            fc.constantFrom("connection.sni", "request.auth.audiences", "source.principal"),
            mostly("x-a", "X-B").map((name) => `request.headers[${name}]`),
            mostly("a", "a][b").map((name) => `request.auth.claims[${name}]`),
          ),
          values: TEXTS,
        }),
        { maxLength: 1 },
      ),
    },
    { requiredKeys: [] },
  ),
  { minLength: 1, maxLength: 1 },
);
const JWT_RULES = fc.array(
  fc.record(
    {
      issuer: NAMES,
      audiences: TEXTS,
      jwks: fc.constant('{"keys":[]}'),
      fromHeaders: fc.array(fc.record({ name: NAMES, prefix: NAMES }), { maxLength: 1 }),
      fromParams: TEXTS,
      fromCookies: TEXTS,
      outputPayloadToHeader: NAMES,
      outputClaimToHeaders: fc.array(fc.record({ header: NAMES, claim: NAMES }), { maxLength: 1 }),
      spaceDelimitedClaims: TEXTS,
      timeout: fc.constantFrom("1s", "1.0005s", "3ms", "9999999h"),
    },
    { requiredKeys: ["issuer", "jwks"] },
  ),
  { minLength: 1, maxLength: 1 },
);

test("whatever texts stand in an AuthorizationPolicy that is read, a sidecar takes the filters that are made of it", () => {
  let read = 0;
  fc.assert(
    fc.property(RULES, fc.boolean(), (rules, trusted) => {
      const [policy] = objectsOf("AuthorizationPolicy", { rules });
      if (policy?.kind !== "authorization-policy") return;
      read += 1;
      for (const { config } of httpAuthorization(
        { authorization: [policy] },
        trusted ? { trustDomain: "mesh.test" } : undefined,
      )) {
        valid(config);
        const reader = new RuleReader("http");
        readRbacRules(config.config as JsonObject, reader);
        assert.deepEqual(reader.issues, []);
      }
    }),
    { seed: 3, numRuns: 800 },
  );
  assert.ok(read > 100, `${read}`);
});

test("whatever texts stand in a RequestAuthentication that is read, a sidecar takes the filter that is made of it", () => {
  let read = 0;
  fc.assert(
    fc.property(JWT_RULES, (jwtRules) => {
      const [policy] = objectsOf("RequestAuthentication", { jwtRules });
      if (policy?.kind !== "request-authentication") return;
      read += 1;
      for (const { config } of requestAuthentication([policy])) valid(config);
    }),
    { seed: 3, numRuns: 800 },
  );
  assert.ok(read > 100, `${read}`);
});

function objectsOf(kind: string, spec: object) {
  const text = JSON.stringify({ apiVersion: "heddle.dev/v1", kind, metadata: { name: "p" }, spec });
  const documents = parseYamlDocuments("f.yaml", text);
  return documents.ok ? documents.value.flatMap((document) => readObjects(document).objects) : [];
}

function valid({ type, config }: { readonly type: string; readonly config: Json }): void {
  const message = messageFromJson(type, config);
  assert.ok(message.ok, JSON.stringify(message));
  assert.deepEqual(validate(type, message.value), [], JSON.stringify(config));
}
