import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { type AddressInfo, connect as connectPlain, createServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { type ConnectionOptions, connect, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { TestAuthority, type TestCertificate } from "@heddle/identity/testing";
import {
  cluster,
  inlineRoutes,
  type Json,
  listener,
  staticBootstrap,
  tcpProxy,
  virtualHost,
} from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarProcess, startSidecar } from "../harness/sidecar.ts";

/* Mutual TLS and plaintext on one port, as the control plane configures it, and what the application is told of callers. */

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
/** Whoever has not begun a handshake by then is taken for one that speaks plaintext. */
const SERVER_FIRST_WAIT_S = { greeter: 2, own: 20 } as const;

describe("one port for mutual TLS and for plaintext", { concurrency: 4 }, () => {
  const suite = lastFirst({ after });
  const mesh = new TestAuthority("Mesh");
  const id = (name: string): string => `spiffe://mesh.example/ns/default/sa/${name}`;
  const server = mesh.issue({ uris: [id("server")] });
  const client = mesh.issue({ uris: [id("client")] });
  const stranger = new TestAuthority("Others").issue({ uris: [id("client")] });
  const application = mesh.issue({ dns: ["app.example"] });
  let sidecar: SidecarProcess;

  before(async () => {
    const web = createHttpServer((asked, response) => {
      const { "x-forwarded-client-cert": xfcc, "x-peer": peer, "x-evil": evil } = asked.headers;
      response.end(JSON.stringify({ xfcc, peer, evil }));
    });
    const greeter = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.write("hello\n");
      socket.pipe(socket);
    });
    const own = createTlsServer({ cert: application.chain, key: application.key }, (socket) =>
      socket.end("the application's"),
    );
    const ports: number[] = [];
    for (const one of [web, greeter, own]) {
      await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
      suite.after(() => one.close());
      ports.push((one.address() as AddressInfo).port);
    }
    suite.after(() => web.closeAllConnections());
    const [webPort = 0, greeterPort = 0, ownPort = 0] = ports;
    sidecar = await startSidecar(
      staticBootstrap(
        [
          permissive("web", manager("web"), { transport_protocol: "tls" }, { transport_protocol: "raw_buffer" }, [
            "h2",
            "http/1.1",
          ]),
          permissive(
            "greeter",
            tcp("greeter"),
            { transport_protocol: "tls", server_names: ["*.mesh.internal"] },
            {},
            [],
          ),
          permissive("own", tcp("own"), { transport_protocol: "tls", server_names: ["*.mesh.internal"] }, {}, []),
          strict("strict"),
        ],
        [cluster("web", [webPort]), cluster("greeter", [greeterPort]), cluster("own", [ownPort])],
      ),
      suite,
      { concurrency: 2 },
    );
  });

  function manager(name: string): readonly Json[] {
    const http = { forward_client_cert_details: "SANITIZE_SET", set_current_client_cert_details: { uri: true } };
    const peer = { header: { key: "x-peer", value: "%DOWNSTREAM_PEER_URI_SAN%" } };
    const routes = inlineRoutes([virtualHost("*", name)]);
    const route_config = {
      ...(routes as { readonly route_config: Json }).route_config,
      request_headers_to_add: [peer],
    };
    const plain = listener({ name, routes: { route_config }, http });
    return (plain as { readonly filter_chains: readonly { readonly filters: readonly Json[] }[] }).filter_chains[0]!
      .filters;
  }

  function tcp(name: string): readonly Json[] {
    return [tcpProxy({ stat_prefix: name, cluster: name })];
  }

  function termination(alpn_protocols: readonly string[], validation_context: Json): Json {
    const inline = (inline_string: string): Json => ({ inline_string });
    const common_tls_context = {
      alpn_protocols,
      tls_certificates: [{ certificate_chain: inline(server.chain), private_key: inline(server.key) }],
      validation_context,
    };
    const context = { "@type": `${TLS}.DownstreamTlsContext`, common_tls_context, require_client_certificate: true };
    return { name: "tls", typed_config: context };
  }

  function permissive(name: string, filters: readonly Json[], tls: Json, plain: Json, alpn: readonly string[]): Json {
    const spiffe = {
      "@type": `${TLS}.SPIFFECertValidatorConfig`,
      trust_domains: [{ name: "mesh.example", trust_bundle: { inline_string: mesh.certificate } }],
    };
    const validation = { custom_validator_config: { name: "envoy.tls.cert_validator.spiffe", typed_config: spiffe } };
    const inspector = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector";
    return {
      name,
      address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
      listener_filters: [{ name: "envoy.filters.listener.tls_inspector", typed_config: { "@type": inspector } }],
      // Only where a server may speak first: a client of TLS that is slower would be taken for one in plaintext.
      ...((name === "greeter" || name === "own") && {
        listener_filters_timeout: `${SERVER_FIRST_WAIT_S[name]}s`,
        continue_on_listener_filters_timeout: true,
      }),
      filter_chains: [
        { name: "mtls", filter_chain_match: tls, filters, transport_socket: termination(alpn, validation) },
        { name: "plaintext", filter_chain_match: plain, filters },
      ],
    };
  }

  /** Whoever has a certificate of the authority is let in, SVID or not. */
  function strict(name: string): Json {
    const trusted_ca = { inline_string: mesh.certificate };
    return {
      name,
      address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
      filter_chains: [{ filters: manager("web"), transport_socket: termination([], { trusted_ca }) }],
    };
  }

  async function tls(
    listenerName: string,
    shown: TestCertificate | undefined,
    more: ConnectionOptions = {},
  ): Promise<TLSSocket> {
    const port = await sidecar.port(listenerName);
    const certificate = shown && { cert: shown.chain, key: shown.key };
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...certificate, ...more });
    suite.after(() => socket.destroy());
    return socket.on("error", () => undefined);
  }

  /** All that comes, up to the end, in answer to a request. */
  async function get(socket: Socket): Promise<string> {
    socket.write(
      "GET / HTTP/1.1\r\nhost: web\r\nx-forwarded-client-cert: URI=spiffe://forged\r\nconnection: close\r\n\r\n",
    );
    return everything(socket);
  }

  async function everything(socket: Socket): Promise<string> {
    let text = "";
    socket.on("data", (bytes: Buffer) => {
      text += String(bytes);
    });
    await new Promise((resolve) => socket.once("close", resolve));
    return text;
  }

  async function plaintext(listenerName: string): Promise<Socket> {
    const socket = connectPlain(await sidecar.port(listenerName), "127.0.0.1").on("error", () => undefined);
    suite.after(() => socket.destroy());
    return socket;
  }

  async function overHttp2(socket: Socket): Promise<string> {
    const session = connectHttp2("http://web", { createConnection: () => socket });
    const stream = session.request({ ":path": "/", "x-forwarded-client-cert": "URI=spiffe://forged" });
    let text = "";
    for await (const bytes of stream) text += String(bytes);
    session.close();
    return text;
  }

  test("a caller with an SVID is named to the application, over HTTP/1.1 and HTTP/2", async () => {
    const who = new RegExp(
      `"xfcc":"By=${id("server")};Hash=[0-9a-f]{64};URI=${id("client")}","peer":"${id("client")}"`,
    );
    assert.match(await get(await tls("web", client, { ALPNProtocols: ["http/1.1"] })), who);
    assert.match(await get(await tls("web", client)), who);
    const h2 = await tls("web", client, { ALPNProtocols: ["h2", "http/1.1"] });
    await once(h2, "secureConnect");
    assert.equal(h2.alpnProtocol, "h2");
    assert.match(await overHttp2(h2), who);
  });

  test("a caller in plaintext is served on the same port, over HTTP/1.1 and h2c, and can name nobody", async () => {
    assert.match(await get(await plaintext("web")), /\r\n\{"peer":""\}|\r\n\{\}/);
    assert.match(await overHttp2(await plaintext("web")), /^(\{"peer":""\}|\{\})$/);
  });

  test("who speaks TLS and shows a wrong certificate, or none, is not served as if it had spoken plaintext", async () => {
    assert.equal(await get(await tls("web", stranger)), "");
    assert.equal(await get(await tls("web", undefined)), "");
  });

  test("where the server speaks first, a caller in plaintext hears it after a moment, and one of the mesh at once", async () => {
    const [greeting] = await once(await plaintext("greeter"), "data");
    assert.equal(String(greeting), "hello\n");
    const secured = await tls("greeter", client, { servername: "greeter.mesh.internal" });
    const [same] = await once(secured, "data");
    assert.equal(String(same), "hello\n");
  });

  test("TLS that is the application's own passes through a port for bytes, by the name that is asked for", async () => {
    const passed = await tls("own", undefined, {
      servername: "app.example",
      ca: mesh.certificate,
      rejectUnauthorized: true,
    });
    assert.equal(await everything(passed), "the application's");
  });

  test("CVE-2023-27493: a certificate's names cannot add a header or a line to the request", async () => {
    const evil = mesh.issue({ uris: [`${id("x")}\r\nx-evil: 1\r\n\r\nGET /smuggled HTTP/1.1`] });
    const answer = await get(await tls("strict", evil));
    assert.match(answer, /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(answer, /"evil"/);
    assert.equal(answer.split("HTTP/1.1 ").length, 2); // one answer
  });

  test("whichever worker a client comes back to resumes its session", async () => {
    const first = await tls("web", client, { ALPNProtocols: ["http/1.1"] });
    const [[session]] = await Promise.all([once(first, "session"), get(first)]);
    const again = await Promise.all(
      Array.from({ length: 16 }, () => tls("web", client, { ALPNProtocols: ["http/1.1"], session: session as Buffer })),
    );
    // Some are through their handshake before the last has been begun. (`secureConnecting`: the typings leave it out.)
    const underway = again.filter((socket) => (socket as TLSSocket & { secureConnecting: boolean }).secureConnecting);
    await Promise.all(underway.map((socket) => once(socket, "secureConnect")));
    assert.deepEqual(new Set(again.map((socket) => socket.isSessionReused())), new Set([true]));
    for (const answer of await Promise.all(again.map(get))) assert.match(answer, new RegExp(`URI=${id("client")}`));
  });
});
