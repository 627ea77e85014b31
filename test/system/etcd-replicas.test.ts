import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { adsBootstrap, type World } from "../harness/control-plane.ts";
import { ControlPlaneProcess } from "../harness/control-plane-process.ts";
import { type Json, socketAddress } from "../harness/envoy-config.ts";
import { etcdctl, noEtcd, startEtcd } from "../harness/etcd.ts";
import { eventually } from "../harness/eventually.ts";
import { startLoad } from "../harness/load.ts";
import { lastFirst, type Owner } from "../harness/owner.ts";
import { spawnSidecar } from "../harness/sidecar.ts";
import { answersAre, swappedWorld } from "../harness/swapped-world.ts";

/* Three control planes on an etcd of three members, a sidecar that knows all three, and load: what may die, dies. */

test("every replica serves what was put to another; any of them, and any member of etcd, may die under load", {
  skip: noEtcd,
}, async (t) => {
  const owner = lastFirst(t);
  const members = await startEtcd(owner, 3);
  const [a, b] = [await named("a", owner), await named("b", owner)];
  const replicas = await startReplicas(
    members.map(({ endpoint }) => endpoint),
    owner,
  );
  const [first, second, third] = replicas as [ControlPlaneProcess, ControlPlaneProcess, ControlPlaneProcess];

  await applied(first, swappedWorld({ to: "a", endpoints: { a: [a], b: [b] } }));
  const sidecar = spawnSidecar(bootstrapOf(replicas), owner);
  await sidecar.untilReady();
  const load = startLoad(`http://127.0.0.1:${await sidecar.port("in")}/`, 4, t);
  owner.after(() => load.stop());
  await answersAre(load, "a", 20_000);
  assert.deepEqual(await nodesOf(replicas), [1, 0, 0]);

  // Put to one that the sidecar does not know.
  await applied(third, swappedWorld({ to: "b", endpoints: { a: [a], b: [b] } }));
  await answersAre(load, "b", 20_000);

  // The one that it follows dies. Another one has the same, in the same versions: nothing is sent.
  const before = await versionsOf(first);
  assert.match(before, /"envoy.config.cluster.v3.Cluster":\s*\{\s*"a"/);
  assert.ok((await resourcesSent(first)) >= 6, "two clusters, their endpoints, a route, a listener");
  await first.kill();
  await eventually("the sidecar follows another", async () => (await nodesOf([second, third])).includes(1), 30_000);
  const next = (await nodesOf([second]))[0] === 1 ? second : third;
  await eventually("which knows its resources", async () => (await versionsOf(next)) !== "{}");
  assert.equal(await versionsOf(next), before);
  assert.equal(await resourcesSent(next), 0);

  // A member of etcd dies, its leader or not; what is put goes on.
  await members[0]!.kill("SIGKILL");
  await applied(second, swappedWorld({ to: "a", endpoints: { a: [a], b: [b] } }));
  await answersAre(load, "a", 20_000);
  members[0]!.start();
  await eventually("it is back", () => etcdctl(members[0]!.endpoint, "endpoint", "health").ok, 30_000);

  // The first one comes again and has everything; then it is the only one.
  await first.start();
  await applied(first, swappedWorld({ to: "b", endpoints: { a: [a], b: [b] } }));
  await answersAre(load, "b", 20_000);
  await Promise.all([second.kill(), third.kill()]);
  await eventually("the sidecar follows the first", async () => (await nodesOf([first]))[0] === 1, 30_000);
  assert.equal(await resourcesSent(first), 0);
  await applied(first, swappedWorld({ to: "a", endpoints: { a: [a], b: [b] } }));
  await answersAre(load, "a", 20_000);

  // All of etcd is gone: what is in force stays, and who puts something is told.
  for (const member of members) await member.kill("SIGKILL");
  const refused = await first.apply(documentsOf(swappedWorld({ to: "b", endpoints: { b: [b] } })));
  assert.equal(refused.status, 503, refused.body);
  await eventually("the trouble is told", async () => /etcd/.test(await diagnosticsOf(first)), 20_000);
  await answersAre(load, "a");

  const { requests, failures } = await load.stop();
  t.diagnostic(`${requests} requests`);
  assert.deepEqual([...failures], []);
});

async function startReplicas(endpoints: readonly string[], owner: Owner): Promise<ControlPlaneProcess[]> {
  // Each begins with another member.
  const replicas = endpoints.map((_, i) => {
    const inTurn = [...endpoints.slice(i), ...endpoints.slice(0, i)];
    return new ControlPlaneProcess(owner, ["--store", `etcd://${inTurn.join()}/mesh`, "--identifier", `replica-${i}`]);
  });
  await Promise.all(replicas.map((replica) => replica.start()));
  return replicas;
}

/** A batch may find no leader; then it is said to be unavailable, and tried again. */
async function applied(replica: ControlPlaneProcess, world: World): Promise<void> {
  await eventually(
    "it is applied",
    async () => {
      const { status, body } = await replica.apply(documentsOf(world));
      assert.ok(status === 200 || status === 503, `${status} ${body}`);
      return status === 200;
    },
    30_000,
  );
}

function documentsOf({ listeners = [], routes = [], clusters = [], endpoints = [] }: World): Json[] {
  const typed = (type: string, resources: readonly Json[]): Json[] =>
    resources.map((resource) => ({ "@type": `type.googleapis.com/envoy.config.${type}`, ...resource }));
  return [
    ...typed("endpoint.v3.ClusterLoadAssignment", endpoints),
    ...typed("cluster.v3.Cluster", clusters),
    ...typed("route.v3.RouteConfiguration", routes),
    ...typed("listener.v3.Listener", listeners),
  ];
}

/** ADS from a cluster whose endpoints are the replicas. */
function bootstrapOf(replicas: readonly ControlPlaneProcess[]): Json {
  const bootstrap = structuredClone(adsBootstrap(0, "delta")) as unknown as Bootstrap;
  const [xds] = bootstrap.static_resources.clusters;
  xds.load_assignment.endpoints = [
    { lb_endpoints: replicas.map(({ xdsPort }) => ({ endpoint: { address: socketAddress(xdsPort) } })) },
  ];
  return bootstrap as unknown as Json;
}

interface Bootstrap {
  readonly static_resources: { readonly clusters: readonly [{ readonly load_assignment: { endpoints: unknown } }] };
}

async function nodesOf(replicas: readonly ControlPlaneProcess[]): Promise<number[]> {
  const status = await Promise.all(replicas.map((replica) => replica.status<{ nodes: unknown[] }>()));
  return status.map(({ nodes }) => nodes.length);
}

async function diagnosticsOf(replica: ControlPlaneProcess): Promise<string> {
  return JSON.stringify((await replica.status<{ diagnostics: unknown }>()).diagnostics);
}

/** Of each resource that the node gets there. */
function versionsOf(replica: ControlPlaneProcess): Promise<string> {
  return replica.page("/config");
}

async function resourcesSent(replica: ControlPlaneProcess): Promise<number> {
  const lines = (await replica.page("/metrics")).split("\n").filter((line) => /resources_sent(_total)?[{ ]/.test(line));
  return lines.filter((line) => !line.startsWith("#")).reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

/** A server that answers with its name. */
async function named(name: string, owner: Owner): Promise<{ readonly port: number }> {
  const server = createServer((_request, response) => response.end(name));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  owner.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as { port: number }).port };
}
