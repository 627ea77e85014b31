import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { JoinedMesh } from "../harness/joined-mesh.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst } from "../harness/owner.ts";

/* Whole programs with the mesh's own authority. What takes a minute is in test/system/identity-under-load.test.ts. */

test("certificates are renewed and the control plane is killed under load, and no request fails", async (t) => {
  const owner = lastFirst(t);
  // Renewed every 3 s, and good for a minute where the machine is busy: a control plane may take its time to start.
  const often = { svidTtl: "60s", sidecarFlags: ["--svid-renew-at-percent", "5"] };
  const mesh = await JoinedMesh.start(owner, often);
  const load = startLoad(`http://127.0.0.1:${mesh.webOutbound}/`, 20, owner, { headers: { host: "orders" } });
  await eventually("orders knows who calls", () => /URI=spiffe:.*\/sa\/web/.test(load.recent.at(-1) ?? ""));
  await mesh.controlPlane.kill();
  await mesh.controlPlane.start();
  const before = await mesh.least("identity.svid_issued");
  await eventually("all have renewed", async () => (await mesh.least("identity.svid_issued")) > before, 60_000);
  const { requests, failures } = await load.stop();
  t.diagnostic(`${requests} requests`);
  assert.deepEqual([...failures], []);

  interface Status {
    readonly nodes: readonly { readonly id: string; readonly identity?: { readonly spiffeId: string } }[];
  }
  await eventually("heddle status has who they are", async () => {
    const { nodes } = await mesh.controlPlane.status<Status>();
    const shown = nodes.map(({ id, identity }) => `${id} ${identity?.spiffeId}`).toSorted();
    const ids = ["orders", "web"].map((name) => `default/${name}/1 spiffe://cluster.local/ns/default/sa/${name}`);
    return shown.join() === ids.join();
  });
  for (const [name, sidecar] of mesh.sidecars) {
    assert.doesNotMatch(await sidecar.page("/config_dump"), /PRIVATE|hjt_/, name);
    assert.doesNotMatch(await sidecar.page("/inspect"), /PRIVATE|hjt_/, name);
    assert.match(await sidecar.page("/certs"), new RegExp(`spiffe://cluster.local/ns/default/sa/${name}`));
    assert.doesNotMatch(sidecar.log, /PRIVATE|hjt_/, name);
  }
});
