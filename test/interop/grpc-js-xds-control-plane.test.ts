import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { systemClock } from "@heddle/base";
import { type ControlPlane, startControlPlane } from "@heddle/control-plane";
import { quietLog, quietMetrics } from "@heddle/xds/testing";
import { eventually } from "../harness/eventually.ts";
import { closeCallers, namedServer, type XdsCaller, XdsClients } from "./grpc-xds-client.ts";

const clients = new XdsClients({ after });

test("gRPC's own xDS client calls a service of the mesh by name, and follows its files", async (t) => {
  const [first, second] = [await named("first", t), await named("second", t)];
  const mesh = await startMesh(t);
  await mesh.write("orders.yaml", service("orders"));
  await mesh.write("first.yaml", workload("orders-1", "orders", first));
  await mesh.start();

  for (const name of ["orders.default:80", "orders", "orders.default.svc.cluster.local:80"]) {
    const caller = mesh.caller(name, `interop ${name}`);
    assert.equal(await caller.call(), "first", name);
  }

  const caller = mesh.caller("orders.default:80", "interop/follower/1");
  assert.equal(await caller.call(), "first");
  await mesh.write("first.yaml", workload("orders-1", "orders", second));
  await eventually("calls go to the second server", async () => (await caller.call()) === "second");
});

test("gRPC's own xDS client follows the routes of an HTTPRoute, to another namespace too, and of a GRPCRoute", async (t) => {
  const [plain, special] = [await named("plain", t), await named("special", t)];
  const mesh = await startMesh(t);
  await mesh.write("services.yaml", service("orders") + service("special", "other"));
  await mesh.write(
    "workloads.yaml",
    workload("orders-1", "orders", plain) + workload("special-1", "special", special, "other"),
  );
  await mesh.start();
  const caller = mesh.caller("orders.default:80", "interop/routed/1");
  assert.equal(await caller.call(), "plain");
  await mesh.write(
    "route.yaml",
    `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: orders }
spec:
  parentRefs: [{ group: "", kind: Service, name: orders }]
  rules:
    - matches: [{ path: { value: /heddle.test.Who } }]
      backendRefs: [{ name: special, namespace: other, port: 80 }]
    - matches: [{ path: { value: /old } }]
      filters: [{ type: RequestRedirect, requestRedirect: { hostname: new.example } }]
    - matches: [{ path: { type: Exact, value: /none } }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: { name: orders, namespace: other }
spec:
  from: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default }]
  to: [{ group: "", kind: Service, name: special }]
`,
  );
  await eventually("calls go where the route says", async () => (await caller.call()) === "special");
  const grpcRoute = (method: string): string => `apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: { name: orders }
spec:
  parentRefs: [{ group: "", kind: Service, name: orders }]
  rules:
    - matches: [{ method: ${method} }]
      backendRefs: [{ name: orders, port: 80 }]
    - matches: [{ method: { service: heddle.test.Who } }]
      backendRefs: [{ name: special, namespace: other, port: 80 }]
`;
  // It takes the HTTPRoute's place, and has no grant of its own.
  await mesh.write("grpc.yaml", grpcRoute("{ service: heddle.test.Who, method: AmI }"));
  // A call between two updates may find its cluster gone.
  const outcome = (): Promise<string> => caller.call().catch(String);
  await eventually("a GRPCRoute comes first", async () => (await outcome()) === "plain");
  await mesh.write("grpc.yaml", grpcRoute('{ type: RegularExpression, method: "Are.*" }'));
  await eventually(
    "what it must not send is unavailable: there is nobody in its cluster",
    async () => (await outcome()) === "Error: 14 UNAVAILABLE: priority policy has empty priority list",
  );
});

async function named(name: string, t: TestContext): Promise<number> {
  const server = await namedServer(name);
  t.after(() => server.close());
  return server.port;
}

async function startMesh(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "heddle-interop-"));
  const callers: XdsCaller[] = [];
  let controlPlane: ControlPlane | undefined;
  t.after(async () => {
    if (controlPlane !== undefined) {
      const { port } = controlPlane.adminAddress;
      await closeCallers(callers, () => connectedNodes(port));
      await controlPlane.stop();
    }
    await rm(folder, { recursive: true });
  });
  return {
    write: (name: string, text: string) => writeFile(join(folder, name), text),
    start: async (): Promise<void> => {
      controlPlane = await startControlPlane({
        folders: [folder],
        xdsAddress: { host: "127.0.0.1", port: 0 },
        adminAddress: { host: "127.0.0.1", port: 0 },
        identifier: "interop",
        clock: systemClock,
        log: quietLog,
        metrics: quietMetrics,
        collectMetrics: () => [],
      });
    },
    /** gRPC's client of a service by its name. */
    caller: (name: string, nodeId: string): XdsCaller => {
      assert.ok(controlPlane !== undefined, "the mesh was started");
      const caller = clients.caller({ name, controlPlanePort: controlPlane.xdsAddress.port, nodeId });
      callers.push(caller);
      return caller;
    },
  };
}

async function connectedNodes(adminPort: number): Promise<number> {
  const status = (await (await fetch(`http://127.0.0.1:${adminPort}/status`)).json()) as { nodes: unknown[] };
  return status.nodes.length;
}

function service(name: string, namespace = "default"): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { selector: { app: ${name} }, ports: [{ name: grpc, port: 80 }] }
---
`;
}

function workload(name: string, app: string, port: number, namespace = "default"): string {
  return `apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: ${name}, namespace: ${namespace}, labels: { app: ${app} } }
spec: { addresses: [127.0.0.1], ports: [{ name: grpc, protocol: grpc, port: ${port} }] }
---
`;
}
