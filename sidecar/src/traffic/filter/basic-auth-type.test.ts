import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, describe, test } from "node:test";
import type { Json } from "@heddle/base";
import { ScriptedExchange } from "@heddle/filter/testing";
import { basicAuthType } from "./basic-auth-type.ts";
import { systemFilterData } from "./filter-data.ts";

const type = basicAuthType(systemFilterData((name) => (name === "USERS" ? line("env", "e") : undefined)));
before(() => type.load?.());

function line(name: string, password: string): string {
  return `${name}:{SHA}${createHash("sha1").update(password).digest("base64")}`;
}

const USERS = { inlineString: `# people\n${line("anna", "geheim")}\r\n\n${line("böb", "p:w")}\n` };

function ask(config: Json, headers: Readonly<Record<string, string>>, routeConfig?: Json): ScriptedExchange {
  const filter = { name: "basic", filter: type, config, ...(routeConfig !== undefined && { routeConfig }) };
  const exchange = new ScriptedExchange({ filters: [filter] });
  exchange.sendRequest("GET", "/a/b?c=d", { host: "shop", ...headers });
  return exchange;
}

function basic(credentials: string): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
}

function outcome({ atClient, responseCodeDetails }: ScriptedExchange): string {
  return atClient.head === undefined ? "passed" : `${atClient.head.status} ${responseCodeDetails}`;
}

describe("the basic auth filter", () => {
  test("lets in who knows a password, and nobody else", () => {
    assert.equal(outcome(ask({ users: USERS }, basic("anna:geheim"))), "passed");
    assert.equal(outcome(ask({ users: USERS }, basic("böb:p:w"))), "passed");
    for (const wrong of ["anna:falsch", "anna:", "anna:geheim ", "eve:geheim", ":", "anna:geheim\0"])
      assert.equal(outcome(ask({ users: USERS }, basic(wrong))), "401 invalid_credential_for_basic_auth", wrong);
    assert.equal(outcome(ask({}, basic("anna:geheim"))), "401 invalid_credential_for_basic_auth");
  });

  test("says what is missing, and for what", () => {
    const missing = ask({ users: USERS }, {});
    assert.equal(outcome(missing), "401 no_credential_for_basic_auth");
    assert.equal(missing.atClient.body, "User authentication failed. Missing username and password.");
    assert.equal(missing.atClient.head?.headers.get("www-authenticate"), 'Basic realm="http://shop/a/b"');
    const other = ask({ users: USERS, realm: "shop" }, { authorization: "Bearer x" });
    assert.equal(outcome(other), "401 invalid_scheme_for_basic_auth");
    assert.equal(other.atClient.head?.headers.get("www-authenticate"), 'Basic realm="shop"');
    for (const malformed of ["Basic !", "Basic YW5uYQ==", "Basic YW5=uYQ", "Basic YW5uYTpnZWhlaW0 x"])
      assert.equal(outcome(ask({ users: USERS }, { authorization: malformed })), "401 invalid_format_for_basic_auth");
  });

  test("two fields of credentials are refused: the upstream may read the other one", () => {
    const exchange = new ScriptedExchange({ filters: [{ filter: type, config: { users: USERS } }] });
    const twice = basic("anna:geheim").authorization;
    exchange.request.headers.append("authorization", twice);
    exchange.request.headers.append("authorization", basic("eve:x").authorization);
    exchange.receiveHead(true);
    assert.equal(outcome(exchange), "401 invalid_format_for_basic_auth");
  });

  test("tells the upstream who it is, and lets no client say so itself", () => {
    const config = { users: USERS, forwardUsernameHeader: "X-User" };
    const forged = { "x-user": "root" };
    const known = ask(config, { ...basic("anna:geheim"), ...forged });
    assert.equal(known.atUpstream.head?.headers.joined("x-user"), "anna");
    const nobody = ask({ ...config, allowMissing: true, emitDynamicMetadata: true }, forged);
    assert.equal(nobody.atUpstream.head?.headers.has("x-user"), false);
  });

  test("lets requests without credentials pass where others decide, and leaves a name where there is one", () => {
    const config = { users: USERS, allowMissing: true, emitDynamicMetadata: true };
    assert.equal(outcome(ask(config, {})), "passed");
    assert.equal(outcome(ask(config, { authorization: "Bearer x" })), "passed");
    assert.equal(outcome(ask(config, basic("anna:falsch"))), "401 invalid_credential_for_basic_auth");
    assert.equal(ask(config, basic("böb:p:w")).metadata.get("basic")?.get("username"), "böb");
  });

  test("reads another field where it shall", () => {
    const config = { users: USERS, authenticationHeader: "X-Auth" };
    assert.equal(outcome(ask(config, { "x-auth": basic("anna:geheim").authorization })), "passed");
    assert.equal(outcome(ask(config, basic("anna:geheim"))), "401 no_credential_for_basic_auth");
  });

  test("has other users on another route", () => {
    const own = { users: { environmentVariable: "USERS" } };
    assert.equal(outcome(ask({ users: USERS }, basic("env:e"), own)), "passed");
    assert.equal(outcome(ask({ users: USERS }, basic("anna:geheim"), own)), "401 invalid_credential_for_basic_auth");
  });

  test("refuses lists that it cannot honour by their lines, and shows nothing of them", () => {
    const text =
      "a\nb:{SSHA}geheim\nc:{SHA}geheim\n:x\nd:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nd:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const parsed = type.parse({ users: { inlineString: text }, allowMissing: true, realm: 'a"b' });
    assert.ok(!parsed.ok);
    const told = parsed.error.map(({ path, message }) => `${path}: ${message.slice(0, 7)}`);
    assert.deepEqual(told, [
      "users: line 1:",
      "users: line 2:",
      "users: line 3:",
      "users: line 4:",
      "users: line 6:",
      "allowMissing: needs e",
      "realm: may hol",
    ]);
    assert.doesNotMatch(JSON.stringify(parsed.error), /geheim/);
    const gone = type.parse({ users: { filename: "/does/not/exist" } });
    assert.match(JSON.stringify(gone), /users\.filename.*cannot be read \(ENOENT\)/);
    assert.equal(basicAuthType(undefined).parse({ users: { filename: "/does/not/exist" } }).ok, true);
  });
});
