import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, renameSync, statSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { Client, type ClientDuplexStream, credentials } from "@grpc/grpc-js";
import { systemClock } from "@heddle/base";
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  decodeDeltaDiscoveryResponse,
  encodeDeltaDiscoveryRequest,
} from "@heddle/proto";
import { ReportClient, type SidecarReport, xdsDial } from "@heddle/xds/client";
import { quietLog, quietMetrics } from "@heddle/xds/testing";
import { adminUrl } from "./admin/serve-admin.ts";
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from "./control-plane.ts";
import { formatHostPort, ListenError } from "./serve/address.ts";

const DELTA_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
const LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener";
const ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";

describe("a control plane", { timeout: 30_000 }, () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });

  /** A control plane on a folder of its own, which `prepare` fills before. */
  const start = async (files: Readonly<Record<string, string>> = {}, folder = "."): Promise<Started> => {
    const root = await mkdtemp(join(tmpdir(), "heddle-control-plane-"));
    ends.push(() => rm(root, { recursive: true }));
    for (const [name, text] of Object.entries(files)) await writeFile(join(root, name), text);
    const controlPlane = await startControlPlane(optionsFor(join(root, folder)));
    ends.push(() => controlPlane.stop());
    return { root, controlPlane };
  };
  const connect = ({ controlPlane }: Started, id: string): Ads => {
    const ads = new Ads(formatHostPort(controlPlane.xdsAddress), id);
    ends.push(() => ads.close());
    return ads;
  };

  it("serves the same over REST, where it has an address for it", async () => {
    const { controlPlane } = await start({ "shop.yaml": SERVICES });
    assert.ok(controlPlane.xdsRestAddress !== undefined);
    const url = `http://${formatHostPort(controlPlane.xdsRestAddress)}/v3/discovery:clusters`;
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ node: { id: "default/stock-1/a" } });
    const poll = () => fetch(url, { method: "POST", headers, body });
    await until(async () => (await poll()).status === 200);
    const { resources } = (await (await poll()).json()) as { resources: { name: string }[] };
    assert.deepEqual(resources.map(({ name }) => name).sort(), [
      "outbound/80/orders.default",
      "outbound/80/stock.default",
    ]);
  });

  it("serves a wrapped resource with its aliases and its time to live, to who knows of that", async () => {
    const started = await start({
      "raw.yaml": `"@type": type.googleapis.com/envoy.service.discovery.v3.Resource
name: routes/shop
aliases: [routes/shop.example, routes/shop.example:80]
ttl: 60s
resource:
  "@type": type.googleapis.com/envoy.config.route.v3.VirtualHost
  name: shop
  domains: [shop.example]
`,
    });
    const ads = connect(started, "default/stock-1/a");
    const hosts = await ads.subscribe("type.googleapis.com/envoy.config.route.v3.VirtualHost", ["routes/shop.example"]);
    assert.deepEqual(
      hosts.resources.map(({ name, aliases, ttlMs }) => [name, aliases, ttlMs]),
      [["routes/shop", ["routes/shop.example", "routes/shop.example:80"], undefined]],
    );
  });

  it("leads a sidecar from listeners to endpoints, and pushes only what changes", async () => {
    const started = await start({ "shop.yaml": SERVICES + route(90), "workloads.yaml": workload("stock-1", 8001) });
    const ads = connect(started, "default/stock-1/a");

    const clusters = await ads.subscribe(CLUSTER);
    assert.deepEqual(namesOf(clusters), ["inbound/8001", "outbound/80/orders.default", "outbound/80/stock.default"]);
    const listeners = await ads.subscribe(LISTENER);
    assert.deepEqual(namesOf(listeners), ["inbound/8001", "outbound"]);
    await ads.subscribe(ROUTES, ["outbound"]);
    assert.deepEqual(namesOf(await ads.subscribe(ENDPOINTS, ["outbound/80/stock.default"])), [
      "outbound/80/stock.default",
    ]);

    await writeFile(join(started.root, "shop.yaml"), SERVICES + route(50));
    const routes = await ads.next();
    assert.deepEqual([routes.typeUrl, namesOf(routes)], [ROUTES, ["outbound"]]);
    ads.acknowledge(routes);

    await writeFile(join(started.root, "more.yaml"), workload("stock-2", 8002));
    const endpoints = await ads.next();
    assert.deepEqual([endpoints.typeUrl, namesOf(endpoints)], [ENDPOINTS, ["outbound/80/stock.default"]]);
    assert.equal(ads.waiting, 0);
  });

  it("pushes nothing before its sources have synchronised", async () => {
    const started = await start({}, "later");
    const ads = connect(started, "default/stock-1/a");
    ads.request({ typeUrl: CLUSTER });
    const url = adminUrl(started.controlPlane.adminAddress);
    assert.equal((await fetch(`${url}/ready`)).status, 503);
    await until(async () => (await statusOf(started)).nodes.length === 1);
    assert.equal(ads.waiting, 0);
    await mkdir(join(started.root, "making"));
    await writeFile(join(started.root, "making/shop.yaml"), SERVICES);
    await rename(join(started.root, "making"), join(started.root, "later"));
    assert.deepEqual(namesOf(await ads.next()), ["outbound/80/orders.default", "outbound/80/stock.default"]);
    assert.equal((await fetch(`${url}/ready`)).status, 200);
  });

  it("keeps serving the last good content of a bad file, and says in its status what is wrong and who refused what", async () => {
    const started = await start({ "shop.yaml": SERVICES + route(90) });
    const ads = connect(started, "default/stock-1/a");
    ads.refuse(await ads.subscribe(CLUSTER, undefined, false), "cluster: a reason");
    await ads.subscribe(ROUTES, ["outbound"]);
    await writeFile(join(started.root, "shop.yaml"), SERVICES + route(-1));
    await until(async () => (await statusOf(started)).diagnostics.length > 0);
    const { diagnostics, nodes } = await statusOf(started);
    assert.match(
      diagnostics[0]?.text ?? "",
      /shop\.yaml:20:\d+: spec\.rules\[0\]\.backendRefs\[0\]\.weight: found -1, allowed: 0 to 1000000$/,
    );
    assert.match(nodes[0]?.types.find(({ type }) => type === "cluster")?.rejected?.message ?? "", /a reason/);
    assert.equal(ads.waiting, 0);
    const shown = (await (
      await fetch(`${adminUrl(started.controlPlane.adminAddress)}/config?node=default/stock-1/a`)
    ).json()) as object;
    assert.ok(JSON.stringify(shown).includes('"weight":90'));

    await writeFile(join(started.root, "shop.yaml"), SERVICES + route(10));
    assert.equal((await ads.next()).typeUrl, ROUTES);
    assert.deepEqual((await statusOf(started)).diagnostics, []);
  });

  it("a node that reconnects with what it has gets nothing again, also from another replica", async () => {
    const files = { "shop.yaml": SERVICES };
    const first = await start(files);
    const held = await connect(first, "default/stock-1/a").subscribe(CLUSTER);
    const versions = new Map(held.resources.map(({ name, version }) => [name, version]));
    const other = await start(files);
    const ads = connect(other, "default/stock-1/a");
    ads.request({ typeUrl: CLUSTER, initialResourceVersions: versions });
    // What is asked next is answered next: nothing has come for the clusters before it.
    ads.request({ typeUrl: ENDPOINTS, resourceNamesSubscribe: ["outbound/80/stock.default"] });
    assert.equal((await ads.next()).typeUrl, ENDPOINTS);
  });

  it("says what a sidecar reports about itself", async () => {
    const started = await start({ "shop.yaml": SERVICES });
    const ads = connect(started, "default/stock-1/a");
    await ads.subscribe(CLUSTER);
    const reports = new ReportClient({ report: () => REPORT, clock: systemClock, log: quietLog });
    const channel = xdsDial(formatHostPort(started.controlPlane.xdsAddress))();
    ends.push(
      () => channel.close(),
      () => reports.close(),
    );
    reports.attach(channel);
    await until(async () => (await statusOf(started)).nodes[0]?.unhonoured !== undefined);
    const [node] = (await statusOf(started)).nodes;
    assert.deepEqual(node?.unhonoured, [{ resource: "orders", path: "lb_policy", note: "has no effect" }]);
    assert.deepEqual(node?.unsettled, [
      { resource: "stock", state: "WARMING", errors: [], waitsFor: ["endpoints/stock"] },
    ]);
  });

  it("names the port that is taken, and leaves nothing behind", async () => {
    const { controlPlane, root } = await start();
    await assert.rejects(
      startControlPlane({ ...optionsFor(root), xdsAddress: controlPlane.xdsAddress }),
      new ListenError("xDS", controlPlane.xdsAddress, "--xds-address", new Error("EADDRINUSE")),
    );
    await assert.rejects(
      startControlPlane({ ...optionsFor(root), adminAddress: controlPlane.adminAddress }),
      /^ListenError: admin: 127\.0\.0\.1:\d+ is taken by another process; choose another with --admin-address$/,
    );
    await assert.rejects(
      startControlPlane({ ...optionsFor(root), xdsAddress: { host: "0.0.0.0", port: 0 } }),
      /loopback/,
    );
  });

  it("X11: admin on a Unix socket is for our own user, and takes the place of one that was left behind", async () => {
    const { root } = await start();
    const path = join(root, "admin.sock");
    const left = createServer().listen(path);
    await once(left, "listening");
    const open = () => startControlPlane({ ...optionsFor(root), adminAddress: { path } });
    await assert.rejects(open(), /^ListenError: admin: unix:.* is taken by another process/);
    renameSync(path, `${path}.kept`); // a server takes its file away when it closes
    await new Promise((resolve) => left.close(resolve));
    renameSync(`${path}.kept`, path);
    const controlPlane = await open();
    try {
      assert.equal(statSync(path).mode & 0o777, 0o600);
      const [answer] = (await once(request({ socketPath: path, path: "/status" }).end(), "response")) as [
        IncomingMessage,
      ];
      answer.resume();
      assert.equal(answer.statusCode, 200);
    } finally {
      await controlPlane.stop();
    }
    assert.equal(existsSync(path), false);
  });

  it("admin answers only GET, and only under a name of this machine", async () => {
    const { controlPlane } = await start();
    const url = adminUrl(controlPlane.adminAddress);
    assert.equal((await fetch(url)).status, 200);
    assert.equal((await fetch(`${url}/nothing`)).status, 404);
    assert.equal((await fetch(`${url}/status`, { method: "POST" })).status, 405);
    assert.equal((await fetch(`${url}/config?node=nobody`)).status, 404);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /^$/);
  });
});

const REPORT: SidecarReport = {
  nodeId: "default/stock-1/a",
  nodeCluster: "stock-1",
  timeMs: 0,
  version: "0.1.0",
  uptimeMs: 1,
  resources: [
    { name: "orders", state: "SYNCED", unhonoured: [{ path: "lb_policy", note: "has no effect" }], waitsFor: [] },
    { name: "stock", state: "WARMING", unhonoured: [], waitsFor: ["endpoints/stock"] },
  ].map((one) => ({
    ...one,
    state: one.state as "SYNCED" | "WARMING",
    typeUrl: CLUSTER,
    version: "1",
    errors: [],
    rejectedVersion: "",
    updatedAtMs: undefined,
  })),
  health: {
    ready: true,
    workers: 1,
    downstreamConnections: 0,
    upstreamConnections: 0,
    requests: 0,
    requests5xx: 0,
    workerRestarts: 0,
    residentBytes: 0,
  },
};

interface Started {
  readonly root: string;
  readonly controlPlane: ControlPlane;
}

interface StatusBody {
  readonly nodes: readonly {
    readonly unhonoured?: unknown;
    readonly unsettled?: unknown;
    readonly types: readonly { readonly type: string; readonly rejected: { readonly message: string } | null }[];
  }[];
  readonly diagnostics: readonly { readonly text: string }[];
}

async function statusOf({ controlPlane }: Started): Promise<StatusBody> {
  return (await (await fetch(`${adminUrl(controlPlane.adminAddress)}/status`)).json()) as StatusBody;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve)); // the test's time limit ends it
}

function optionsFor(folder: string): ControlPlaneOptions {
  const anyPort = { host: "127.0.0.1", port: 0 };
  return {
    folders: [folder],
    xdsAddress: anyPort,
    xdsRestAddress: anyPort,
    adminAddress: anyPort,
    identifier: "test",
    clock: systemClock,
    log: quietLog,
    metrics: quietMetrics,
    collectMetrics: () => [],
  };
}

/** A delta xDS client of plain gRPC. */
class Ads {
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Buffer, Buffer>;
  readonly #id: string;
  readonly #received: DeltaDiscoveryResponse[] = [];
  #wake: () => void = () => {};

  constructor(address: string, id: string) {
    this.#id = id;
    this.#client = new Client(address, credentials.createInsecure());
    const asIs = (bytes: Buffer): Buffer => bytes;
    this.#stream = this.#client.makeBidiStreamRequest(DELTA_ADS, asIs, asIs);
    this.#stream.on("data", (bytes: Buffer) => {
      this.#received.push(decodeDeltaDiscoveryResponse(bytes));
      this.#wake();
    });
    this.#stream.on("error", () => {}); // the end of the server, or of the test
  }

  /** Responses that nobody has taken yet. */
  get waiting(): number {
    return this.#received.length;
  }

  request(request: Partial<DeltaDiscoveryRequest>): void {
    const node = {
      id: this.#id,
      cluster: this.#id.split("/")[1] ?? "",
      metadata: {},
      locality: { region: "", zone: "", subZone: "" },
      userAgentName: "test",
      userAgentVersion: "",
      clientFeatures: [],
    };
    const bytes = encodeDeltaDiscoveryRequest({
      node,
      typeUrl: "",
      resourceNamesSubscribe: [],
      resourceNamesUnsubscribe: [],
      initialResourceVersions: new Map(),
      responseNonce: "",
      errorDetail: undefined,
      ...request,
    });
    this.#stream.write(Buffer.from(bytes));
  }

  async subscribe(typeUrl: string, names: readonly string[] = [], acknowledge = true): Promise<DeltaDiscoveryResponse> {
    this.request({ typeUrl, resourceNamesSubscribe: names });
    const response = await this.next();
    assert.equal(response.typeUrl, typeUrl);
    if (acknowledge) this.acknowledge(response);
    return response;
  }

  acknowledge({ typeUrl, nonce }: DeltaDiscoveryResponse): void {
    this.request({ typeUrl, responseNonce: nonce });
  }

  refuse({ typeUrl, nonce }: DeltaDiscoveryResponse, message: string): void {
    this.request({ typeUrl, responseNonce: nonce, errorDetail: { code: 3, message } });
  }

  async next(): Promise<DeltaDiscoveryResponse> {
    for (;;) {
      const response = this.#received.shift();
      if (response !== undefined) return response;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }
}

function namesOf({ resources }: DeltaDiscoveryResponse): readonly string[] {
  return resources.map(({ name }) => name).sort();
}

const SERVICES = ["orders", "stock"]
  .map(
    (name) =>
      `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec:\n  selector: { app: ${name} }\n  ports: [{ name: http, port: 80 }]\n---\n`,
  )
  .join("");

function route(weight: number): string {
  return `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: stock }\nspec:\n  parentRefs: [{ group: "", kind: Service, name: stock }]\n  rules: [{ backendRefs: [{ name: stock, port: 80, weight: ${weight} }, { name: orders, port: 80, weight: 10 }] }]\n`;
}

function workload(name: string, port: number): string {
  return `apiVersion: heddle.dev/v1\nkind: Workload\nmetadata: { name: ${name}, labels: { app: stock } }\nspec: { addresses: [127.0.0.1], ports: [{ name: http, port: ${port}, applicationPort: ${port + 1000} }] }\n`;
}
