import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, type TestContext, test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { type FileControlPlane, startFileControlPlane } from "../harness/file-control-plane.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";
import { namedServer } from "../interop/grpc-xds-client.ts";

/** Debian's, since python3-grpcio is Debian's. */
const PYTHON = "/usr/bin/python3";
const found = existsSync(PYTHON) && spawnSync(PYTHON, ["-c", "import grpc"]).status === 0;
const skip = !found && "not installed: python3-grpcio";

describe("gRPC's C core as an xDS client of our control plane (Python)", { skip }, () => {
  test("calls a service by its name, and follows endpoints and routes", async (t) => {
    const { owner, named } = begin(t);
    const [first, second, special] = [await named("first"), await named("second"), await named("special")];
    const mesh = await startFileControlPlane(
      {
        "services.yaml": service("orders") + service("special"),
        "orders.yaml": workload("orders", first),
        "special.yaml": workload("special", special),
      },
      owner,
    );
    const call = startCaller("orders.default:80", mesh, owner);
    assert.equal(await call(), "first");
    await mesh.write("orders.yaml", workload("orders", second));
    await eventually("calls go to the second server", async () => (await call()) === "second");
    for (let i = 0; i < 20; i++) assert.equal(await call(), "second");
    await mesh.write("orders.yaml", workload("orders", first) + workload("orders", second, "orders-2"));
    const seen = new Set<string>();
    await eventually("calls go to both", async () => seen.add(await call()).size === 2);
    await mesh.write("route.yaml", routeTo("orders", "special"));
    await eventually("calls go where the route says", async () => (await call()) === "special");
    assert.deepEqual(await mesh.rejections(), []);
  });

  test("a call to a name that does not exist yet is served when the name comes", async (t) => {
    const { owner, named } = begin(t);
    const mesh = await startFileControlPlane({ "other.yaml": service("other") }, owner);
    const call = startCaller("orders.default:80", mesh, owner);
    const late = await named("late");
    await mesh.write("orders.yaml", service("orders") + workload("orders", late));
    await eventually("it is served", async () => (await call()) === "late", 30_000);
    assert.deepEqual(await mesh.rejections(), []);
  });
});

function begin(t: TestContext) {
  const owner = lastFirst(t);
  return {
    owner,
    async named(name: string): Promise<number> {
      const server = await namedServer(name);
      owner.after(() => server.close());
      return server.port;
    },
  };
}

/** Makes one call after the other: the name of the server that answered, or the error. */
function startCaller(name: string, mesh: FileControlPlane, owner: Owner): () => Promise<string> {
  const file = join(scratchFolder(owner), "bootstrap.json");
  const xds_servers = [
    {
      server_uri: `127.0.0.1:${mesh.xdsPort}`,
      channel_creds: [{ type: "insecure" }],
      server_features: ["xds_v3"],
    },
  ];
  writeFileSync(file, JSON.stringify({ xds_servers, node: { id: "interop/python/1", cluster: "interop" } }));
  const child = spawn(PYTHON, [join(import.meta.dirname, "peers/grpc_xds_client.py"), name], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, GRPC_XDS_BOOTSTRAP: file },
  });
  owner.after(async () => {
    const ended = once(child, "exit");
    if (child.kill("SIGTERM")) await ended;
  });
  const lines = createInterface(child.stdout);
  return async () => {
    child.stdin.write("\n");
    const [line] = (await once(lines, "line")) as [string];
    const { answer, error } = JSON.parse(line) as { answer: string | null; error: string | null };
    return answer ?? error ?? "";
  };
}

function service(name: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: grpc, port: 80 }] }
---
`;
}

function workload(app: string, port: number, name = `${app}-1`): string {
  return `apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: ${name}, labels: { app: ${app} } }
spec: { addresses: [127.0.0.1], ports: [{ name: grpc, protocol: grpc, port: ${port} }] }
---
`;
}

function routeTo(service: string, backend: string): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${service} }
spec:
  parentRefs: [{ group: "", kind: Service, name: ${service} }]
  rules: [{ backendRefs: [{ name: ${backend}, port: 80 }] }]
`;
}
