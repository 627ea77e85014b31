import assert from "node:assert/strict";
import { createServer } from "node:https";
import { type AddressInfo, BlockList } from "node:net";
import { type TestContext, test } from "node:test";
import { err, ManualClock, ok, type Result } from "@heddle/base";
import { TestAuthority } from "@heddle/identity/testing";
import { type JwksUri, type MeshObject, parseJwksUri } from "@heddle/mesh";
import { TestLog } from "../ca/testing.ts";
import { askIssuer } from "./ask-issuer.ts";
import { IssuerDirectory } from "./issuer-directory.ts";
import { parseResource } from "./parse-resource.ts";
import { readFileText } from "./read-file.ts";

const ISSUER = "https://issuer.example/realm";

function policyOf(...issuers: readonly string[]): MeshObject {
  const text = JSON.stringify({
    apiVersion: "heddle.dev/v1",
    kind: "RequestAuthentication",
    metadata: { name: "r" },
    spec: { jwtRules: issuers.map((issuer) => ({ issuer })) },
  });
  const { items, diagnostics } = readFileText("f.yaml", text, parseResource);
  assert.deepEqual(diagnostics, []);
  const [policy] = items;
  assert.ok(policy?.kind === "request-authentication");
  return policy;
}

/** Where the keys are of each rule. */
function urisOf(object: MeshObject): readonly (string | undefined)[] {
  assert.ok(object.kind === "request-authentication");
  return object.rules.map(({ keys }) => (keys.type === "remote" ? keys.uri.text : undefined));
}

/** A directory whose issuers say what they are told to. */
function world() {
  const [clock, log] = [new ManualClock(), new TestLog()];
  const script = { answer: ok(uri("https://keys.example/a")) as Result<JwksUri, string> };
  const asked: string[] = [];
  let changes = 0;
  const directory = new IssuerDirectory({
    clock,
    log: log.log,
    random: () => 1,
    ask: async (issuer) => {
      asked.push(issuer);
      return script.answer;
    },
  });
  directory.start(() => (changes += 1));
  /** Until what was asked has been answered. */
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { clock, log, script, asked, directory, settled, changes: () => changes };
}

function uri(text: string): JwksUri {
  const read = parseJwksUri(text);
  assert.ok(read !== undefined);
  return read;
}

test("an issuer is asked where its keys are, once for all that name it, and again every twenty minutes", async () => {
  const { clock, asked, directory, settled, changes, script } = world();
  const [policy, other] = [policyOf(ISSUER, ISSUER), policyOf(ISSUER)];
  assert.deepEqual(urisOf(directory.resolve(policy)), [undefined, undefined]);
  directory.follow([policy, other, { kind: "service" }]);
  directory.follow([policy, other]);
  await settled();
  assert.deepEqual([asked, changes()], [[ISSUER], 1]);
  const resolved = directory.resolve(policy);
  assert.deepEqual(urisOf(resolved), ["https://keys.example/a", "https://keys.example/a"]);
  assert.equal(directory.resolve(policy), resolved, "the same words are the same object");
  clock.advance(20 * 60_000 - 1);
  assert.equal(asked.length, 1);
  clock.advance(1);
  await settled();
  assert.deepEqual([asked.length, changes()], [2, 1]);
  assert.equal(directory.resolve(policy), resolved);
  script.answer = ok(uri("https://keys.example/b"));
  clock.advance(20 * 60_000);
  await settled();
  assert.equal(changes(), 2);
  assert.deepEqual(urisOf(directory.resolve(policy)), ["https://keys.example/b", "https://keys.example/b"]);
  await directory.close();
  assert.equal(clock.pending, 0);
});

test("what cannot be had changes nothing, is said once, and is asked for again with back-off", async () => {
  const { clock, log, script, asked, directory, settled, changes } = world();
  const policy = policyOf(ISSUER);
  script.answer = err("the answer is 503");
  directory.follow([policy]);
  await settled();
  for (let more = 1; more < 5; more++) {
    clock.advance(301_000);
    await settled();
    assert.equal(asked.length, 1 + more);
  }
  assert.deepEqual([changes(), log.with("does not say where its keys are").length], [0, 1]);
  script.answer = ok(uri("https://keys.example/a"));
  clock.advance(301_000);
  await settled();
  script.answer = err("the answer is 503");
  clock.advance(20 * 60_000);
  await settled();
  assert.deepEqual(urisOf(directory.resolve(policy)), ["https://keys.example/a"]);
  await directory.close();
  assert.equal(clock.pending, 0);
});

test("nobody is asked whom no policy names any more, and no more than a hundred are", async () => {
  const { clock, log, asked, directory, settled } = world();
  const many = policyOf(...Array.from({ length: 101 }, (_, index) => `https://issuer-${index}.example`));
  directory.follow([many]);
  await settled();
  assert.deepEqual([asked.length, log.with("too many issuers").length], [100, 1]);
  // One namespace alone does not keep others' from being asked.
  directory.follow([many, { ...policyOf(ISSUER), namespace: "other" } as MeshObject]);
  await settled();
  assert.deepEqual(asked.slice(100), [ISSUER]);
  assert.equal(clock.pending, 100);
  directory.follow([]);
  assert.equal(clock.pending, 0);
  await directory.close();
});

const ca = new TestAuthority("Root");

/** An issuer on this machine, where nobody but a test asks one. */
async function issuerThatSays(t: TestContext, answer: (issuer: string) => unknown) {
  const { chain, key } = ca.issue({ dns: ["localhost"], ips: ["127.0.0.1"], usage: "server" });
  const asked: (string | undefined)[] = [];
  const server = createServer({ cert: chain, key }, (request, response) => {
    asked.push(request.url);
    const text = answer(issuer);
    if (typeof text === "number") response.writeHead(text, { location: "/elsewhere" }).end();
    else response.end(typeof text === "string" ? text : JSON.stringify(text));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}/realm/`;
  const ask = (more: object = {}): Promise<Result<JwksUri, string>> =>
    askIssuer(issuer, {
      signal: new AbortController().signal,
      ca: ca.certificate,
      forbidden: new BlockList(),
      ...more,
    });
  return { issuer, asked, ask };
}

test("an issuer's own document says it, fetched by https from its well-known place", async (t) => {
  const { asked, ask } = await issuerThatSays(t, (issuer) => ({ issuer, jwks_uri: "https://keys.example:8443/k?a=b" }));
  const answer = await ask();
  assert.deepEqual(
    answer,
    ok({ text: "https://keys.example:8443/k?a=b", tls: true, host: "keys.example", port: 8443 }),
  );
  assert.deepEqual(asked, ["/realm/.well-known/openid-configuration"]);
  const unbelieved = await ask({ ca: new TestAuthority("Root").certificate });
  assert.equal(unbelieved.ok, false);
  assert.equal(asked.length, 1, "whoever cannot show that it is the issuer is asked nothing");
});

for (const [what, answer, reason] of [
  ["of another issuer", () => ({ issuer: "https://evil.example", jwks_uri: "https://k.example" }), /another issuer/],
  ["without keys", (issuer: string) => ({ issuer }), /no https URL of keys/],
  ["with keys in plaintext", (issuer: string) => ({ issuer, jwks_uri: "http://k.example" }), /no https URL of keys/],
  ["that is no JSON", () => "SECRET <html>", /is no JSON/],
  ["that is a list", () => "[]", /is no object/],
  ["that leads elsewhere", () => 302, /the answer is 302/],
  ["that is too long", () => "x".repeat(64 * 1024 + 1), /exceeded|SIZE/i],
] as const)
  test(`a document ${what} is not believed`, async (t) => {
    const { ask } = await issuerThatSays(t, answer);
    const said = await ask();
    assert.match(said.ok ? "" : said.error, reason);
    assert.doesNotMatch(said.ok ? "" : said.error, /SECRET/);
  });

test("nobody is asked on this machine or its link, by whatever address or name", async (t) => {
  const { issuer, asked, ask } = await issuerThatSays(t, (named) => ({ issuer: named, jwks_uri: "https://k.example" }));
  const forbidden = await ask({ forbidden: undefined });
  assert.match(forbidden.ok ? "" : forbidden.error, /on this machine or its link/);
  const { port } = new URL(issuer);
  for (const host of [
    "127.0.0.1",
    "2130706433",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "169.254.169.254",
    "[fe80::1]",
    "0.0.0.0",
  ]) {
    const signal = new AbortController().signal;
    const said = await askIssuer(`https://${host}:${port}`, { signal, ca: ca.certificate });
    assert.match(said.ok ? "" : said.error, /on this machine or its link/, host);
  }
  assert.deepEqual(asked, []);
});
