import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer as createPlainServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { after, before, describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import {
  cluster,
  inlineRoutes,
  type Json,
  listener,
  socketAddress,
  staticBootstrap,
  tcpProxy,
  upstreamProxyProtocol,
  virtualHost,
} from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const TYPES = "type.googleapis.com/envoy.extensions";

function upstreamTls(fields: Json): Json {
  return {
    name: "tls",
    typed_config: { "@type": `${TYPES}.transport_sockets.tls.v3.UpstreamTlsContext`, ...fields },
  };
}

const RAW: Json = {
  name: "raw",
  typed_config: { "@type": `${TYPES}.transport_sockets.raw_buffer.v3.RawBuffer` },
};

/** Of a cluster: HTTP/1 whose TLS takes names from requests. */
function namesFromRequests(upstream_http_protocol_options: Json): Json {
  return {
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http_protocol_options: {} },
        upstream_http_protocol_options,
      },
    },
  };
}

interface EndpointWish {
  readonly port: number;
  readonly hostname?: string;
  readonly metadata?: Json;
}

function endpoints(name: string, wishes: readonly EndpointWish[]): Json {
  const lb_endpoints = wishes.map(({ port, hostname, metadata = {} }) => ({
    endpoint: { address: socketAddress(port), ...(hostname !== undefined && { hostname }) },
    metadata: { filter_metadata: metadata },
  }));
  return { load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints }] } };
}

/** A chain for clients whose first bytes are of that protocol: it says so, and closes. */
function chainFor(protocols: readonly string[], inline_string: string): Json {
  const typed_config = { "@type": `${TYPES}.filters.network.direct_response.v3.Config`, response: { inline_string } };
  return {
    filters: [{ name: "direct", typed_config }],
    filter_chain_match: { application_protocols: protocols },
  };
}

/** Tells by which way a request has come: the server's name, TLS or plaintext, and the name that was asked for. */
function tell(server: string): (request: IncomingMessage, response: ServerResponse) => void {
  return ({ socket }, response) => {
    const { encrypted, servername } = socket as TLSSocket;
    response.end(encrypted ? `${server} TLS ${servername || "-"}` : `${server} plaintext`);
  };
}

describe("what upstream TLS is like, and for whom", { concurrency: 4 }, () => {
  const suite = lastFirst({ after });
  const ours = new TestAuthority("Ours");
  const good = ours.issue({ commonName: "good", dns: ["a.example", "b.example", "host.example", "fixed.example"] });
  const stale = ours.issue({ commonName: "stale", validFrom: new Date(0), validTo: new Date(1_000_000_000_000) });
  const prefaces: string[] = [];
  let sidecar: SidecarProcess;
  let log: string;

  before(async () => {
    log = `${scratchFolder(suite)}/access.log`;
    const listen = async (server: TcpServer): Promise<number> => {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      suite.after(() => server.close());
      return (server.address() as AddressInfo).port;
    };
    const secure = (name: string, { chain, key }: TestCertificate): Server => {
      const server = createServer({ cert: chain, key }, tell(name));
      suite.after(() => server.closeAllConnections());
      return server;
    };
    const plain = createPlainServer(tell("two"));
    suite.after(() => plain.closeAllConnections());
    const behindPreface = secure("behind", good);
    const [one, two, three, old, proxied, greeter] = await Promise.all([
      listen(secure("one", good)),
      listen(plain),
      listen(secure("three", good)),
      listen(secure("old", stale)),
      // Reads a line in plaintext; all behind it has to be TLS.
      listen(
        createTcpServer((socket) => {
          socket.once("readable", () => {
            const bytes: Buffer = socket.read();
            const end = bytes.indexOf("\r\n") + 2;
            prefaces.push(bytes.toString("latin1", 0, end));
            if (end < bytes.length) socket.unshift(bytes.subarray(end));
            behindPreface.emit("connection", socket);
          });
        }),
      ),
      listen(
        createTcpServer((socket) => {
          socket.on("error", () => undefined);
          socket.write("220 ready\n");
          socket.pipe(socket);
        }),
      ),
    ]);
    const trusting: Json = {
      common_tls_context: { validation_context: { trusted_ca: { inline_string: ours.certificate } } },
    };
    const trustingFixed = upstreamTls({ ...trusting, sni: "fixed.example" });
    const wantsTls = (level: string): Json => ({ "envoy.transport_socket_match": { tls: level, other: 1 } });
    const proxy = upstreamProxyProtocol({ version: "V1" })["transport_socket"] as { typed_config: Json };
    const log_format = {
      text_format_source: {
        inline_string: "%REQ(:AUTHORITY)% %RESPONSE_FLAGS% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n",
      },
    };
    const file = { "@type": `${TYPES}.access_loggers.file.v3.FileAccessLog`, path: log, log_format };
    const names = ["matched", "auto-sni", "override", "auto-host", "behind-proxy", "stale"];
    sidecar = await startSidecar(
      staticBootstrap(
        [
          ...names.map((name) =>
            listener({
              name,
              routes: inlineRoutes([virtualHost("*", name)]),
              http: { access_log: [{ name: "file", typed_config: file }] },
            }),
          ),
          {
            name: "greets",
            address: socketAddress(0),
            listener_filters: [
              {
                name: "heddle.filters.listener.server_first",
                typed_config: { "@type": "type.googleapis.com/heddle.filters.listener.v1.ServerFirst" },
              },
              {
                name: "http_inspector",
                typed_config: { "@type": `${TYPES}.filters.listener.http_inspector.v3.HttpInspector` },
              },
            ],
            listener_filters_timeout: "60s",
            filter_chains: [
              chainFor(["http/1.1"], "1.1"),
              { name: "bytes", filters: [tcpProxy({ stat_prefix: "greets", cluster: "greets" })] },
            ],
          },
          {
            name: "kinds",
            address: socketAddress(0),
            listener_filters: [
              {
                name: "http_inspector",
                typed_config: { "@type": `${TYPES}.filters.listener.http_inspector.v3.HttpInspector` },
              },
            ],
            filter_chains: [
              chainFor(["http/1.0"], "1.0"),
              chainFor(["http/1.1"], "1.1"),
              chainFor(["h2c"], "h2c"),
              chainFor([], "other"),
            ],
          },
        ],
        [
          cluster("matched", [], {
            ...endpoints("matched", [
              { port: one, metadata: wantsTls("yes") },
              { port: two },
              { port: three, metadata: wantsTls("no") },
            ]),
            transport_socket_matches: [
              { name: "secure", match: { tls: "yes" }, transport_socket: trustingFixed },
              { name: "plain", match: {}, transport_socket: RAW },
            ],
          }),
          cluster("greets", [greeter]),
          cluster("auto-sni", [one], {
            transport_socket: trustingFixed,
            ...namesFromRequests({ auto_sni: true, auto_san_validation: true }),
          }),
          cluster("override", [one], {
            transport_socket: trustingFixed,
            ...namesFromRequests({ auto_sni: true, auto_san_validation: true, override_auto_sni_header: "x-name" }),
          }),
          cluster("auto-host", [], {
            ...endpoints("auto-host", [{ port: one, hostname: "host.example" }, { port: three }]),
            transport_socket: upstreamTls({ ...trusting, sni: "fixed.example", auto_host_sni: true }),
          }),
          cluster("behind-proxy", [proxied], {
            transport_socket: {
              ...proxy,
              typed_config: { ...proxy.typed_config, transport_socket: trustingFixed },
            },
          }),
          cluster("stale", [old], { transport_socket: trustingFixed }),
        ],
      ),
      suite,
    );
  });

  /** The status and the body. */
  async function get(name: string, host = "a.example", headers: Readonly<Record<string, string>> = {}) {
    const asked = request({ port: await sidecar.port(name), host: "127.0.0.1", headers: { host, ...headers } }).end();
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    let body = "";
    for await (const text of response.setEncoding("utf8")) body += text;
    return [response.statusCode, body] as const;
  }

  async function logged(line: string): Promise<void> {
    await eventually(`"${line}" is in the access log`, () => {
      return existsSync(log) && readFileSync(log, "utf8").split("\n").includes(line);
    });
  }

  test("an endpoint's metadata says whether it is spoken to by TLS or in plaintext", async () => {
    const seen = new Map<string, number>();
    for (let i = 0; i < 6; i++) {
      const [status, body] = await get("matched");
      // The third one's metadata asks for plaintext, which its server takes for no handshake.
      const key = status === 200 ? body : String(status);
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    assert.deepEqual(Object.fromEntries(seen), { "one TLS fixed.example": 2, "two plaintext": 2, "503": 2 });
  });

  test("the request's host is asked for, and the certificate has to stand for it", async () => {
    assert.deepEqual(await get("auto-sni", "a.example"), [200, "one TLS a.example"]);
    assert.deepEqual(await get("auto-sni", "B.example:8443"), [200, "one TLS b.example"]);
    assert.deepEqual(await get("auto-sni", "a.example"), [200, "one TLS a.example"], "not the connection to b.example");
    const [status, body] = await get("auto-sni", "c.example");
    assert.equal(status, 503);
    assert.match(body, /reset reason: remote connection failure$/);
    assert.equal((await get("auto-sni", "127.0.0.1"))[0], 503, "an address is verified, though not asked for by name");
    await logged("c.example UF TLS_error:|CERTIFICATE_VERIFY_FAILED:name:TLS_error_end");
  });

  test("a header may name whom to ask for instead of the host", async () => {
    assert.deepEqual(await get("override", "c.example", { "x-name": "b.example" }), [200, "one TLS b.example"]);
    assert.deepEqual(await get("override", "a.example"), [200, "one TLS a.example"]);
    assert.equal((await get("override", "a.example", { "x-name": "c.example" }))[0], 503);
  });

  test("an endpoint with a name of its own is asked for by it, another one by the cluster's", async () => {
    const seen = new Set([(await get("auto-host"))[1], (await get("auto-host"))[1]]);
    assert.deepEqual([...seen].sort(), ["one TLS host.example", "three TLS fixed.example"]);
  });

  test("PROXY protocol goes in plaintext before the ClientHello", async () => {
    assert.deepEqual(await get("behind-proxy"), [200, "behind TLS fixed.example"]);
    const port = await sidecar.port("behind-proxy");
    assert.equal(prefaces.length, 1);
    assert.match(prefaces[0] ?? "", new RegExp(`^PROXY TCP4 127\\.0\\.0\\.1 127\\.0\\.0\\.1 \\d+ ${port}\\r\\n$`));
  });

  test("why a handshake failed is in the log, and not for the client to read", async () => {
    const [status, body] = await get("stale");
    assert.equal(status, 503);
    const reason = "TLS_error:|CERTIFICATE_VERIFY_FAILED:CERT_HAS_EXPIRED:TLS_error_end";
    assert.equal(
      body,
      "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
    );
    await logged(`a.example UF ${reason}`);
  });

  test("the kind of a client's plaintext chooses its chain, however slowly it comes", async () => {
    const port = await sidecar.port("kinds");
    const said = async (...pieces: readonly string[]): Promise<string> => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      await once(socket, "connect");
      for (const piece of pieces) await new Promise((resolve) => socket.write(piece, "latin1", resolve));
      let text = "";
      for await (const chunk of socket) text += String(chunk);
      return text;
    };
    const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const answers = await Promise.all([
      said("GET / HTTP/1.0\r\n"),
      said("\r", "\nG", "ET / HTTP/1.", "1\r", "\n"),
      said(preface.slice(0, 16), preface.slice(16)),
      said("SSH-2.0-OpenSSH\r\n"),
    ]);
    assert.deepEqual(answers, ["1.0", "1.1", "h2c", "other"]);
    const stats = await sidecar.page("/stats?filter=http_inspector");
    for (const found of ["http10", "http11", "http2"]) assert.match(stats, new RegExp(`${found}_found: 1$`, "m"));
    assert.match(stats, /http_not_found: 1$/m);
  });

  test("a server that speaks first is heard while its client is silent", async () => {
    const port = await sidecar.port("greets");
    const silent = connect(port, "127.0.0.1");
    assert.equal(String((await once(silent, "data"))[0]), "220 ready\n");
    silent.write("and back");
    assert.equal(String((await once(silent, "data"))[0]), "and back");
    silent.destroy();
    const stats = await sidecar.page("/stats?filter=server_first|pre_cx_timeout");
    assert.match(stats, /server_first\.server_spoke: 1$/m);
    assert.doesNotMatch(stats, /pre_cx_timeout: [1-9]/, "nobody has waited to the end");
  });
});
