import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ControlPlaneProcess } from "../harness/control-plane-process.ts";
import { eventually } from "../harness/eventually.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";
import { namedServer, type XdsCaller, XdsClients } from "../interop/grpc-xds-client.ts";

test("statement 52: the control plane killed and started again fails no call, unchanged or with other endpoints", async (t: TestContext) => {
  const owner = lastFirst(t);
  const [first, second] = [await named("first", owner), await named("second", owner)];
  const folder = scratchFolder(owner);
  const write = (port: number): Promise<void> =>
    writeFile(join(folder, "orders.yaml"), service("orders") + workload("orders-1", "orders", port));
  await write(first);
  const controlPlane = new ControlPlaneProcess(owner, ["--config", folder]);
  await controlPlane.start();
  const node = "interop/survivor/1";
  const caller = new XdsClients(owner).caller({
    name: "orders.default:80",
    controlPlanePort: controlPlane.xdsPort,
    nodeId: node,
  });
  const calls = startCalls(caller);
  const hasAll = async (): Promise<boolean> => {
    const { nodes } = await controlPlane.status<Status>();
    return nodes[0]?.types.length === 4 && nodes[0].types.every(({ ackedVersion }) => ackedVersion !== "");
  };
  // Longer than gRPC's back-off after the seconds that a start may take.
  const seen = (): Promise<void> => eventually("the client is there, and has all it wants", hasAll, 30_000);
  await seen();
  await controlPlane.kill();
  await calls.more(20);
  await controlPlane.start();
  await seen();
  await calls.more(20);
  assert.deepEqual(new Set(calls.answers), new Set(["first"]));

  await controlPlane.kill();
  await write(second);
  await calls.more(20);
  await controlPlane.start();
  await eventually("calls go to the second server", () => calls.answers.at(-1) === "second", 30_000);
  await calls.stop();
  assert.deepEqual(new Set(calls.answers), new Set(["first", "second"]), "none has failed");
});

/** Calls one after the other without a pause. An error is an answer too. */
function startCalls(caller: XdsCaller) {
  const answers: string[] = [];
  let stopping = false;
  const running = (async () => {
    while (!stopping) answers.push(await caller.call().catch((error: Error) => error.message));
  })();
  return {
    answers,
    more: (count: number): Promise<void> => {
      const enough = answers.length + count;
      return eventually("calls go on", () => answers.length >= enough);
    },
    stop: (): Promise<void> => {
      stopping = true;
      return running;
    },
  };
}

/** Of admin's /status, what is read here. */
interface Status {
  readonly nodes: readonly { readonly types: readonly { readonly ackedVersion: string }[] }[];
}

async function named(name: string, owner: Owner): Promise<number> {
  const server = await namedServer(name);
  owner.after(() => server.close());
  return server.port;
}

function service(name: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: grpc, port: 80 }] }
---
`;
}

function workload(name: string, app: string, port: number): string {
  return `apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: ${name}, labels: { app: ${app} } }
spec: { addresses: [127.0.0.1], ports: [{ name: grpc, protocol: grpc, port: ${port} }] }
---
`;
}
