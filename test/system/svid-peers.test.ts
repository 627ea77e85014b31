import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type CertificateWish, TestAuthority, type TestCertificate } from "@heddle/identity/testing";
import { freePort } from "../../bench/path/peer.ts";
import { skipWithoutEnvoy, startEnvoy } from "../harness/envoy.ts";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { serve } from "../harness/serve.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const missing = ["/usr/bin/curl", "/usr/bin/openssl", "/usr/sbin/nginx"].filter((path) => !existsSync(path));
const skip = missing.length > 0 && `not installed: ${missing.join(", ")}`;

const run = promisify(execFile);
const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
const HOUR_MS = 3_600_000;

const id = (account: string): string => `spiffe://mesh.example/ns/default/sa/${account}`;

describe("SVIDs, shown to a sidecar and by it", { skip }, () => {
  const suite = lastFirst({ after });
  const mesh = new TestAuthority("Mesh");
  const partners = new TestAuthority("Partners");
  const strangers = new TestAuthority("Strangers");
  const folder = scratchFolder(suite);
  const now = Date.now();
  const client = (wish: CertificateWish = {}): TestCertificate =>
    mesh.issue({ commonName: "client", uris: [id("client")], ...wish });
  const revoked = client();
  const clients: Readonly<Record<string, TestCertificate>> = {
    good: client({ usage: "both" }),
    expired: client({ validTo: new Date(now - HOUR_MS) }),
    "not valid yet": client({ validFrom: new Date(now + HOUR_MS) }),
    "of an authority that nobody trusts": strangers.issue({ uris: [id("client")] }),
    "of another trust domain's authority": partners.issue({ uris: [id("client")] }),
    "of another workload": client({ uris: [id("other")] }),
    "for servers alone": client({ usage: "server" }),
    "an authority's": client({ isAuthority: true }),
    "of two SPIFFE IDs": client({ uris: [id("client"), id("other")] }),
    "with a NUL in its ID": client({ uris: [`${id("client")}\0.example`] }),
    "with its ID as a DNS name": client({ uris: [], dns: [id("client")] }),
    revoked,
  };
  let sidecar: SidecarProcess;
  let asked: string[] = [];
  let nginxIn = 0;
  let nginxOut = 0;
  let envoyIn = 0;

  before(async () => {
    chmodSync(folder, 0o755);
    const server = mesh.issue({ commonName: "server", uris: [id("server")], dns: ["server.example"], usage: "both" });
    const files = {
      "mesh.pem": mesh.certificate,
      "partners.pem": partners.certificate,
      "crl.pem": mesh.revoke([revoked]),
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(`${folder}/${name}`, text);
    for (const [name, { chain, key }] of [...Object.entries(clients), ["server", server] as const]) {
      writeFileSync(`${folder}/${name}.pem`, chain);
      writeFileSync(`${folder}/${name}.key`, key);
    }
    const app = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.end(`xfcc ${request.headers["x-forwarded-client-cert"]}`);
    });
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
    suite.after(() => app.close().closeAllConnections());
    [nginxIn, nginxOut, envoyIn] = [await freePort(), await freePort(), await freePort()];
    const { port } = app.address() as AddressInfo;
    sidecar = await startSidecar(
      staticBootstrap(
        [
          inbound("inbound", "app"),
          inbound("checked", "app", { crl: { filename: `${folder}/crl.pem` } }, "mesh.example"),
          listener({ name: "to nginx", routes: inlineRoutes([virtualHost("*", "nginx")]) }),
          listener({ name: "to nginx as another", routes: inlineRoutes([virtualHost("*", "stranger")]) }),
          listener({ name: "to Envoy", routes: inlineRoutes([virtualHost("*", "envoy")]) }),
        ],
        [
          cluster("app", [port]),
          { ...cluster("nginx", [nginxIn]), ...upstream("good", "server") },
          { ...cluster("stranger", [nginxIn]), ...upstream("good", "nobody") },
          { ...cluster("envoy", [envoyIn]), ...upstream("good", "server") },
        ],
      ),
      suite,
    );
    const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    writeFileSync(
      `${folder}/nginx.conf`,
      `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 256; }
http {
  ${kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")}
  access_log off;
  server {
    listen 127.0.0.1:${nginxIn} ssl;
    ssl_certificate "${folder}/server.pem"; ssl_certificate_key "${folder}/server.key";
    ssl_client_certificate ${folder}/mesh.pem; ssl_verify_client on;
    location / { return 200 "nginx $ssl_client_verify $ssl_client_s_dn"; }
  }
  server {
    listen 127.0.0.1:${nginxOut};
    location / {
      proxy_pass https://127.0.0.1:${await sidecar.port("checked")}; proxy_http_version 1.1;
      proxy_ssl_certificate "${folder}/good.pem"; proxy_ssl_certificate_key "${folder}/good.key";
      proxy_ssl_trusted_certificate ${folder}/mesh.pem; proxy_ssl_verify on; proxy_ssl_name server.example;
      proxy_ssl_session_reuse on; proxy_ssl_server_name on;
    }
  }
}`,
    );
    await serve(suite, [nginxIn, nginxOut], "/usr/sbin/nginx", "-c", `${folder}/nginx.conf`, "-e", "stderr");
  });

  /** A listener that lets in one workload, by its SVID. `domain`: that one alone is trusted. */
  function inbound(name: string, to: string, more: Json = {}, domain?: string): Json {
    const http = {
      forward_client_cert_details: "SANITIZE_SET",
      set_current_client_cert_details: { uri: true },
    };
    const plain = listener({ name, routes: inlineRoutes([virtualHost("*", to)]), http });
    const [chain] = (plain as { readonly filter_chains: readonly Json[] }).filter_chains;
    const typed_config = {
      "@type": `${TLS}.DownstreamTlsContext`,
      common_tls_context: common("server", "client", more, domain),
      require_client_certificate: true,
    };
    return { ...plain, filter_chains: [{ ...chain, transport_socket: { name: "tls", typed_config } }] };
  }

  function upstream(shown: string, account: string): Json {
    const typed_config = { "@type": `${TLS}.UpstreamTlsContext`, common_tls_context: common(shown, account) };
    return { transport_socket: { name: "tls", typed_config } };
  }

  function common(shown: string, account: string, more: Json = {}, domain?: string): Json {
    const bundle = (name: string, file: string): Json => ({ name, trust_bundle: { filename: `${folder}/${file}` } });
    const all = [bundle("mesh.example", "mesh.pem"), bundle("partners.example", "partners.pem")];
    const typed_config = {
      "@type": `${TLS}.SPIFFECertValidatorConfig`,
      trust_domains: domain === undefined ? all : all.filter(({ name }) => name === domain),
    };
    return {
      tls_certificates: [
        {
          certificate_chain: { filename: `${folder}/${shown}.pem` },
          private_key: { filename: `${folder}/${shown}.key` },
        },
      ],
      validation_context: {
        custom_validator_config: { name: "envoy.tls.cert_validator.spiffe", typed_config },
        match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: id(account) } }],
        ...more,
      },
    };
  }

  /** What `openssl s_client` hears to a request. */
  async function sClient(port: number, path: string, flags: readonly string[]): Promise<string> {
    const words = ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", `${folder}/mesh.pem`, "-ign_eof", ...flags];
    const child = spawn("openssl", words, { stdio: ["pipe", "pipe", "pipe"] });
    let text = "";
    child.stdout.on("data", (bytes: Buffer) => (text += String(bytes)));
    child.stderr.on("data", (bytes: Buffer) => (text += String(bytes)));
    child.stdin.on("error", () => undefined); // it has gone before it has read all
    child.stdin.end(`GET ${path} HTTP/1.1\r\nhost: server.example\r\nconnection: close\r\n\r\n`);
    await new Promise((resolve) => child.once("close", resolve));
    return text;
  }

  const shown = (name: string): string[] => ["-cert", `${folder}/${name}.pem`, "-key", `${folder}/${name}.key`];

  for (const version of ["-tls1_2", "-tls1_3"]) {
    test(`openssl s_client ${version} is served with the right certificate, and with no other`, async () => {
      asked = [];
      const both = [await sidecar.port("inbound"), await sidecar.port("checked")];
      for (const port of both) {
        const answer = await sClient(port, "/good", [version, ...shown("good")]);
        assert.ok(answer.includes(`xfcc URI=${id("client")}`) || answer.includes("xfcc By="), answer);
        assert.ok(answer.includes(`URI=${id("client")}`), answer);
      }
      for (const name of Object.keys(clients).filter((one) => one !== "good")) {
        for (const port of name === "revoked" ? both.slice(1) : both) {
          const answer = await sClient(port, `/${name.replaceAll(" ", "-")}`, [version, ...shown(name)]);
          assert.doesNotMatch(answer, /HTTP\/1\.1/, name);
        }
      }
      for (const port of both) assert.doesNotMatch(await sClient(port, "/none", [version]), /HTTP\/1\.1/);
      assert.deepEqual(asked, ["/good", "/good"]);
    });
  }

  test("TLS 1.0 and 1.1 are refused", async () => {
    const port = await sidecar.port("inbound");
    for (const version of ["-tls1", "-tls1_1"]) {
      const answer = await sClient(port, "/old", [version, "-cipher", "ALL:@SECLEVEL=0", ...shown("good")]);
      assert.match(answer, /alert protocol version|unsupported protocol/, answer);
    }
  });

  test("curl is served with an SVID, over HTTP/2 as well, and not without one", async () => {
    const port = await sidecar.port("inbound");
    const always = ["-sS", "--max-time", "10", "--cacert", `${folder}/mesh.pem`];
    always.push("--resolve", `server.example:${port}:127.0.0.1`);
    const curl = async (...flags: string[]): Promise<string> =>
      (await run("curl", [...always, ...flags, `https://server.example:${port}/curl`])).stdout;
    const certificate = ["--cert", `${folder}/good.pem`, "--key", `${folder}/good.key`];
    assert.match(await curl(...certificate), new RegExp(`URI=${id("client")}$`));
    assert.match(
      await curl("--http2", "-H", "x-forwarded-client-cert: URI=spiffe://forged", ...certificate),
      /^xfcc [^,]*$/,
    );
    await assert.rejects(curl());
  });

  test("nginx is let in with an SVID, and its sessions are resumed", async () => {
    for (let i = 0; i < 3; i++) {
      const answer = await fetch(`http://127.0.0.1:${nginxOut}/`, { headers: { connection: "close" } });
      assert.match(await answer.text(), new RegExp(`URI=${id("client")}$`));
    }
    assert.ok((await sidecar.stat("listener.127.0.0.1_0.ssl.session_reused")) > 0);
  });

  test("nginx is shown an SVID, and believed by its own", async () => {
    const ask = async (name: string): Promise<string> => {
      const response = await fetch(`http://127.0.0.1:${await sidecar.port(name)}/`);
      return `${response.status} ${await response.text()}`;
    };
    assert.equal(await ask("to nginx"), "200 nginx SUCCESS CN=client");
    assert.match(await ask("to nginx as another"), /^503 /);
  });

  describe("and a real Envoy", { skip: skipWithoutEnvoy }, () => {
    test("at either end: each believes the other's SVID, and refuses that of another workload", async (t) => {
      const owner = lastFirst(t);
      const fixed = async (name: string, port: number, account: string): Promise<[Json, Json]> => [
        listener({ name, routes: inlineRoutes([virtualHost("*", name)]) }),
        { ...cluster(name, [port]), ...upstream("good", account) },
      ];
      const [out, outCluster] = await fixed("out", await sidecar.port("inbound"), "server");
      const [wrong, wrongCluster] = await fixed("wrong", await sidecar.port("inbound"), "other");
      const answer = { virtual_hosts: [{ name: "all", domains: ["*"], routes: [ANSWER] }] };
      const into = inbound("in", "none");
      const filter = (into as { readonly filter_chains: readonly { readonly filters: readonly Json[] }[] })
        .filter_chains[0];
      const manager = filter?.filters[0]?.["typed_config"] as Json;
      const { route_config: _none, ...rest } = manager as { readonly route_config: Json };
      const inListener = {
        ...into,
        address: { socket_address: { address: "127.0.0.1", port_value: envoyIn } },
        filter_chains: [
          { ...filter, filters: [{ ...filter?.filters[0], typed_config: { ...rest, route_config: answer } }] },
        ],
      };
      const bootstrap = staticBootstrap([out, wrong, inListener], [outCluster, wrongCluster]);
      const envoy = await startEnvoy(bootstrap, owner);
      const ask = async (port: number): Promise<string> => {
        const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } });
        return `${response.status} ${await response.text()}`;
      };
      const fromEnvoy = await ask(await envoy.port("out"));
      assert.match(fromEnvoy, new RegExp(`^200 xfcc .*URI=${id("client")}$`));
      assert.match(await ask(await envoy.port("wrong")), /^503 /);
      assert.equal(await ask(await sidecar.port("to Envoy")), `200 Envoy has heard ${id("client")}`);
    });
  });
});

const ANSWER: Json = {
  match: { prefix: "/" },
  direct_response: {
    status: 200,
    body_format: { text_format_source: { inline_string: "Envoy has heard %DOWNSTREAM_PEER_URI_SAN%" } },
  },
};
