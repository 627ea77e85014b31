import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import { eventually } from "../harness/eventually.ts";
import { IdentityMesh } from "../harness/identity-mesh.ts";
import type { MeshWorkload } from "../harness/mesh-workload.ts";
import { lastFirst } from "../harness/owner.ts";

const STRICT = policy("PeerAuthentication", "all", "mtls: { mode: STRICT }");

describe("sidecars with identities, configured by nobody", () => {
  test("call each other by mutual TLS, and policies decide who may", { timeout: 120_000 }, async (t) => {
    const owner = lastFirst(t);
    const mesh = await IdentityMesh.start(owner);
    const [web, cart, orders] = [await mesh.add("web"), await mesh.add("cart"), await mesh.add("orders")];
    const [caller] = await Promise.all([mesh.run(web), mesh.run(cart, mesh.certificate("clerk")), mesh.run(orders)]);
    const call = (from: MeshWorkload, path = "/"): Promise<Answer> => ask(from.outboundPort, path, "orders");

    await t.test("the application learns who calls, and from nobody else", async () => {
      await eventually("web reaches orders", async () => (await call(web)).status === 200);
      const forged = { "x-forwarded-client-cert": "URI=spiffe://mesh.test/ns/default/sa/admin" };
      const answer = await ask(web.outboundPort, "/", "orders", forged);
      assert.match(clientOf(answer), /URI=spiffe:\/\/mesh\.test\/ns\/default\/sa\/web$/);
      assert.doesNotMatch(clientOf(answer), /admin/);
      // PERMISSIVE: plaintext too, which says nothing of who calls.
      assert.equal(clientOf(await ask(orders.port, "/", "orders", forged)), "null");
    });

    await t.test("TLS of strangers is refused", async () => {
      const stranger = new TestAuthority("Stranger");
      const uris = ["spiffe://mesh.test/ns/default/sa/web"];
      assert.equal(await overTls(orders.port, mesh.certificate("web")), 200);
      assert.equal(await overTls(orders.port, stranger.issue({ uris })), "closed");
      assert.equal(await overTls(orders.port, mesh.authority.issue({ uris: ["spiffe://other.test/web"] })), "closed");
      assert.equal(await overTls(orders.port, undefined), "closed");
    });

    await t.test("who shows another's certificate is not called", async () => {
      const answer = await ask(web.outboundPort, "/", "cart");
      assert.equal(answer.status, 503);
      assert.match(await caller.page("/stats?filter=cart.*ssl"), /ssl\.fail_verify_san: [1-9]/);
    });

    await t.test("STRICT: no more plaintext, and callers do not notice", async () => {
      mesh.setPolicies(STRICT);
      await eventually("plaintext is refused", async () => (await ask(orders.port, "/", "orders")).status === 0);
      assert.equal((await call(web)).status, 200);
    });

    await t.test("who is not allowed is answered 403, by identity, method and path", async () => {
      const allow = policy(
        "AuthorizationPolicy",
        "orders",
        `selector: { matchLabels: { app: orders } }
  rules: [{ from: [{ source: { serviceAccounts: [web] } }], to: [{ operation: { methods: [GET], paths: ["/open", "/open/*"] } }] }]`,
      );
      mesh.setPolicies(STRICT, allow);
      await eventually("cart is refused", async () => (await call(cart, "/open")).status === 403);
      // Its connection to orders is of the chain before, and serves by its rules until it has been drained.
      await eventually(
        "web's connection is another one",
        async () => (await call(web, "/other")).status === 403,
        30_000,
      );
      assert.deepEqual(mesh.rejections, []);
      for (const [from, path, status] of [
        [web, "/open", 200],
        [web, "/open/x?y", 200],
        [web, "/other", 403],
        [web, "/open/../other", 403],
        [web, "//open", 200], // merged, and the application gets it so
        [web, "/open%2F..%2Fother", 400],
        [cart, "/open/x", 403],
      ] as const) {
        assert.equal((await call(from, path)).status, status, `${from.name} ${path}`);
      }
    });

    await t.test("tokens: a wrong one is answered 401, and none 403 where a policy asks for one", async () => {
      const issuer = new Issuer("https://issuer.example");
      const keys = createServer((_request, response) => response.end(issuer.jwks)).listen(0, "127.0.0.1");
      await once(keys, "listening");
      owner.after(() => keys.close().closeAllConnections());
      const { port } = keys.address() as AddressInfo;
      const target = "selector: { matchLabels: { app: orders } }";
      mesh.setPolicies(
        policy(
          "RequestAuthentication",
          "issuer",
          `${target}\n  jwtRules: [{ issuer: "${issuer.name}", audiences: [orders], jwksUri: "http://127.0.0.1:${port}/keys" }]`,
        ),
        policy(
          "AuthorizationPolicy",
          "users",
          `${target}\n  rules: [{ from: [{ source: { requestPrincipals: ["${issuer.name}/ann"] } }], when: [{ key: "request.auth.claims[realm][roles]", values: [buyer] }] }]`,
        ),
      );
      const claims = { iss: issuer.name, sub: "ann", aud: "orders", realm: { roles: ["buyer", "seller"] } };
      const status = async (token: string | undefined): Promise<number> => {
        const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
        return (await ask(web.outboundPort, "/", "orders", headers)).status;
      };
      await eventually("a token is asked for", async () => (await status(undefined)) === 403);
      assert.deepEqual(mesh.rejections, []);
      await eventually("keys have come", async () => (await status(issuer.sign(claims))) === 200);
      for (const [what, token, expected] of [
        ["another audience", issuer.sign({ ...claims, aud: "cart" }), 403], // Envoy's JwtAudienceNotAllowed
        ["another subject", issuer.sign({ ...claims, sub: "bob" }), 403],
        ["another role", issuer.sign({ ...claims, realm: { roles: ["seller"] } }), 403],
        ["somebody else's key", new Issuer(issuer.name).sign(claims), 401],
        ["no signature", unsigned(claims), 401],
        ["no token", "nonsense", 401],
      ] as const) {
        assert.equal(await status(token), expected, what);
      }
    });

    await t.test("DISABLE: callers follow, to plaintext", async () => {
      mesh.setPolicies(policy("PeerAuthentication", "all", "mtls: { mode: DISABLE }"));
      await eventually("web calls in plaintext", async () => clientOf(await call(web)) === "null"); // it is told a moment before or after orders
      assert.equal(await overTls(orders.port, mesh.certificate("web")), "closed");
    });
  });
});

interface Answer {
  /** 0: the connection ended. */
  readonly status: number;
  readonly body: string;
}

function ask(port: number, path: string, host: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve) => {
    const asked = request(
      { host: "127.0.0.1", port, path, headers: { host, ...headers }, agent: false },
      (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      },
    );
    asked.on("error", () => resolve({ status: 0, body: "" }));
    asked.end();
  });
}

/** What the application was told; "" where it has not answered. */
function clientOf({ status, body }: Answer): string {
  if (status !== 200) return "";
  return String((JSON.parse(body) as { readonly client: string | null }).client);
}

/** Signs tokens with ES256 (RFC 7518 §3.4). */
class Issuer {
  readonly name: string;
  readonly #pair = generateKeyPairSync("ec", { namedCurve: "P-256" });

  constructor(name: string) {
    this.name = name;
  }

  get jwks(): string {
    return JSON.stringify({ keys: [{ ...this.#pair.publicKey.export({ format: "jwk" }), kid: "1", alg: "ES256" }] });
  }

  sign(claims: object): string {
    const signed = `${part({ alg: "ES256", kid: "1" })}.${part(claims)}`;
    const key = { key: this.#pair.privateKey, dsaEncoding: "ieee-p1363" } as const;
    return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
  }
}

function unsigned(claims: object): string {
  return `${part({ alg: "none" })}.${part(claims)}.`;
}

function part(json: object): string {
  return Buffer.from(JSON.stringify(json)).toString("base64url");
}

/** The status of an answer over TLS, or "closed". */
function overTls(port: number, shown: TestCertificate | undefined): Promise<number | "closed"> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect({
      port,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      ...(shown !== undefined && { cert: shown.chain, key: shown.key }),
    });
    socket.on("secureConnect", () => socket.write("GET / HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n"));
    socket.setEncoding("utf8").on("data", (text: string) => (answer += text));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer.startsWith("HTTP/1.1 ") ? Number(answer.slice(9, 12)) : "closed"));
  });
}

function policy(kind: string, name: string, spec: string): string {
  return `apiVersion: heddle.dev/v1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec:\n  ${spec}\n`;
}
