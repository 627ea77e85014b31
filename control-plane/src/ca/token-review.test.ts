import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { TestAuthority } from "@heddle/net/testing";
import { TokenReviewer } from "./token-review.ts";

const TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0aGllZiJ9.c2lnbmF0dXJl";
const GOOD = {
  authenticated: true,
  audiences: ["heddle"],
  user: { username: "system:serviceaccount:shop:web", uid: "7" },
};

test("a service account's token is the account's, by the word of the API server", async (t) => {
  const server = await apiServer(t, () => GOOD);
  const answer = await server.reviewer().identityOf(TOKEN);
  assert.deepEqual(answer, { ok: true, value: { trustDomain: "cluster.local", path: "/ns/shop/sa/web" } });
  const [{ headers, json }] = server.asked as [Asked];
  assert.equal(headers.authorization, "Bearer our own token");
  assert.deepEqual(json, {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token: TOKEN, audiences: ["heddle"] },
  });
});

for (const [what, status] of [
  ["the API server does not know", { authenticated: false }],
  ["is for another audience", { ...GOOD, audiences: ["vault"] }],
  ["was reviewed by who knows no audiences", { ...GOOD, audiences: undefined }],
  ["was reviewed with an error", { ...GOOD, error: "[invalid bearer token]" }],
  ["is a person's", { ...GOOD, user: { username: "kubernetes-admin" } }],
  ["is a node's", { ...GOOD, user: { username: "system:node:a" } }],
  ["has more than an account in its name", { ...GOOD, user: { username: "system:serviceaccount:shop:web:admin" } }],
  ["has a path in its name", { ...GOOD, user: { username: "system:serviceaccount:shop:../kube-system" } }],
  ["has nobody's name", { ...GOOD, user: undefined }],
  ["is authenticated in words alone", { ...GOOD, authenticated: "true" }],
] as const)
  test(`a token that ${what} is refused`, async (t) => {
    const server = await apiServer(t, () => status);
    const answer = await server.reviewer().identityOf(TOKEN);
    assert.ok(!answer.ok);
    assert.equal(answer.error.code, "UNAUTHENTICATED");
  });

test("JWT with alg none is nobody's without the API server, and what is no JWT is not sent there", async (t) => {
  const server = await apiServer(t, () => ({ authenticated: false }));
  const reviewer = server.reviewer();
  assert.equal(codeOf(await reviewer.identityOf(TOKEN)), "UNAUTHENTICATED");
  assert.equal(server.asked.length, 1);
  for (const token of ["", "abc", "a.b", `a.b.${"c".repeat(16_384)}`, "a.b.c\r\nx: y"])
    assert.equal(codeOf(await reviewer.identityOf(token)), "UNAUTHENTICATED");
  assert.equal(server.asked.length, 1);
});

test("a good word is remembered for five seconds, a bad one not at all", async (t) => {
  let status: object = GOOD;
  const server = await apiServer(t, () => status);
  const clock = new ManualClock();
  const reviewer = server.reviewer({ clock });
  const [one, other] = await Promise.all([reviewer.identityOf(TOKEN), reviewer.identityOf(TOKEN)]);
  assert.ok(one.ok && other.ok);
  clock.advance(4999);
  assert.ok((await reviewer.identityOf(TOKEN)).ok);
  assert.equal(server.asked.length, 1);
  status = { authenticated: false };
  clock.advance(1);
  assert.equal(codeOf(await reviewer.identityOf(TOKEN)), "UNAUTHENTICATED");
  status = GOOD;
  assert.ok((await reviewer.identityOf(TOKEN)).ok);
  assert.equal(server.asked.length, 3);
});

for (const [what, answer] of [
  ["500", (response: ServerResponse) => silence(response.writeHead(500).end("{}"))],
  [
    "a redirect",
    (response: ServerResponse) => void response.writeHead(307, { location: "https://evil.example/" }).end(),
  ],
  ["no JSON", (response: ServerResponse) => silence(response.writeHead(201).end("<html>"))],
  ["JSON of another kind", (response: ServerResponse) => silence(response.writeHead(201).end('{"kind":"Status"}'))],
  ["65 KiB", (response: ServerResponse) => silence(response.writeHead(201).end(`"${"x".repeat(66_000)}"`))],
  ["nothing and hangs up", (response: ServerResponse) => silence(response.destroy())],
] as const)
  test(`where the API server answers ${what} nobody is let in, and may try again`, async (t) => {
    const server = await apiServer(t, answer);
    const refused = await server.reviewer().identityOf(TOKEN);
    assert.equal(codeOf(refused), "UNAVAILABLE");
    assert.ok(!JSON.stringify(refused).includes("eyJ") && !JSON.stringify(refused).includes("our own token"));
  });

test("an API server of another authority gets no token", async (t) => {
  const server = await apiServer(t, () => GOOD);
  const refused = await server.reviewer({ ca: new TestAuthority("somebody else").certificate }).identityOf(TOKEN);
  assert.equal(codeOf(refused), "UNAVAILABLE");
  assert.equal(server.asked.length, 0);
});

test("an API server that does not answer is not waited for", async (t) => {
  const server = await apiServer(t, silence);
  const refused = await server.reviewer({ timeoutMs: 50 }).identityOf(TOKEN);
  assert.equal(codeOf(refused), "UNAVAILABLE");
});

interface Asked {
  readonly headers: IncomingMessage["headers"];
  readonly json: unknown;
}

/** An API server over HTTPS that knows TokenReview and nothing else. */
async function apiServer(t: TestContext, answer: (response: ServerResponse) => object | undefined) {
  const authority = new TestAuthority("kubernetes");
  const { certificate, key } = authority.issue({ commonName: "kube-apiserver", ips: ["127.0.0.1"], usage: "server" });
  const folder = mkdtempSync(join(tmpdir(), "heddle-review-"));
  const asked: Asked[] = [];
  const server = createServer({ cert: certificate, key }, (request, response) => {
    assert.equal(`${request.method} ${request.url}`, "POST /apis/authentication.k8s.io/v1/tokenreviews");
    let body = "";
    request.on("data", (chunk) => {
      body += String(chunk);
    });
    request.on("end", () => {
      asked.push({ headers: request.headers, json: JSON.parse(body) });
      const status = answer(response);
      if (status !== undefined)
        response
          .writeHead(201, { "content-type": "application/json" })
          .end(JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", status }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const reviewers: TokenReviewer[] = [];
  t.after(async () => {
    for (const reviewer of reviewers) await reviewer.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(folder, { recursive: true });
  });
  const reviewer = ({
    clock = new ManualClock(),
    ca = authority.certificate,
    timeoutMs = 30_000,
  } = {}): TokenReviewer => {
    writeFileSync(join(folder, "ca.crt"), ca);
    writeFileSync(join(folder, "token"), "our own token\n");
    const made = new TokenReviewer({
      url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      caFile: join(folder, "ca.crt"),
      tokenFile: join(folder, "token"),
      audience: "heddle",
      trustDomain: "cluster.local",
      clock,
      timeoutMs,
    });
    reviewers.push(made);
    return made;
  };
  return { asked, reviewer };
}

/** It has answered for itself. */
function silence(_done: unknown): undefined {
  return undefined;
}

function codeOf(answer: { ok: true } | { ok: false; error: { code: string } }): string {
  return answer.ok ? "OK" : answer.error.code;
}
