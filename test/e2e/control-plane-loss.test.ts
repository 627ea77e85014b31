import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { startLoad } from "../harness/load.ts";
import { startMesh } from "../harness/mesh.ts";

test("statement 9: the control plane killed and started again under load loses no request, and the mesh follows it again", async (t) => {
  const mesh = await startMesh("examples/shop", t);
  const { controlPlane, workloads } = mesh.addresses;
  const web = workloads.find(({ name }) => name === "web");
  assert.ok(web);
  const load = startLoad(web.url, 8, t);
  for (let round = 0; round < 2; round += 1) {
    const before = load.count;
    const status = await nodesOf(controlPlane.adminPort);
    if (round === 0) process.kill(controlPlane.pid, "SIGKILL");
    else process.kill(await pidOf(controlPlane.adminPort), "SIGKILL");
    await eventually("the control plane is gone", async () => (await nodesOf(controlPlane.adminPort)) === undefined);
    await eventually(
      "every node is connected again",
      async () => (await nodesOf(controlPlane.adminPort)) === status,
      30_000,
    );
    assert.ok(load.count > before, "requests went on");
  }

  const file = join(mesh.folder, "shop.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace("weight: 90", "weight: 0"));
  await eventually("a change after the restart is in force", () =>
    load.recent.slice(-50).every((body) => body.includes('"version":"v2"')),
  );
  const { requests, failures } = await load.stop();
  t.diagnostic(`${requests} requests`);
  assert.deepEqual([...failures], []);
});

async function nodesOf(adminPort: number): Promise<number | undefined> {
  try {
    const status = (await (await fetch(`http://127.0.0.1:${adminPort}/status`)).json()) as { nodes: unknown[] };
    return status.nodes.length;
  } catch {
    return undefined;
  }
}

async function pidOf(adminPort: number): Promise<number> {
  const status = (await (await fetch(`http://127.0.0.1:${adminPort}/status`)).json()) as { pid: number };
  return status.pid;
}
