import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, request as httpsRequest } from "node:https";
import { type AddressInfo, connect as connectPlain } from "node:net";
import { after, before, describe, test } from "node:test";
import { type ConnectionOptions, connect, createServer as createTlsServer, type TLSSocket } from "node:tls";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import {
  cluster,
  inlineRoutes,
  type Json,
  listener,
  staticBootstrap,
  tcpListener,
  tcpProxy,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { helloRetryClient } from "../harness/hello-retry-client.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";

function downstreamTls(fields: Json): Json {
  return { name: "tls", typed_config: { "@type": `${TLS}.DownstreamTlsContext`, ...fields } };
}

function upstreamTls(fields: Json): Json {
  return { name: "tls", typed_config: { "@type": `${TLS}.UpstreamTlsContext`, ...fields } };
}

/** A listener whose one chain has TLS. */
function secured(plain: Json, socket: Json): Json {
  const [chain] = (plain as { readonly filter_chains: readonly Json[] }).filter_chains;
  return { ...plain, filter_chains: [{ ...chain, transport_socket: socket }] };
}

function textLog(path: string): Json {
  const [down, up] = ["DOWNSTREAM", "UPSTREAM"];
  const inline_string = `%${down}_TLS_VERSION% %REQUESTED_SERVER_NAME% %${down}_PEER_SUBJECT% %${down}_PEER_SERIAL% %${up}_TLS_VERSION% %${up}_SERVER_NAME% %${up}_PEER_SUBJECT%\n`;
  return {
    name: "tls",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
      path,
      log_format: { text_format_source: { inline_string } },
    },
  };
}

/** A chain that says so, and closes. */
/** With a rule of access before the rest. */
function onlyAskedFor(name: string, made: Json): Json {
  const rules = {
    policies: { name: { permissions: [{ requested_server_name: { exact: name } }], principals: [{ any: true }] } },
  };
  const typed_config = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",
    stat_prefix: "asked",
    rules,
  };
  const { filters, ...rest } = made as { readonly filters: readonly Json[] };
  return { ...rest, filters: [{ name: "envoy.filters.network.rbac", typed_config }, ...filters] };
}

function chain(inline_string: string, match: Json, common?: Json): Json {
  const typed_config = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config",
    response: { inline_string },
  };
  const secure = common && { transport_socket: downstreamTls({ common_tls_context: common }) };
  return { filters: [{ name: "direct", typed_config }], filter_chain_match: match, ...secure };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

describe("TLS through a sidecar", { concurrency: 4 }, () => {
  const suite = lastFirst({ after });
  const ours = new TestAuthority("Ours");
  const theirs = new TestAuthority("Theirs");
  const server = ours.issue({ commonName: "front", dns: ["front.example"] });
  const client = ours.issue({ commonName: "client", uris: ["spiffe://example/ns/default/sa/client"], usage: "client" });
  const stranger = theirs.issue({ commonName: "stranger", uris: ["spiffe://example/ns/default/sa/client"] });
  let sidecar: SidecarProcess;
  let folder: string;

  before(async () => {
    folder = scratchFolder(suite);
    const file = (name: string, text: string): string => {
      writeFileSync(`${folder}/${name}`, text);
      return `${folder}/${name}`;
    };
    const certificate = ({ chain, key }: TestCertificate, name: string): Json => ({
      certificate_chain: { filename: file(`${name}.pem`, chain) },
      private_key: { filename: file(`${name}.key`, key) },
    });
    const ca = { filename: file("ca.pem", ours.certificate) };
    const upstream = createServer(
      { cert: server.chain, key: server.key, ca: ours.certificate, requestCert: true },
      (request, response) => {
        const { subject } = (request.socket as TLSSocket).getPeerCertificate();
        const { authorization: _, ...headers } = request.headers;
        response.end(
          JSON.stringify({ client: subject?.CN ?? "", sni: (request.socket as TLSSocket).servername, headers }),
        );
      },
    );
    await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
    suite.after(() => upstream.close().closeAllConnections());
    const echo = createTlsServer({ cert: server.chain, key: server.key, allowHalfOpen: true } as never, (socket) =>
      socket.pipe(socket),
    );
    await new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve));
    suite.after(() => echo.close());
    const { port } = upstream.address() as AddressInfo;
    const routes = (name: string): Json => inlineRoutes([virtualHost("*", name)]);
    const common = { tls_certificates: [certificate(server, "server")] };
    const mutual = { ...common, validation_context: { trusted_ca: ca } };
    const untrusted = { ...mutual.validation_context, trust_chain_verification: "ACCEPT_UNTRUSTED" };
    const whoRoute = (inline_string: string, tls_context?: Json): Json => ({
      match: { prefix: "/", ...(tls_context && { tls_context }) },
      direct_response: { status: 200, body: { inline_string } },
    });
    const who = inlineRoutes([
      {
        name: "who",
        domains: ["*"],
        routes: [
          whoRoute("validated", { presented: true, validated: true }),
          whoRoute("presented", { presented: true }),
          whoRoute("nobody"),
        ],
      },
    ]);
    const san = (exact: string): Json => ({ san_type: "DNS", matcher: { exact } });
    const trusting = (names: readonly string[]): Json => ({
      tls_certificates: [certificate(client, "client")],
      validation_context: { trusted_ca: ca, match_typed_subject_alt_names: names.map(san) },
    });
    sidecar = await startSidecar(
      staticBootstrap(
        [
          secured(listener({ name: "https", routes: routes("good") }), downstreamTls({ common_tls_context: common })),
          secured(
            listener({
              name: "mtls",
              routes: routes("good"),
              http: {
                forward_client_cert_details: "SANITIZE_SET",
                set_current_client_cert_details: { uri: true },
                access_log: [textLog(`${folder}/tls.log`)],
              },
            }),
            downstreamTls({ common_tls_context: mutual, require_client_certificate: true }),
          ),
          secured(
            listener({ name: "who", routes: who }),
            downstreamTls({ common_tls_context: { ...common, validation_context: untrusted } }),
          ),
          listener({ name: "other-name", routes: routes("other-name") }),
          {
            name: "chains",
            address: { socket_address: { address: "127.0.0.1", port_value: 0 } },
            listener_filters_timeout: "1s",
            filter_chains: [
              chain("a", { server_names: ["a.example"] }, common),
              onlyAskedFor("retry.example", chain("asked for", { server_names: ["retry.example"] }, common)),
              chain("any b", { server_names: ["*.b.example"] }, common),
              chain(
                "h9",
                { application_protocols: ["h9"], transport_protocol: "tls" },
                { ...common, alpn_protocols: ["h9"] },
              ),
              {
                filters: [tcpProxy({ cluster: "through" })],
                filter_chain_match: { server_names: ["through.example"] },
              },
              chain("plain", { transport_protocol: "raw_buffer" }),
            ],
          },
          secured(tcpListener("tcp", tcpProxy({ cluster: "echo" })), downstreamTls({ common_tls_context: common })),
        ],
        [
          {
            ...cluster("good", [port]),
            transport_socket: upstreamTls({ sni: "front.example", common_tls_context: trusting(["front.example"]) }),
          },
          {
            ...cluster("other-name", [port]),
            transport_socket: upstreamTls({ common_tls_context: trusting(["back.example"]) }),
          },
          cluster("through", [port]),
          { ...cluster("echo", [(echo.address() as AddressInfo).port]), transport_socket: upstreamTls({}) },
        ],
      ),
      suite,
    );
  });

  async function get(listener: string, options: object = {}): Promise<Answer> {
    const port = await sidecar.port(listener);
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        { host: "127.0.0.1", port, ca: ours.certificate, servername: "front.example", agent: false, ...options },
        (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (text: string) => (body += text));
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
          response.on("error", reject);
        },
      );
      request.on("error", reject);
      request.end();
    });
  }

  test("requests come by TLS and leave by TLS, each with its certificates", async () => {
    const { status, body } = await get("https");
    assert.equal(status, 200);
    const seen = JSON.parse(body) as { client: string; sni: string; headers: Record<string, string> };
    assert.equal(seen.client, "client");
    assert.equal(seen.sni, "front.example");
    assert.equal(seen.headers["x-forwarded-proto"], "https");
  });

  test("a client has to show a certificate of ours where it is asked to", async () => {
    const headers = { "x-forwarded-client-cert": "By=nobody" };
    const { status, body } = await get("mtls", { cert: client.chain, key: client.key, headers });
    assert.equal(status, 200);
    const told = (JSON.parse(body) as { headers: Record<string, string> }).headers["x-forwarded-client-cert"];
    assert.match(told ?? "", /^Hash=[0-9a-f]{64};URI=spiffe:\/\/example\/ns\/default\/sa\/client$/);
    await eventually("it is in the access log", () => {
      const log = existsSync(`${folder}/tls.log`) ? readFileSync(`${folder}/tls.log`, "utf8") : "";
      return log === `TLSv1.3 front.example CN=client ${client.serialNumber} TLSv1.3 front.example CN=front\n`;
    });
    await assert.rejects(get("mtls"));
    await assert.rejects(get("mtls", { cert: stranger.chain, key: stranger.key }));
    await eventually("both are counted", async () => {
      const stats = await sidecar.page("/stats?filter=ssl");
      return /ssl\.fail_verify_error: 1$/m.test(stats) && /ssl\.fail_verify_no_cert: 1$/m.test(stats);
    });
  });

  test("routes are chosen by the certificate that a client has shown", async () => {
    const asked = async (certificate?: TestCertificate): Promise<string> =>
      (await get("who", certificate && { cert: certificate.chain, key: certificate.key })).body;
    assert.deepEqual([await asked(client), await asked(stranger), await asked()], ["validated", "presented", "nobody"]);
  });

  test("an upstream that is not who it has to be gets no request", async () => {
    const port = await sidecar.port("other-name");
    const response = await fetch(`http://127.0.0.1:${port}/`);
    assert.equal(response.status, 503);
    assert.match(
      await response.text(),
      /reset reason: remote connection failure$/,
      "why is not for the client to read",
    );
    assert.match(await sidecar.page("/stats?filter=cluster.other-name.ssl"), /ssl.fail_verify_san: [1-9]/);
  });

  test("bytes go through TLS on both sides, and their end with them", async () => {
    const socket = connect({
      port: await sidecar.port("tcp"),
      host: "127.0.0.1",
      ca: ours.certificate,
      servername: "front.example",
      allowHalfOpen: true,
    } as ConnectionOptions);
    const sent = Buffer.alloc(3_000_000, "x");
    socket.end(sent);
    let received = 0;
    for await (const chunk of socket) received += (chunk as Buffer).length;
    assert.equal(received, sent.length);
  });

  test("the name, the protocols and the kind of a client's first bytes choose its chain", async () => {
    const port = await sidecar.port("chains");
    const said = async (options: ConnectionOptions): Promise<string> => {
      const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
      let text = "";
      for await (const chunk of socket) text += String(chunk);
      return text;
    };
    assert.equal(await said({ servername: "a.example" }), "a");
    assert.equal(await said({ servername: "A.Example" }), "a");
    assert.equal(await said({ servername: "x.y.b.example" }), "any b");
    assert.equal(await said({ servername: "c.example", ALPNProtocols: ["h8", "h9"] }), "h9");
    await assert.rejects(said({ servername: "b.example" }), "no chain takes it");
    const through = connect({ port, host: "127.0.0.1", servername: "through.example", rejectUnauthorized: false });
    await once(through, "secureConnect");
    assert.equal(through.getPeerX509Certificate()?.subject, "CN=front");
    through.destroy();

    const plain = connectPlain({ port, host: "127.0.0.1" });
    plain.write("hello\n");
    assert.equal(String((await once(plain, "data"))[0]), "plain");
    plain.destroy();

    const odd = connectPlain({ port, host: "127.0.0.1" }).on("error", () => undefined);
    odd.write(Buffer.from([22, 3, 1, 0, 5, 1, 0, 0, 1, 0])); // a ClientHello with nothing in it
    await new Promise((resolve) => odd.once("close", resolve));
    const stats = await sidecar.page("/stats?filter=tls_inspector");
    for (const count of ["tls_found: 6", "tls_not_found: 2", "sni_found: 6", "alpn_found: 1"]) {
      assert.match(stats, new RegExp(`^tls_inspector\\.${count}$`, "m"));
    }
    // A second ClientHello with another name changes neither the chain nor the name that rules are asked about.
    assert.equal(await helloRetryClient(port, "retry.example", "retry.example"), "asked for");
    assert.equal(await helloRetryClient(port, "retry.example", "a.example"), "asked for");
    assert.equal(await helloRetryClient(port, "a.example", "retry.example"), "a");
  });

  test("certificates in use are shown with their days, keys nowhere", async () => {
    const dump = await sidecar.page("/config_dump?include_eds");
    const certificates = await sidecar.page("/certs");
    assert.doesNotMatch(dump + certificates + sidecar.log, /PRIVATE KEY/);
    assert.match(dump, /server\.key/);
    const shown = (JSON.parse(certificates) as { certificates: Record<"ca_cert" | "cert_chain", Json[]>[] })
      .certificates;
    const paths = shown.map(({ ca_cert, cert_chain }) => [...ca_cert, ...cert_chain].map(({ path }) => path));
    const path = (name: string): string => `${folder}/${name}.pem`;
    assert.deepEqual(paths, [[path("server")], [path("ca"), path("server")], [path("ca"), path("client")]]);
    const shownServer = shown[0]?.cert_chain[0] ?? {};
    assert.equal(shownServer["serial_number"], server.serialNumber);
    assert.deepEqual(shownServer["subject_alt_names"], [{ dns: "front.example" }]);
    const days = await sidecar.stat("server.days_until_first_cert_expiring");
    assert.equal(String(days), shownServer["days_until_expiration"]);
    assert.ok(days > 0);
  });
});
