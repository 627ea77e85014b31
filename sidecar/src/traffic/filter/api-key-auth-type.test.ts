import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { Json } from "@heddle/base";
import { ScriptedExchange } from "@heddle/filter/testing";
import { apiKeyAuthType } from "./api-key-auth-type.ts";

before(() => apiKeyAuthType.load?.());

const CREDENTIALS = [
  { key: "k1", client: "shop" },
  { key: "k2", client: "bäcker" },
];
const SOURCES = [{ header: "X-Api-Key" }, { query: "key" }, { cookie: "key" }];
const CONFIG = { credentials: CREDENTIALS, keySources: SOURCES };

function ask(config: Json, path: string, headers: Record<string, string> = {}, routeConfig?: Json): ScriptedExchange {
  const filter = { name: "keys", filter: apiKeyAuthType, config, ...(routeConfig !== undefined && { routeConfig }) };
  const exchange = new ScriptedExchange({ filters: [filter] });
  exchange.sendRequest("GET", path, headers);
  return exchange;
}

function outcome({ atClient, responseCodeDetails }: ScriptedExchange): string {
  return atClient.head === undefined ? "passed" : `${atClient.head.status} ${responseCodeDetails} ${atClient.body}`;
}

const UNAUTHORIZED = "Client authentication failed.";

describe("the API key filter", () => {
  test("finds keys in a header, the query or a cookie", () => {
    assert.equal(outcome(ask(CONFIG, "/", { "x-api-key": "k1" })), "passed");
    assert.equal(outcome(ask(CONFIG, "/", { "x-api-key": "Bearer k1" })), "passed");
    assert.equal(outcome(ask(CONFIG, "/?a=b&key=k%32")), "passed");
    assert.equal(outcome(ask(CONFIG, "/", { cookie: 'a=b; key="k2"' })), "passed");
  });

  test("refuses others, and says why", () => {
    assert.equal(outcome(ask(CONFIG, "/")), `401 missing_api_key ${UNAUTHORIZED}`);
    assert.equal(outcome(ask(CONFIG, "/?key=&key=k1")), `401 missing_api_key ${UNAUTHORIZED}`);
    for (const wrong of ["k", "K1", "k1 k2", "k1\u00a0"])
      assert.equal(outcome(ask(CONFIG, "/", { "x-api-key": wrong })), `401 unknown_api_key ${UNAUTHORIZED}`);
    // The first place that holds a key counts, right or wrong.
    assert.equal(outcome(ask(CONFIG, "/?key=k1", { "x-api-key": "x" })), `401 unknown_api_key ${UNAUTHORIZED}`);
    assert.equal(outcome(ask({ credentials: CREDENTIALS }, "/?key=k1")), `401 missing_key_sources ${UNAUTHORIZED}`);
    assert.equal(outcome(ask({ keySources: SOURCES }, "/?key=k1")), `401 missing_credentials ${UNAUTHORIZED}`);
  });

  test("names the client to the upstream, and takes the key away from everywhere", () => {
    const forwarding = { header: "X-Client", hideCredentials: true };
    const headers = { "x-api-key": "k2", "x-client": "root", cookie: "a=1; key=k1; b=2" };
    const { head } = ask({ ...CONFIG, forwarding }, "/p?x=%41&key=k1&y&k%65y=2", headers).atUpstream;
    assert.equal(head?.headers.joined("x-client"), Buffer.from("bäcker").toString("latin1"));
    assert.equal(head.headers.has("x-api-key"), false);
    assert.equal(head.headers.get("cookie"), "a=1; b=2");
    assert.equal(head.path, "/p?x=%41&y");
    const only = ask({ ...CONFIG, forwarding }, "/?key=k1", { cookie: "key=k1" }).atUpstream.head;
    assert.deepEqual([only?.path, only?.headers.has("cookie")], ["/", false]);
  });

  test("a route has clients, keys, places and forwarding of its own", () => {
    const allowed = { allowedClients: ["bäcker"] };
    assert.equal(outcome(ask(CONFIG, "/?key=k2", {}, allowed)), "passed");
    assert.equal(outcome(ask(CONFIG, "/?key=k1", {}, allowed)), "403 client_not_allowed Client is forbidden.");
    const other = {
      credentials: [{ key: "k3", client: "c" }],
      keySources: [{ query: "q" }],
      forwarding: { header: "x-c" },
    };
    assert.equal(ask(CONFIG, "/?q=k3", {}, other).atUpstream.head?.headers.get("x-c"), "c");
    assert.equal(outcome(ask(CONFIG, "/?key=k1", {}, other)), `401 missing_api_key ${UNAUTHORIZED}`);
  });

  test("two clients with one key, and a place without a name, are refused without the key being shown", () => {
    const parsed = apiKeyAuthType.parse({
      credentials: [...CREDENTIALS, { key: "k1", client: "c\n" }],
      keySources: [{}],
    });
    assert.ok(!parsed.ok);
    assert.deepEqual(
      parsed.error.map(({ path, message }) => `${path} ${message}`),
      [
        "credentials[2].key is that of credentials[0] already",
        "credentials[2].client holds a control character",
        "keySources[0] needs one of header, query and cookie",
      ],
    );
  });
});
