import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { TestAuthority } from "@heddle/net/testing";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "../harness/sidecar.ts";

const missing = ["/usr/bin/curl", "/usr/bin/openssl"].filter((path) => !existsSync(path));
const skip = missing.length > 0 && `not installed: ${missing.join(", ")}`;

const run = promisify(execFile);
const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";

describe("TLS of a sidecar, met by curl and by OpenSSL's own client", { skip }, () => {
  const suite = lastFirst({ after });
  const authority = new TestAuthority();
  const server = authority.issue({ commonName: "shop", dns: ["shop.example"], keyType: "rsa" });
  const client = authority.issue({ commonName: "client", usage: "client" });
  let sidecar: SidecarProcess;
  let folder: string;

  before(async () => {
    folder = scratchFolder(suite);
    for (const [name, text] of Object.entries({
      "ca.pem": authority.certificate,
      "server.pem": server.chain,
      "server.key": server.key,
      "client.pem": client.chain,
      "client.key": client.key,
    })) {
      writeFileSync(`${folder}/${name}`, text);
    }
    const app = createServer((request, response) =>
      response.end(`${request.headers["x-forwarded-proto"]} ${request.url}`),
    );
    await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
    suite.after(() => app.close().closeAllConnections());
    const secured = (name: string, common: Json, context: Json = {}): Json => {
      const plain = listener({ name, routes: inlineRoutes([virtualHost("*", "app")]) });
      const [chain] = (plain as { readonly filter_chains: readonly Json[] }).filter_chains;
      const certificates = {
        tls_certificates: [
          {
            certificate_chain: { filename: `${folder}/server.pem` },
            private_key: { filename: `${folder}/server.key` },
          },
        ],
      };
      const typed_config = { "@type": TLS, common_tls_context: { ...certificates, ...common }, ...context };
      return { ...plain, filter_chains: [{ ...chain, transport_socket: { name: "tls", typed_config } }] };
    };
    const mutual = { validation_context: { trusted_ca: { filename: `${folder}/ca.pem` } } };
    sidecar = await startSidecar(
      staticBootstrap(
        [
          secured("both", { alpn_protocols: ["h2", "http/1.1"] }),
          secured("mutual", mutual, { require_client_certificate: true }),
          secured("old", {
            tls_params: { tls_maximum_protocol_version: "TLSv1_2", cipher_suites: ["ECDHE-RSA-AES256-GCM-SHA384"] },
          }),
        ],
        [cluster("app", [(app.address() as AddressInfo).port])],
      ),
      suite,
    );
  });

  async function curl(listenerName: string, ...flags: readonly string[]): Promise<string> {
    const port = await sidecar.port(listenerName);
    const always = [
      "-sS",
      "--max-time",
      "20",
      "--cacert",
      `${folder}/ca.pem`,
      "--resolve",
      `shop.example:${port}:127.0.0.1`,
    ];
    const { stdout } = await run("curl", [...always, ...flags, `https://shop.example:${port}/x`]);
    return stdout;
  }

  /** What `openssl s_client` says of the handshake. */
  async function sClient(listenerName: string, ...flags: readonly string[]): Promise<string> {
    const port = await sidecar.port(listenerName);
    const common = [
      "s_client",
      "-connect",
      `127.0.0.1:${port}`,
      "-servername",
      "shop.example",
      "-CAfile",
      `${folder}/ca.pem`,
    ];
    const child = spawn("openssl", [...common, ...flags], { stdio: ["pipe", "pipe", "pipe"] });
    let text = "";
    child.stdout.on("data", (bytes: Buffer) => (text += String(bytes)));
    child.stderr.on("data", (bytes: Buffer) => (text += String(bytes)));
    child.stdin.end("GET /y HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n");
    await new Promise((resolve) => child.once("close", resolve));
    return text;
  }

  const version = ["-w", " %{http_version}"];

  test("curl agrees on HTTP/2, or on HTTP/1.1 where it wants that", async () => {
    assert.equal(await curl("both", "--http2", ...version), "https /x 2");
    assert.equal(await curl("both", "--http1.1", ...version), "https /x 1.1");
    assert.equal(await curl("both", "--tls-max", "1.2", ...version), "https /x 2");
  });

  test("curl is served with a certificate of ours, and not without one", async () => {
    const shown = ["--cert", `${folder}/client.pem`, "--key", `${folder}/client.key`];
    assert.equal(await curl("mutual", ...shown), "https /x");
    await assert.rejects(curl("mutual"));
  });

  test("OpenSSL sees the chain, the version and the cipher that are configured, and an end in order", async () => {
    const newest = await sClient("both", "-ign_eof");
    assert.match(newest, /Verify return code: 0 \(ok\)/);
    assert.match(newest, /TLSv1\.3/);
    assert.match(newest, /https \/y/);
    assert.doesNotMatch(newest, /unexpected eof/);
    assert.match(await sClient("old", "-ign_eof"), /New, TLSv1\.2, Cipher is ECDHE-RSA-AES256-GCM-SHA384/);
    assert.match(await sClient("old", "-tls1_3"), /alert protocol version/);
  });

  test("OpenSSL resumes its session", async () => {
    const flags = ["-tls1_2", "-ign_eof"];
    await sClient("both", ...flags, "-sess_out", `${folder}/session`);
    assert.match(await sClient("both", ...flags, "-sess_in", `${folder}/session`), /^Reused, TLSv1\.2/m);
  });
});
