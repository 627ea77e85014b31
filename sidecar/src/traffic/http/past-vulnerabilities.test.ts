import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { H2Peer } from "@heddle/http/testing";
import type { HttpConnectionManagerConfig } from "@heddle/traffic";
import { Harness, routeEntry, routesOf, routeTo } from "./testing-harness.ts";

/*
 * Past vulnerabilities of proxies that concern paths, headers and framing, each as the attack that it was. docs/security.md
 * lists them, with those whose tests stand elsewhere.
 */

interface Outcome {
  /** What the attacker got. */
  readonly answer: string;
  /** All that any upstream got. */
  readonly forwarded: string;
}

type Manager = Partial<HttpConnectionManagerConfig>;

const EDGE: Manager = { useRemoteAddress: true };
/** Of a gateway that decides by path. */
const STRICT_PATHS: Manager = {
  normalizePath: true,
  mergeSlashes: true,
  pathWithEscapedSlashesAction: "UNESCAPE_AND_FORWARD",
};

/** "/admin" and what lies below it is answered 403 by the proxy itself, all else is forwarded. */
const GUARDED = routesOf([
  routeEntry({
    match: { ...routeEntry({ action: denied() }).match, path: { type: "prefix", value: "/admin" } },
    action: denied(),
  }),
  ...(routeTo("app").virtualHosts[0]?.routes ?? []),
]);

function denied(): { readonly type: "direct-response"; readonly status: number; readonly body: string } {
  return { type: "direct-response", status: 403, body: "denied" };
}

function attack(request: string, manager: Manager = {}, routes = GUARDED): Outcome {
  const harness = new Harness({ manager, routes });
  const client = harness.connect();
  client.send(Buffer.from(request, "latin1"));
  harness.run();
  const answer = client.take();
  const forwarded = harness.upstreams.map((upstream) => upstream.take()).join("");
  assert.equal(harness.leaks(), "");
  return { answer, forwarded };
}

/** The same over HTTP/2; the answer is the status, or what the stream ended with. */
function attackH2(fields: readonly string[], manager: Manager = {}): Outcome {
  const harness = new Harness({ manager, routes: GUARDED });
  const client = harness.connect();
  const peer = new H2Peer();
  for (const piece of ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", peer.settings(), peer.settingsAck()]) client.send(piece);
  client.send(peer.headers(1, fields, true));
  harness.run();
  const answer = peer
    .read(client.take())
    .flatMap(({ fields: got, errorCode }) => [
      ...(got ?? []),
      ...(errorCode === undefined ? [] : [`error ${errorCode}`]),
    ])
    .join(" ");
  const forwarded = harness.upstreams.map((upstream) => upstream.take()).join("");
  assert.equal(harness.leaks(), "");
  return { answer, forwarded };
}

function get(target: string, lines = ""): string {
  return `GET ${target} HTTP/1.1\r\nhost: a\r\n${lines}\r\n`;
}

function getH2(path: string, ...more: readonly string[]): string[] {
  return [":method", "GET", ":scheme", "http", ":authority", "a", ":path", path, ...more];
}

/** Refused by the proxy: an answer of the class 4xx, and nothing went on. */
function assertRefused({ answer, forwarded }: Outcome, why: string): void {
  assert.match(answer, /^HTTP\/1\.1 4\d\d /, why);
  assert.equal(forwarded, "", why);
}

function assertDenied({ answer, forwarded }: Outcome, why: string): void {
  assert.match(answer, /^HTTP\/1\.1 403 /, why);
  assert.equal(forwarded, "", why);
}

describe("headers", () => {
  test("CVE-2019-9900: a NUL in a header is refused, in either protocol", () => {
    assertRefused(attack(get("/", "x-role: user\0admin\r\n")), "in a value");
    assertRefused(attack(get("/", "x-ro\0le: user\r\n")), "in a name");
    for (const fields of [getH2("/", "x-role", "user\0admin"), getH2("/", "x-ro\0le", "user")]) {
      const { answer, forwarded } = attackH2(fields);
      assert.match(answer, /error 1$|:status 4/);
      assert.equal(forwarded, "");
    }
  });

  test("CVE-2019-18802: white space around a value is no part of it, so a matcher cannot be passed with it", () => {
    const byRole = routesOf([
      routeEntry({
        match: {
          ...routeEntry({ action: denied() }).match,
          headers: [
            {
              name: "x-role",
              match: { type: "string", matcher: { type: "exact", value: "guest", ignoreCase: false } },
              invert: false,
              treatMissingHeaderAsEmpty: false,
            },
          ],
        },
        action: denied(),
      }),
      ...(routeTo("app").virtualHosts[0]?.routes ?? []),
    ]);
    for (const value of ["guest", "guest ", " guest", "\tguest \t"])
      assertDenied(attack(get("/", `x-role:${value}\r\n`), {}, byRole), JSON.stringify(value));
  });

  test("CVE-2023-35944: the scheme is compared without its case, and forwarded in lower case", () => {
    assert.match(attack(get("HTTP://a/x"), EDGE).forwarded, /x-forwarded-proto: http\r\n/);
    const mixed = attackH2([":method", "GET", ":scheme", "hTTp", ":authority", "a", ":path", "/x"], EDGE);
    assert.match(mixed.forwarded, /^GET \/x .*x-forwarded-proto: http\r\n/s);
  });

  test("CVE-2023-27487: x-envoy-original-path of a client is not believed", () => {
    assert.doesNotMatch(attack(get("/", "x-envoy-original-path: /admin\r\n"), EDGE).forwarded, /original-path/);
    assert.doesNotMatch(attack(get("/", "x-envoy-original-host: b\r\n"), EDGE).forwarded, /original-host/);
  });

  test("CVE-2024-45806: headers that steer the proxy are taken from nobody outside", () => {
    const lines = [
      "x-envoy-internal: true",
      "x-envoy-retry-on: 5xx",
      "x-envoy-upstream-rq-timeout-ms: 1",
      "x-envoy-max-retries: 9",
      "x-envoy-decorator-operation: other",
      "x-envoy-expected-rq-timeout-ms: 1",
    ];
    const { forwarded } = attack(get("/", `x-forwarded-for: 10.0.0.1\r\n${lines.join("\r\n")}\r\n`), EDGE);
    for (const line of lines) assert.ok(!forwarded.includes(line), line);
  });

  test("CVE-2023-27493: what is put into a header of the client's own words ends no header", () => {
    for (const injected of ["a\r\nx-admin: 1", "a\nx-admin: 1", "a\rx-admin: 1"]) {
      const { forwarded } = attack(get("/", `x-tag: ${injected}\r\n`));
      // CRLF makes a header of its own, which the client could have sent as well; the others are refused whole.
      if (!injected.includes("\r\n")) assert.equal(forwarded, "", JSON.stringify(injected));
    }
    const { answer, forwarded } = attackH2(getH2("/", "x-tag", "a\r\nx-admin: 1"));
    assert.match(answer, /error 1$|:status 4/);
    assert.equal(forwarded, "");
  });
});

describe("paths", () => {
  test("CVE-2019-9901: dot segments do not lead around a rule", () => {
    for (const path of ["/x/../admin", "/./admin", "/x/%2e%2e/admin", "/x/.%2E/admin/secret", "/%61dmin"])
      assertDenied(attack(get(path), STRICT_PATHS), path);
  });

  test("CVE-2021-29492: nor do escaped slashes and backslashes", () => {
    for (const path of [
      "/x%2f..%2fadmin",
      "/x%2F..%2Fadmin",
      "/x%5c..%5cadmin",
      "/x\\..\\admin",
      "/%2fadmin",
      "//admin",
    ])
      assertDenied(attack(get(path), STRICT_PATHS), path);
    const refusing: Manager = { ...STRICT_PATHS, pathWithEscapedSlashesAction: "REJECT_REQUEST" };
    for (const path of ["/a%2fb", "/a%5Cb"]) assertRefused(attack(get(path), refusing), path);
  });

  test("CVE-2021-31920: several slashes are one", () => {
    for (const path of ["//admin", "///admin//x", "/.//admin"]) assertDenied(attack(get(path), STRICT_PATHS), path);
  });

  test("CVE-2021-32779, CVE-2021-39156: a path with a fragment is refused", () => {
    for (const path of ["/admin#x", "/x#/../admin", "/x?y#z", "/#admin"]) assertRefused(attack(get(path)), path);
    const { answer, forwarded } = attackH2(getH2("/x#admin"));
    assert.match(answer, /error 1$|:status 400/);
    assert.equal(forwarded, "");
  });

  test("CVE-2026-73551: path parameters do not hide dot segments", () => {
    for (const path of ["/x/..;/admin", "/x/..;a=b/admin", "/.;/admin", "/x/%2e%2e;/admin"])
      assertDenied(attack(get(path), STRICT_PATHS), path);
  });

  test("CVE-2023-27491: a path that HTTP/1 could not carry does not reach an HTTP/1 upstream", () => {
    for (const path of ["/x HTTP/1.1\r\nhost: b\r\n\r\nGET /admin", "/x y", "/x\r\n", "", "x", "/\x7f"]) {
      const { answer, forwarded } = attackH2(getH2(path));
      assert.match(answer, /error 1$|:status 4/, JSON.stringify(path));
      assert.equal(forwarded, "", JSON.stringify(path));
    }
  });

  test("CVE-2021-39155: hosts are compared without their case", () => {
    const byHost = {
      ...routesOf([routeEntry({ action: denied() })]),
      virtualHosts: [
        ...routesOf([routeEntry({ action: denied() })]).virtualHosts.map((host) => ({
          ...host,
          name: "closed",
          domains: ["closed.test"],
        })),
        ...routeTo("app").virtualHosts,
      ],
    };
    for (const host of ["closed.test", "CLOSED.test", "cLosed.TEST"]) {
      const request = `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
      assertDenied(attack(request, {}, byHost), host);
    }
  });
});

describe("framing", () => {
  const WEBSOCKET: Manager = { upgradeConfigs: [{ upgradeType: "websocket", enabled: true }] };
  const UPGRADE = "connection: upgrade\r\nupgrade: websocket\r\n";

  test("CVE-2024-23326, CVE-2026-73548: 200 to a request for an upgrade opens no tunnel", () => {
    const harness = new Harness({ manager: WEBSOCKET });
    const client = harness.connect();
    client.send(get("/chat", UPGRADE));
    harness.run();
    harness.upstream().take();
    harness.upstream().send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    client.send("these are no bytes of a tunnel\r\n\r\n");
    harness.run();
    assert.match(client.take(), /^HTTP\/1\.1 200 [\s\S]*HTTP\/1\.1 400 /);
    assert.equal(harness.upstreams.map((upstream) => upstream.take()).join(""), "");
    assert.equal(harness.leaks(), "");
  });

  test("CVE-2025-64763, CVE-2026-2833: what comes behind a request for an upgrade waits until the upstream has agreed", () => {
    const harness = new Harness({ manager: WEBSOCKET });
    const client = harness.connect();
    client.send(`${get("/chat", UPGRADE)}GET /admin HTTP/1.1\r\nhost: a\r\n\r\n`);
    harness.run();
    assert.doesNotMatch(harness.upstream().take(), /admin/);
    harness.upstream().send("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
    harness.run();
    client.take();
    for (const upstream of harness.upstreams.slice(0, 1)) {
      const later = upstream.take();
      // As a request of its own it may be forwarded; as bytes of a tunnel it may not.
      assert.ok(later === "" || later.startsWith("GET /admin HTTP/1.1\r\nhost: a\r\n"), later);
    }
    assert.equal(harness.leaks(), "");
  });

  test("CVE-2026-58055: a request for an upgrade with a body keeps its framing", () => {
    const body = "GET /admin HTTP/1.1\r\nhost: a\r\n\r\n";
    const post = `POST /chat HTTP/1.1\r\nhost: a\r\n${UPGRADE}content-length: ${body.length}\r\n\r\n${body}`;
    const { answer, forwarded } = attack(post, WEBSOCKET);
    if (forwarded === "") assert.match(answer, /^HTTP\/1\.1 4/);
    else assert.match(forwarded, new RegExp(`content-length: ${body.length}\\r\\n`));
  });
});
