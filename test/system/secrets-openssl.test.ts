import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { promisify } from "node:util";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import { adsBootstrap } from "../harness/control-plane.ts";
import { skipWithoutEnvoy, startEnvoy } from "../harness/envoy.ts";
import { cluster, inlineRoutes, type Json, listener, virtualHost } from "../harness/envoy-config.ts";
import { eventually } from "../harness/eventually.ts";
import { startFileControlPlane } from "../harness/file-control-plane.ts";
import { lastFirst } from "../harness/owner.ts";
import { spawnSidecar } from "../harness/sidecar.ts";

const missing = ["/usr/bin/curl", "/usr/bin/openssl"].filter((path) => !existsSync(path));
const skip = missing.length > 0 && `not installed: ${missing.join(", ")}`;

const run = promisify(execFile);
const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
const TYPES = "type.googleapis.com/envoy.config";

/** What OpenSSL's own client says of the certificate that it is shown. */
async function subjectAt(port: number): Promise<string> {
  const client = spawn("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "shop.example"], {
    stdio: ["ignore", "pipe", "ignore"],
    timeout: 60_000,
  });
  let text = "";
  for await (const chunk of client.stdout) text += String(chunk);
  return /subject=.*CN ?= ?(\w+)/.exec(text)?.[1] ?? "none";
}

test("certificates in a file of the control plane are rotated, and openssl and curl see them", { skip }, async (t) => {
  const owner = lastFirst(t);
  const authority = new TestAuthority();
  const [first, second] = ["first", "second"].map((commonName) =>
    authority.issue({ commonName, dns: ["shop.example"] }),
  ) as [TestCertificate, TestCertificate];
  const app = createServer((_, response) => response.end("app"));
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  owner.after(() => app.close().closeAllConnections());

  const plain = listener({ name: "tls", routes: inlineRoutes([virtualHost("*", "app")]) });
  const [chain] = plain["filter_chains"] as readonly Json[];
  const common_tls_context = {
    tls_certificate_sds_secret_configs: [{ name: "shop", sds_config: { ads: {}, resource_api_version: "V3" } }],
  };
  const socket = { name: "tls", typed_config: { "@type": `${TLS}.DownstreamTlsContext`, common_tls_context } };
  const resources = [
    {
      "@type": `${TYPES}.listener.v3.Listener`,
      ...plain,
      filter_chains: [{ ...chain, transport_socket: socket }],
    },
    { "@type": `${TYPES}.cluster.v3.Cluster`, ...cluster("app", [(app.address() as AddressInfo).port]) },
  ];
  // JSON is YAML.
  const secret = ({ chain: cert, key }: TestCertificate): string =>
    JSON.stringify({
      "@type": `${TLS}.Secret`,
      name: "shop",
      tls_certificate: { certificate_chain: { inline_string: cert }, private_key: { inline_string: key } },
    });
  const controlPlane = await startFileControlPlane(
    { "mesh.yaml": JSON.stringify({ resources }), "secret.yaml": secret(first) },
    owner,
  );
  const sidecar = spawnSidecar(adsBootstrap(controlPlane.xdsPort, "sotw"), owner);
  await sidecar.untilReady();
  const port = await sidecar.port("tls");
  assert.equal(await subjectAt(port), "first");

  // Connections that are made all the time, one after the other.
  let failures = 0;
  let answers = 0;
  let stopping = false;
  const curls = (async () => {
    while (!stopping) {
      const { stdout } = await run("curl", ["-sk", "--max-time", "30", `https://127.0.0.1:${port}/`]).catch(() => {
        return { stdout: "" };
      });
      answers += 1;
      if (stdout !== "app") failures += 1;
    }
  })();
  await controlPlane.write("secret.yaml", secret(second));
  await eventually("openssl sees the second", async () => (await subjectAt(port)) === "second");
  await controlPlane.write("secret.yaml", secret({ ...first, key: second.key }));
  await eventually("a wrong key is rejected", async () => (await controlPlane.rejections()).length > 0);
  const rejections = (await controlPlane.rejections()).join();
  assert.match(rejections, /secret "shop": tls_certificate\.private_key: does not belong to the certificate/);
  assert.equal(await subjectAt(port), "second");
  await controlPlane.write("secret.yaml", secret(first));
  await eventually("openssl sees the first again", async () => (await subjectAt(port)) === "first");
  stopping = true;
  await curls;
  assert.ok(answers > 0);
  assert.equal(failures, 0);

  // A real Envoy takes them from the same control plane.
  if (skipWithoutEnvoy === false) {
    const envoy = await startEnvoy(adsBootstrap(controlPlane.xdsPort, "delta"), owner);
    const envoyPort = await envoy.port("tls");
    assert.equal(await subjectAt(envoyPort), "first");
    await controlPlane.write("secret.yaml", secret(second));
    await eventually("Envoy shows the second", async () => (await subjectAt(envoyPort)) === "second");
    await eventually("so does the sidecar", async () => (await subjectAt(port)) === "second");
  }

  // Neither end shows a key.
  const keys = [first, second].map(({ key }) => key.split("\n")[1] ?? "");
  const shown = [rejections, sidecar.log, await sidecar.page("/config_dump")];
  for (const page of ["/config", "/config?node=default/test/1", "/status"]) {
    shown.push(await (await fetch(`http://127.0.0.1:${controlPlane.adminPort}${page}`)).text());
  }
  for (const text of shown) for (const key of keys) assert.ok(key.length > 30 && !text.includes(key));
  assert.ok(
    shown.some((text) => text.includes("[redacted]")),
    "the secret is shown, and its key is not",
  );
});
