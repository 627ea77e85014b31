import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { startLoad } from "../harness/load.ts";
import { startMesh } from "../harness/mesh.ts";

test("a control plane that hangs is given up, no request is lost, and it is back within 30 s of going on", async (t) => {
  const mesh = await startMesh("examples/shop", t);
  const { controlPlane, workloads } = mesh.addresses;
  const web = workloads.find(({ name }) => name === "web");
  assert.ok(web);
  const load = startLoad(web.url, 4, t);
  const attempts = () => statOf(web.adminPort, "control_plane.connect_attempts");
  const before = await attempts();

  process.kill(controlPlane.pid, "SIGSTOP");
  const stopped = performance.now();
  try {
    await eventually("the sidecar gives it up", async () => (await attempts()) > before, 40_000);
    t.diagnostic(`given up after ${Math.round(performance.now() - stopped)} ms`);
  } finally {
    process.kill(controlPlane.pid, "SIGCONT");
  }
  const resumed = performance.now();
  const isConnected = async () => (await statOf(web.adminPort, "control_plane.connected_state")) === 1;
  await eventually("the sidecar is connected again", isConnected, 30_000);
  t.diagnostic(`back after ${Math.round(performance.now() - resumed)} ms`);
  const { failures } = await load.stop();
  assert.deepEqual([...failures], []);
});

async function statOf(adminPort: number, name: string): Promise<number> {
  const stats = await (await fetch(`http://127.0.0.1:${adminPort}/stats`)).text();
  const line = stats.split("\n").find((text) => text.startsWith(`${name}: `));
  return line === undefined ? 0 : Number(line.slice(name.length + 2));
}
