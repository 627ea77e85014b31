import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { TestAuthority } from "@heddle/identity/testing";
import { cluster, inlineRoutes, type Json, listener, staticBootstrap, virtualHost } from "../harness/envoy-config.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder, startSidecar } from "../harness/sidecar.ts";

const skip = !existsSync("/usr/bin/testssl") && "not installed: testssl.sh";

/** Protocols, categories of ciphers, forward secrecy, and all vulnerabilities that it knows: 60 s where nothing else runs. */
const MODULES = ["--protocols", "--std", "--fs", "--vulnerable"];
const FLAGS = "--quiet --color 0 --warnings off --sneaky --ip one --connect-timeout 5 --openssl-timeout 5".split(" ");
const PATIENCE_MS = 400_000;

/** What it says of itself, and not of the server. */
const OF_ITSELF = ["engine_problem"];

interface Finding {
  readonly id: string;
  readonly severity: "OK" | "INFO" | "WARN" | "LOW" | "MEDIUM" | "HIGH" | "CRITICAL";
  readonly finding: string;
}

test("testssl.sh finds nothing in the TLS that a listener has by default, not even of severity LOW", {
  skip,
}, async (t) => {
  const owner = lastFirst(t);
  const folder = scratchFolder(owner);
  const authority = new TestAuthority();
  const app = createServer((_request, response) => response.end("ok"));
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  owner.after(() => app.close().closeAllConnections());
  const plain = listener({ name: "https", routes: inlineRoutes([virtualHost("*", "app")]) });
  const [chain] = (plain as { readonly filter_chains: readonly Json[] }).filter_chains;
  const certificates = (["ec", "rsa"] as const).map((keyType) =>
    authority.issue({ commonName: "shop.example", dns: ["shop.example"], keyType, usage: "server" }),
  );
  const typed_config = {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    common_tls_context: {
      alpn_protocols: ["h2", "http/1.1"],
      tls_certificates: certificates.map((one) => ({
        certificate_chain: { inline_string: one.chain },
        private_key: { inline_string: one.key },
      })),
    },
    full_scan_certs_on_sni_mismatch: true, // both kinds of key for a client that asks for an address
  };
  const secured = { ...plain, filter_chains: [{ ...chain, transport_socket: { name: "tls", typed_config } }] };
  const { port } = app.address() as AddressInfo;
  const sidecar = await startSidecar(staticBootstrap([secured], [cluster("app", [port])]), owner);

  const report = `${folder}/report.json`;
  const target = `127.0.0.1:${await sidecar.port("https")}`;
  const child = spawn("testssl", [...MODULES, ...FLAGS, "--jsonfile", report, target], {
    stdio: "ignore",
    timeout: PATIENCE_MS,
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  assert.notEqual(code, null, "it has not come to its end in time");

  const findings = JSON.parse(readFileSync(report, "utf8")) as readonly Finding[];
  const harmless = new Set<Finding["severity"]>(["OK", "INFO"]);
  assert.deepEqual(
    findings.filter(({ id, severity }) => !harmless.has(severity) && !OF_ITSELF.includes(id)),
    [],
  );
  const found = new Map(findings.map(({ id, finding }) => [id, finding]));
  assert.deepEqual(
    ["SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3"].map((version) => found.get(version)?.split(" with ")[0]),
    ["not offered", "not offered", "not offered", "not offered", "offered", "offered"],
  );
  for (const id of ["heartbleed", "ROBOT", "secure_client_renego", "LUCKY13"]) assert.ok(found.has(id), id);
});
