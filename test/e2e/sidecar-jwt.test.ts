import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { cluster, inlineRoutes, listener, staticBootstrap } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { startSidecar } from "../harness/sidecar.ts";
import { TokenIssuer } from "../harness/token-issuer.ts";

const JWT_AUTHN = "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication";

/** Gives its keys by HTTP, and counts who asks. */
class Issuer extends TokenIssuer {
  fetches = 0;
  port = 0;
  up = true;

  static async start(owner: Owner): Promise<Issuer> {
    const issuer = new Issuer("issuer");
    const server = createServer((_, response) => {
      issuer.fetches++;
      response.writeHead(issuer.up ? 200 : 503).end(issuer.jwks());
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    issuer.port = (server.address() as AddressInfo).port;
    owner.after(() => void server.close());
    return issuer;
  }
}

async function start(t: TestContext) {
  const owner = lastFirst(t);
  const issuer = await Issuer.start(owner);
  const upstream = await RawUpstream.listen(owner);
  const jwt = {
    name: "jwt",
    typed_config: {
      "@type": JWT_AUTHN,
      providers: {
        remote: {
          issuer: "issuer",
          remote_jwks: {
            http_uri: { uri: "http://issuer.example/keys", cluster: "issuer", timeout: "5s" },
            cache_duration: "2s",
            async_fetch: { fast_listener: true },
          },
          claim_to_headers: [{ header_name: "x-team", claim_name: "team" }],
          clear_route_cache: true,
        },
        local: {
          issuer: "local",
          local_jwks: { inline_string: '{"keys":[{"kty":"oct","k":"bm90LXRvLWJlLXNlZW4"}]}' },
        },
      },
      rules: [{ match: { prefix: "/" }, requires: { provider_name: "remote" } }],
    },
  };
  const headers = [{ name: "x-team", string_match: { exact: "shop" } }];
  const route = { match: { prefix: "/", headers }, route: { cluster: "app" } };
  const routes = inlineRoutes([{ name: "all", domains: ["*"], routes: [route] }]);
  const bootstrap = staticBootstrap(
    [listener({ name: "in", routes, filters: [jwt] })],
    [cluster("app", [upstream.port]), cluster("issuer", [issuer.port])],
  );
  const sidecar = await startSidecar(bootstrap, owner, { concurrency: 2 });
  const port = await sidecar.port("in");
  const ask = async (token: string): Promise<string> => {
    const peer = await RawPeer.connect(port, owner);
    await peer.send(`GET / HTTP/1.1\r\nHost: a\r\nx-team: shop\r\nauthorization: Bearer ${token}\r\n\r\n`);
    const { status, body } = await peer.message();
    return `${status} ${body.toString()}`;
  };
  return { issuer, upstream, sidecar, ask };
}

test("tokens of a remote issuer: keys fetched once for all workers, claims that route, rotation, and an issuer that is gone", async (t) => {
  const { issuer, upstream, sidecar, ask } = await start(t);
  const seen: string[] = [];
  upstream.serve(async (peer) => {
    for (;;) {
      const { headers } = await peer.message();
      seen.push(`${headers.get("x-team")} ${headers.get("authorization")}`);
      await peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    }
  });
  const first = issuer.token({ team: "shop" });
  const stat = async (name: string): Promise<number> =>
    Number(new RegExp(`${name}: (\\d+)`).exec(await sidecar.page("/stats?filter=jwt_authn"))?.[1] ?? -1);

  // Both workers take some of them; the client's own x-team reaches nobody, and a claim chooses the route.
  for (let i = 0; i < 8; i++) assert.equal(await ask(first), "200 ok");
  assert.equal(await ask(issuer.token({ team: "other" })), "404 ");
  assert.match(await ask(issuer.token({ team: "shop", exp: 1 })), /^401 Jwt is expired/);
  assert.deepEqual([...new Set(seen)], ["shop undefined"]);
  await eventually(
    "each fetch is one for both workers, and what has been allowed is counted",
    async () => (await stat("jwks_fetch_success")) === issuer.fetches && (await stat("jwt_authn.allowed")) === 9,
  );

  issuer.rotate("second");
  const second = issuer.token({ team: "shop" });
  await eventually("the new key counts", async () => (await ask(second)) === "200 ok");
  await eventually("the old one counts no more", async () =>
    (await ask(first)).startsWith("401 Jwks doesn't have key"),
  );

  // CVE-2025-64527: an issuer that fails takes nothing away.
  issuer.up = false;
  for (let i = 0; i < 4; i++) assert.equal(await ask(issuer.token({ team: "shop", jti: String(i) })), "200 ok");

  // X10: neither a key nor a token is shown.
  const dump = await sidecar.page("/config_dump");
  assert.match(dump, /local_jwks/);
  assert.doesNotMatch(dump, /bm90LXRvLWJlLXNlZW4/);
  assert.ok(!sidecar.log.includes(first.slice(0, 20)));
  assert.match(await sidecar.page("/inspect"), /"second"/);
});
