import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "node:tls";
import { TestAuthority, type TestCertificate } from "@heddle/net/testing";
import { eventually } from "../harness/eventually.ts";
import { JoinedMesh } from "../harness/joined-mesh.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder, spawnSidecar, startSidecar } from "../harness/sidecar.ts";

const ECHO = "type.googleapis.com/envoy.extensions.filters.network.echo.v3";
const WEB = "spiffe://cluster.local/ns/default/sa/web";
const hasGo = spawnSync("go", ["version"]).status === 0;

test("go-spiffe and a second sidecar take their identity from a sidecar's Workload API", async (t) => {
  const owner = lastFirst(t);
  const folder = scratchFolder(owner);
  const socket = join(folder, "workload.sock");
  const mesh = await JoinedMesh.start(owner, { svidTtl: "10s", webFlags: ["--workload-api", socket] });

  await t.test("a second sidecar, which is web then", async () => {
    const flags = ["--control-plane", `127.0.0.1:${mesh.controlPlane.tlsPort}`, "--node-id", "default/web/2"];
    const second = spawnSidecar(undefined, owner, {
      flags: [...flags, "--spiffe-endpoint-socket", `unix://${socket}`],
      expectedErrors: /address cannot be had/, // two of one workload on one machine
    });
    await second.untilAdmin();
    await eventually(
      "xDS takes it for web",
      async () => {
        const status = await mesh.controlPlane.page("/status");
        return /"id":"default\/web\/2"/.test(status.replaceAll(/\s/g, ""));
      },
      30_000,
    );
    await eventually("it has had a renewal", async () => (await second.stat("identity.svid_issued")) > 1, 30_000);
    assert.ok(second.log.includes(`the SPIFFE agent has told who this sidecar is part=identity id=${WEB}`));
  });

  await t.test("a sidecar with a bootstrap, whose listener names the secrets", async () => {
    const secret = (name: string): object => ({ name });
    const context = {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
      require_client_certificate: true,
      common_tls_context: {
        tls_certificate_sds_secret_configs: [secret("default")],
        validation_context_sds_secret_config: secret("ROOTCA"),
      },
    };
    const echo = { name: "echo", typed_config: { "@type": `${ECHO}.Echo` } };
    const chain = { transport_socket: { name: "tls", typed_config: context }, filters: [echo] };
    const address = { socket_address: { address: "127.0.0.1", port_value: 0 } };
    const listener = { name: "in", address, filter_chains: [chain] };
    const third = await startSidecar({ static_resources: { listeners: [listener] } }, owner, {
      flags: ["--spiffe-endpoint-socket", socket],
    });
    const port = await third.port("in");
    assert.equal(await echoed(port, undefined), "refused", "nobody without a certificate");
    const stranger = new TestAuthority().issue({ uris: [WEB] });
    assert.equal(await echoed(port, stranger), "refused", "nor with a stranger's");
    assert.match(await third.page("/certs"), new RegExp(WEB));
  });

  await t.test("go-spiffe", { skip: !hasGo && "not installed: Go" }, (st) => {
    const program = join(folder, "spiffe_peer");
    const built = spawnSync("go", ["build", "-mod=readonly", "-o", program, "."], {
      cwd: join(import.meta.dirname, "peers/spiffe_peer"),
      encoding: "utf8",
      timeout: 240_000,
    });
    if (built.status !== 0 && /proxy|dial tcp|lookup|timeout/i.test(built.stderr)) {
      st.skip("Go's modules cannot be fetched");
      return;
    }
    assert.equal(built.status, 0, built.stderr);
    // Two updates: the first, and a renewal.
    const { status, stdout, stderr } = spawnSync(program, [`unix://${socket}`, "2"], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.deepEqual(stdout.trim().split("\n"), [`${WEB} 1 1`, `${WEB} 1 1`]);
  });
});

/** What comes back of a word, or that nothing does. */
function echoed(port: number, shown: TestCertificate | undefined): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({
      port,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      ...(shown && { cert: shown.chain, key: shown.key }),
    });
    socket.on("secureConnect", () => socket.write("word"));
    socket.on("data", (bytes: Buffer) => {
      socket.destroy();
      resolve(bytes.toString());
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve("refused"));
  });
}
