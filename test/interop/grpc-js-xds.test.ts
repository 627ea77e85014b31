import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, type TestContext, test } from "node:test";
import { Server } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import { type EncodedResource, resourceFromJson, type Snapshot } from "@heddle/xds";
import { XdsServer, xdsServerOptions } from "@heddle/xds/server";
import { quietLog, quietMetrics, SettableSource } from "@heddle/xds/testing";
import { eventually } from "../harness/eventually.ts";
import { closeCallers, listen, namedServer, type XdsCaller, XdsClients } from "./grpc-xds-client.ts";

const clients = new XdsClients({ after });

test("gRPC's own xDS client calls a server through our control plane, and follows its endpoints", async (t) => {
  const [first, second] = [await named("first", t), await named("second", t)];
  const { source, xds, caller: connect } = await controlPlane(t, world([first]));
  const caller = connect("interop/grpc-js/1");
  assert.equal(await caller.call(), "first");

  source.set(world([second]));
  await eventually("calls go to the second server", async () => (await caller.call()) === "second");
  for (let i = 0; i < 20; i += 1) assert.equal(await caller.call(), "second");

  source.set(world([first, second]));
  await eventually("calls go to both servers again", async () => (await caller.call()) === "first");

  const [node] = xds.nodes();
  assert.equal(node?.node.id, "interop/grpc-js/1");
  assert.ok(node?.types.every(({ rejected }) => rejected === undefined));
  assert.deepEqual(node?.types.map(({ typeUrl }) => typeUrl.slice(typeUrl.lastIndexOf(".") + 1)).sort(), [
    "Cluster",
    "ClusterLoadAssignment",
    "Listener",
    "RouteConfiguration",
  ]);
});

test("a call to a name that does not exist yet waits, and is served when the name comes", async (t) => {
  const server = await named("late", t);
  const { source, xds, caller: connect } = await controlPlane(t, { resources: new Map() });
  const caller = connect("interop/grpc-js/2");
  const early = caller.call();
  await eventually("the name is asked for", () => xds.nodes()[0]?.types[0]?.ackedVersion !== "");
  source.set(world([server]));
  assert.equal(await early, "late");
});

test("a resource that the client cannot use is rejected, which is seen here, and the last good one goes on serving", async (t) => {
  const server = await named("good", t);
  const { source, xds, caller: connect } = await controlPlane(t, world([server]));
  const caller = connect("interop/grpc-js/3");
  assert.equal(await caller.call(), "good");
  source.set(world([server], { type: "ORIGINAL_DST", lb_policy: "CLUSTER_PROVIDED" }));
  const rejection = () => xds.nodes()[0]?.types.find(({ rejected }) => rejected !== undefined)?.rejected?.message;
  await eventually("the rejection is seen", () => rejection() !== undefined);
  assert.match(rejection() ?? "", /Unsupported type ORIGINAL_DST/);
  assert.equal(await caller.call(), "good");
});

test("gRPC's own xDS client follows the weights and the priorities of localities, and lets go of removed endpoints", async (t) => {
  const [first, second, spare] = [await named("first", t), await namedServer("second"), await named("spare", t)];
  t.after(() => second.close());
  const near = (weight: number): Locality => ({ name: "near", weight, priority: 0, ports: [first] });
  const far = (weight: number): Locality => ({ name: "far", weight, priority: 0, ports: [second.port] });
  const behind: Locality = { name: "behind", weight: 1, priority: 1, ports: [spare] };
  const { source, xds, caller: connect } = await controlPlane(t, worldOf([near(9), far(1), behind]));
  const caller = connect("interop/grpc-js/4");
  const share = async (): Promise<number> => {
    const answers = await Promise.all(Array.from({ length: 100 }, () => caller.call()));
    assert.ok(!answers.includes("spare"), "a lower priority has nothing to do");
    return answers.filter((answer) => answer === "second").length;
  };
  // Of 100 calls with a share of a tenth, 30 or more are once in 10^8.
  await eventually("both are called", async () => (await share()) > 0);
  assert.ok((await share()) < 30);
  source.set(worldOf([near(1), far(9), behind]));
  await eventually("the weights are followed", async () => (await share()) > 70);

  source.set(worldOf([near(1), behind]));
  await eventually("the endpoint is let go of", async () => (await share()) === 0);
  await second.close();
  assert.equal(await share(), 0, "and nobody asks for it any more");

  source.set(worldOf([{ ...near(1), ports: [] }, behind])); // priorities without a gap, or gRPC rejects them
  await eventually("the lower priority takes over", async () => (await caller.call()) === "spare");
  source.set(worldOf([near(1), behind]));
  await eventually("and gives back", async () => (await caller.call()) === "first");
  assert.ok(xds.nodes()[0]?.types.every(({ rejected }) => rejected === undefined));
});

async function named(name: string, t: TestContext): Promise<number> {
  const server = await namedServer(name);
  t.after(() => server.close());
  return server.port;
}

async function controlPlane(t: TestContext, snapshot: Snapshot) {
  const source = new SettableSource(snapshot);
  const xds = new XdsServer({
    source,
    log: quietLog,
    metrics: quietMetrics,
    clock: systemClock,
    identifier: "interop",
  });
  const server = new Server(xdsServerOptions);
  xds.addTo(server);
  const port = await listen(server);
  const callers: XdsCaller[] = [];
  t.after(async () => {
    await closeCallers(callers, () => xds.nodes().length);
    xds.close();
    server.forceShutdown();
    assert.equal(source.watchers, 0, "every stream has let go of the source");
  });
  const caller = (nodeId: string): XdsCaller => {
    const made = clients.caller({ name: "orders.default:80", controlPlanePort: port, nodeId });
    callers.push(made);
    return made;
  };
  return { source, xds, caller };
}

/** A world in which "orders.default:80" is one cluster with an endpoint on each of the ports. */
function world(ports: readonly number[], cluster: object = {}): Snapshot {
  return worldOf([{ name: "here", weight: 1, priority: 0, ports }], cluster);
}

interface Locality {
  readonly name: string;
  readonly weight: number;
  readonly priority: number;
  readonly ports: readonly number[];
}

function worldOf(localities: readonly Locality[], cluster: object = {}): Snapshot {
  return snapshotOf([
    {
      "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
      name: "orders.default:80",
      api_listener: {
        api_listener: {
          "@type":
            "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
          rds: { config_source: { ads: {}, resource_api_version: "V3" }, route_config_name: "outbound" },
          http_filters: [
            {
              name: "envoy.filters.http.router",
              typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
            },
          ],
        },
      },
    },
    {
      "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
      name: "outbound",
      virtual_hosts: [
        {
          name: "orders",
          domains: ["orders.default:80"],
          routes: [{ match: { prefix: "" }, route: { cluster: "outbound/80/orders.default" } }],
        },
      ],
    },
    {
      "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
      name: "outbound/80/orders.default",
      type: "EDS",
      eds_cluster_config: { eds_config: { ads: {}, resource_api_version: "V3" } },
      lb_policy: "ROUND_ROBIN",
      ...cluster,
    },
    {
      "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
      cluster_name: "outbound/80/orders.default",
      endpoints: localities.map(({ name, weight, priority, ports }) => ({
        locality: { region: name },
        load_balancing_weight: weight,
        priority,
        lb_endpoints: ports.map((port) => ({
          endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
        })),
      })),
    },
  ]);
}

function snapshotOf(documents: readonly object[]): Snapshot {
  const types = new Map<string, Map<string, EncodedResource>>();
  for (const document of documents) {
    const read = resourceFromJson(document);
    assert.ok(read.ok, read.ok ? "" : JSON.stringify(read.error));
    const { type, name, bytes } = read.value;
    const version = createHash("sha256").update(bytes).digest("base64url").slice(0, 16);
    const resources = types.get(type) ?? new Map<string, EncodedResource>();
    types.set(type, resources.set(name, { name, version, bytes }));
  }
  return { resources: types };
}
