import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { after, before, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { TestAuthority } from "@heddle/net/testing";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

const HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const BODY = "b".repeat(300_000);

/** A server behind TLS that counts its connections, and what they have agreed on. */
interface Upstream {
  readonly port: number;
  readonly agreed: (string | false | null)[];
}

describe("a sidecar before TLS servers", { concurrency: 3 }, () => {
  const suite = lastFirst({ after });
  const authority = new TestAuthority("Ours");
  const { chain, key } = authority.issue({ commonName: "back", dns: ["back.example"] });
  const agent = new Agent({ keepAlive: true });
  let both: Upstream;
  let http1: Upstream;
  let istio: Upstream;
  let sidecar: SidecarProcess;
  let port: number;

  before(async () => {
    const listen = async (server: Server): Promise<Upstream> => {
      const agreed: Upstream["agreed"] = [];
      server.on("secureConnection", (socket: TLSSocket) => agreed.push(socket.alpnProtocol));
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return { port: (server.address() as AddressInfo).port, agreed };
    };
    const knowsBoth = createSecureServer({ cert: chain, key, allowHTTP1: true }, (req, res) => {
      req.pipe(res);
    });
    const sessions = new Set<{ destroy(): void }>();
    knowsBoth.on("session", (session) => sessions.add(session));
    suite.after(() => {
      for (const session of sessions) session.destroy();
      knowsBoth.close();
    });
    const knowsOne = createServer({ cert: chain, key }, (req, res) => {
      req.pipe(res);
    });
    suite.after(() => knowsOne.close().closeAllConnections());
    both = await listen(knowsBoth);
    http1 = await listen(knowsOne);
    const istios = createServer(
      { cert: chain, key, ALPNProtocols: ["istio-http/1.1", "istio-h2", "istio"] },
      (req, res) => {
        req.pipe(res);
      },
    );
    suite.after(() => istios.close().closeAllConnections());
    istio = await listen(istios);

    const secured = (name: string, upstream: Upstream, protocol: Json, alpn_protocols: string[] = []): Json => ({
      ...cluster(name, [upstream.port]),
      typed_extension_protocol_options: {
        [HTTP_OPTIONS]: { "@type": `type.googleapis.com/${HTTP_OPTIONS}`, ...protocol },
      },
      transport_socket: {
        name: "tls",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
          sni: "back.example",
          common_tls_context: {
            alpn_protocols,
            validation_context: { trusted_ca: { inline_string: authority.certificate } },
          },
        },
      },
    });
    const http2 = { explicit_http_config: { http2_protocol_options: {} } };
    const clusters = [
      secured("auto-of-both", both, { auto_config: {} }),
      secured("auto-of-one", http1, { auto_config: {} }),
      secured("http2", both, http2),
      secured("http2-of-one", http1, http2),
      secured("istio", istio, { explicit_http_config: { http_protocol_options: {} } }, [
        "istio-peer-exchange",
        "istio",
      ]),
    ];
    const hosts = clusters.map(({ name }) => virtualHost(String(name), String(name)));
    sidecar = await startSidecar(
      staticBootstrap([listener({ name: "in", routes: inlineRoutes(hosts) })], clusters),
      suite,
    );
    port = await sidecar.port("in");
    suite.after(() => agent.destroy());
  });

  /** The answer's status, and whether its body is that of the request. */
  function ask(host: string): Promise<readonly [status: number, same: boolean]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly [number, boolean]>();
    const req = request({ host: "127.0.0.1", port, path: "/", method: "POST", agent, headers: { host } });
    req.once("error", reject);
    req.once("response", (res) => {
      let text = "";
      res.setEncoding("latin1").on("data", (chunk: string) => {
        text += chunk;
      });
      res.once("error", reject);
      res.once("end", () => resolve([res.statusCode ?? 0, text === BODY]));
    });
    req.end(BODY);
    return promise;
  }

  const many = (host: string, count: number) => Promise.all(Array.from({ length: count }, () => ask(host)));

  test("auto_config takes HTTP/2 where the server agrees on it: many requests that begin at once share a connection", async () => {
    assert.deepEqual(await many("auto-of-both", 20), Array(20).fill([200, true]));
    assert.equal(await sidecar.stat("cluster.auto-of-both.upstream_cx_http2_total"), 1);
    assert.equal(await sidecar.stat("cluster.auto-of-both.upstream_cx_http1_total"), 0);
  });

  test("a server of Istio's is told of HTTP by Istio's name for it, as istio.alpn does", async () => {
    assert.deepEqual(await ask("istio"), [200, true]);
    assert.deepEqual(istio.agreed, ["istio-http/1.1"]); // offered was "istio-peer-exchange", "istio" before
  });

  test("and HTTP/1 where it does not", async () => {
    assert.deepEqual(await many("auto-of-one", 5), Array(5).fill([200, true]));
    assert.equal(await sidecar.stat("cluster.auto-of-one.upstream_cx_http2_total"), 0);
    assert.ok((await sidecar.stat("cluster.auto-of-one.upstream_cx_http1_total")) <= 5);
    assert.deepEqual(
      [...new Set(http1.agreed)].filter((protocol) => protocol !== "http/1.1" && protocol !== false),
      [],
    );
  });

  test("HTTP/2 that is asked for is offered alone, and nothing else is spoken", async () => {
    assert.deepEqual(await many("http2", 20), Array(20).fill([200, true]));
    assert.equal(await sidecar.stat("cluster.http2.upstream_cx_http2_total"), 1);
    assert.ok(both.agreed.every((protocol) => protocol === "h2"));
    assert.deepEqual((await ask("http2-of-one"))[0], 503);
  });
});
