import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { RawPeer, RawUpstream } from "../harness/raw-peer.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

/*
 * What a sidecar does to the heads that pass it, and how it ends tunnels: through the process, by listeners that differ in
 * one thing each. The pure parts have their own tests; here it is shown that the configuration reaches them.
 */

const SERVE_TUNNEL = {
  name: "tunnel",
  typed_config: { "@type": "type.googleapis.com/heddle.filters.http.v1.ServeTunnel" },
};
const HEADER_MUTATION =
  "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation";

const LISTENERS: Readonly<Record<string, Json>> = {
  plain: {},
  edge: { use_remote_address: true, append_x_forwarded_port: true, server_name: "gate", via: "1.1 gate" },
  trusting: { internal_address_config: { cidr_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 8 }] } },
  paths: { normalize_path: true, merge_slashes: true, path_with_escaped_slashes_action: "UNESCAPE_AND_REDIRECT" },
  hosts: { strip_any_host_port: true, strip_trailing_host_dot: true },
  relative: { http_protocol_options: { allow_absolute_url: false } },
  early: {
    early_header_mutation_extensions: [
      {
        name: "early",
        typed_config: {
          "@type": HEADER_MUTATION,
          mutations: [
            {
              append: {
                header: { key: "x-forwarded-for", value: "203.0.113.7" },
                append_action: "OVERWRITE_IF_EXISTS_OR_ADD",
              },
            },
          ],
        },
      },
    ],
  },
  served: { upgrade_configs: [{ upgrade_type: "CONNECT", filters: [SERVE_TUNNEL] }] },
};

describe("the manners of a sidecar", { concurrency: 8 }, () => {
  const suite = lastFirst({ after });
  let sidecar: SidecarProcess;
  let upstream: RawUpstream;
  let raw: RawUpstream;
  before(async () => {
    upstream = await RawUpstream.listen(suite);
    raw = await RawUpstream.listen(suite);
    // Sends each request's head back as the body.
    upstream.serve(async (peer) => {
      for (;;) {
        const { startLine, headers } = await peer.message();
        const text = [startLine, ...[...headers].map(([name, value]) => `${name}: ${value}`)].join("\n");
        await peer.send(`HTTP/1.1 200 OK\r\nserver: app\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
      }
    });
    const host = { name: "app", domains: ["app"], routes: [{ match: { prefix: "/" }, route: { cluster: "app" } }] };
    const tunnel = {
      name: "raw",
      domains: ["raw:1"],
      routes: [
        {
          match: { connect_matcher: {} },
          route: { cluster: "raw", timeout: "0s", upgrade_configs: [{ upgrade_type: "CONNECT", connect_config: {} }] },
        },
      ],
    };
    const listeners = Object.entries(LISTENERS).map(([name, http]) =>
      listener({ name, routes: inlineRoutes([host, tunnel]), http }),
    );
    const clusters = [cluster("app", [upstream.port]), cluster("raw", [raw.port])];
    sidecar = await startSidecar(staticBootstrap(listeners, clusters), suite);
  });

  async function client(name: string, t: TestContext): Promise<RawPeer> {
    return await RawPeer.connect(await sidecar.port(name), t);
  }

  /** The answer's status and headers, and the request as the upstream has seen it. */
  async function ask(name: string, t: TestContext, target = "/", lines = "", host = "app") {
    const peer = await client(name, t);
    await peer.send(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`);
    const { status, headers, body } = await peer.message();
    const [startLine = "", ...fields] = String(body).split("\n");
    const seen = new Map(fields.map((field) => field.split(": ", 2) as [string, string]));
    return { status, headers, startLine, seen };
  }

  test("inside, what hops before have said is passed on, and what steers is not", async (t) => {
    const { seen, headers } = await ask(
      "plain",
      t,
      "/",
      "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Envoy-Retry-On: 5xx\r\nX-Envoy-Internal: true\r\n" +
        "X-Forwarded-Client-Cert: By=x\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Request-Id: mine\r\n",
    );
    assert.equal(seen.get("x-forwarded-for"), "6.6.6.6");
    assert.equal(seen.get("x-forwarded-proto"), "https");
    assert.equal(seen.get("x-request-id"), "mine");
    for (const name of ["x-envoy-retry-on", "x-envoy-internal", "x-forwarded-client-cert", "x-hop", "connection"]) {
      assert.equal(seen.has(name), false, name);
    }
    assert.equal(headers.get("server"), "heddle", "OVERWRITE is the default");
  });

  test("at the edge the peer's address is appended, and the client gets another request id", async (t) => {
    const { seen, headers } = await ask("edge", t, "/", "X-Forwarded-For: 6.6.6.6\r\nX-Request-Id: mine\r\n");
    assert.equal(seen.get("x-forwarded-for"), "6.6.6.6,127.0.0.1");
    assert.equal(seen.get("x-envoy-external-address"), "127.0.0.1");
    assert.equal(seen.get("x-forwarded-port"), String(await sidecar.port("edge")));
    assert.equal(seen.get("via"), "1.1 gate");
    assert.match(seen.get("x-request-id") ?? "", /^[0-9a-f-]{36}$/);
    assert.equal(headers.get("server"), "gate");
    assert.equal(headers.get("via"), "1.1 gate");
  });

  test("at the edge https may not be asked for on a plaintext connection", async (t) => {
    assert.equal((await ask("edge", t, "https://app/")).status, 403);
    assert.equal((await ask("plain", t, "https://app/")).status, 200);
  });

  test("a request from an address inside may steer its timeout", async (t) => {
    const lines = "X-Envoy-Upstream-Rq-Timeout-Ms: 1234\r\nX-Forwarded-For: ";
    const inside = await ask("trusting", t, "/", `${lines}10.1.2.3\r\n`);
    assert.equal(inside.seen.get("x-envoy-internal"), "true");
    assert.equal(inside.seen.get("x-envoy-expected-rq-timeout-ms"), "1234");
    const outside = await ask("trusting", t, "/", `${lines}192.0.2.3\r\n`);
    assert.equal(outside.seen.get("x-envoy-internal"), undefined);
    assert.equal(outside.seen.get("x-envoy-expected-rq-timeout-ms"), "15000");
  });

  test("paths are brought into their normal form before they are routed, escaped slashes by a redirect", async (t) => {
    assert.equal((await ask("paths", t, "/a/../b//%63?q=/../")).startLine, "GET /b/c?q=/../ HTTP/1.1");
    const redirected = await ask("paths", t, "/a%2f..%5Cb");
    assert.equal(redirected.status, 307);
    assert.equal(redirected.headers.get("location"), "/b");
    const call = await ask("paths", t, "/a%2fb", "Content-Type: application/grpc\r\n");
    assert.equal(call.status, 200, "a gRPC client follows no redirect, and is told in its own words");
    assert.equal(call.headers.get("grpc-status"), "13"); // INTERNAL, for 400
  });

  test("hosts lose their port and their last dot", async (t) => {
    assert.equal((await ask("hosts", t, "/", "", "app.:8080")).seen.get("host"), "app");
  });

  test("a target in absolute form is not found where it is not allowed", async (t) => {
    assert.equal((await ask("relative", t, "http://app/")).status, 404);
    assert.equal((await ask("relative", t)).status, 200);
  });

  test("early header mutations come before the client's address is found out", async (t) => {
    const { seen } = await ask("early", t, "/", "X-Forwarded-For: 6.6.6.6\r\n");
    assert.equal(seen.get("x-forwarded-for"), "203.0.113.7");
  });

  test("a CONNECT whose route ends it gets the bytes of the cluster's endpoint", async (t) => {
    const peer = await client("plain", t);
    await peer.send("CONNECT raw:1 HTTP/1.1\r\nHost: raw:1\r\n\r\n");
    const behind = await raw.next();
    assert.match(await peer.readUntil("\r\n\r\n"), /^HTTP\/1\.1 200 OK\r\n/);
    await peer.send("\0\x01ping\n");
    assert.equal(await behind.readUntil("\n"), "\0\x01ping\n");
    await behind.send("pong\n");
    assert.equal(await peer.readUntil("\n"), "pong\n");
    behind.end();
    assert.equal(await peer.readToEnd(), "");
    await peer.send("last\n");
    assert.equal(await behind.readUntil("\n"), "last\n");
    peer.end();
  });

  test("a CONNECT that the listener ends carries requests, which are routed by their Host", async (t) => {
    const peer = await client("served", t);
    await peer.send("CONNECT anything:80 HTTP/1.1\r\nHost: anything:80\r\n\r\n");
    assert.match(await peer.readUntil("\r\n\r\n"), /^HTTP\/1\.1 200 OK\r\n/);
    for (const path of ["/1", "/2"]) {
      await peer.send(`GET ${path} HTTP/1.1\r\nHost: app\r\n\r\n`);
      assert.match(String((await peer.message()).body), new RegExp(`^GET ${path} HTTP/1\\.1\n`));
    }
    await peer.send("GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n");
    assert.equal((await peer.message()).status, 404);
    peer.end();
    await peer.closed;
  });

  test("a CONNECT that nothing allows is refused, and a route for paths does not match it", async (t) => {
    for (const [name, host, status] of [
      ["plain", "app:80", 403],
      ["edge", "raw:2", 403],
    ] as const) {
      const peer = await client(name, t);
      await peer.send(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      assert.equal((await peer.message()).status, status);
    }
  });
});
