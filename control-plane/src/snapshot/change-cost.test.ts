import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { systemClock } from "@heddle/base";
import { MetricsRegistry, SharedMetrics } from "@heddle/telemetry";
import { makeResourceTypes, type ResourceKind, type XdsNode } from "@heddle/xds";
import { XdsClient, xdsDial } from "@heddle/xds/client";
import { XdsServer } from "@heddle/xds/server";
import { eventually, quietLog, quietMetrics } from "@heddle/xds/testing";
import { MessageBudget, NODES_BUDGET } from "../serve/message-budget.ts";
import { type ServedXds, serveXds } from "../serve/serve-xds.ts";
import { mergeItems } from "../source/merge.ts";
import { parseResource } from "../source/parse-resource.ts";
import { readFileText } from "../source/read-file.ts";
import { itemKey, type SourceItem } from "../source/source.ts";
import { Snapshots } from "./snapshots.ts";

/*
 * What a change costs is counted, not timed: recomputed, encoded, sent. Service n is called by the nodes n, n+1 and n+2, so
 * of 20 nodes 3 hold any service but "common", which all call.
 */

const TYPES = makeResourceTypes({ httpFilters: "unchecked" });
const NODES = 20;

describe("what a change costs", () => {
  const open: { close(): unknown }[] = [];
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
  });

  it("one endpoint: one resource is computed, and the nodes whose egress holds it are looked at and told", () => {
    const mesh = new TestMesh();
    const told = mesh.watchAll();
    mesh.change((items) => items.set("w7-1", workload(7, 1, 9)));
    assert.deepEqual(mesh.computed(), { endpoints: 1, snapshot: 3 });
    assert.deepEqual(told(), ["n7", "n8", "n9"]);
  });

  it("one endpoint of a service that all call: one resource is computed for all nodes", () => {
    const mesh = new TestMesh();
    const told = mesh.watchAll();
    mesh.change((items) => items.set("common-1", commonWorkload(9)));
    assert.deepEqual(mesh.computed(), { endpoints: 1, snapshot: NODES });
    assert.equal(told().length, NODES);
  });

  it("one route: one virtual host is encoded, and joined into the route configurations that hold it", () => {
    const mesh = new TestMesh();
    const told = mesh.watchAll();
    mesh.change((items) => items.set("r7", route(7, "5s")));
    assert.deepEqual(mesh.computed(), { "virtual-host": 1, "route-configuration": 3, scope: 3, snapshot: 3 });
    assert.deepEqual(told(), ["n7", "n8", "n9"]);
  });

  it("what is in nobody's egress: nothing", () => {
    const mesh = new TestMesh();
    const told = mesh.watchAll();
    mesh.change((items) => items.set("s30", service(30)).set("w30-1", workload(30, 1)).set("r30", route(30, "5s")));
    assert.deepEqual(mesh.computed(), {});
    assert.deepEqual(told(), []);
  });

  it("a node that comes: its own resources alone; one that goes: nothing", () => {
    const mesh = new TestMesh();
    mesh.watchAll();
    mesh.computed();
    const watch = mesh.snapshots.watch(node(7, "another"), () => {});
    assert.deepEqual(mesh.computed(), {}, "a second instance of a workload gets what the first has");
    watch.close();
    mesh.change((items) => items.set("w7-1", workload(7, 1, 9)));
    assert.deepEqual(mesh.computed(), { endpoints: 1, snapshot: 3 });
  });

  it("egress that grows: that node alone, and only what nobody had before is computed", () => {
    const mesh = new TestMesh();
    const told = mesh.watchAll();
    mesh.change((items) => items.set("n3", caller(3, [10])));
    assert.deepEqual(mesh.computed(), { inbound: 1, "route-configuration": 1, scope: 1, snapshot: 1 });
    assert.deepEqual(told(), ["n3"]);
  });

  it("a service behind a route that appears: those whose routes lead to it", () => {
    const mesh = new TestMesh();
    mesh.change((items) => items.set("r7", route(7, "1s", 40)));
    const told = mesh.watchAll();
    mesh.change((items) => items.set("s40", service(40)));
    assert.deepEqual(mesh.computed(), { cluster: 1, endpoints: 1, scope: 3, snapshot: 3 });
    assert.deepEqual(told(), ["n7", "n8", "n9"]);
  });

  it("on the wire: one endpoint's change is one resource to each node that holds it, and nothing to the others", async () => {
    const mesh = new TestMesh();
    const fleet = await connectAll(mesh, open);
    const before = fleet.sent();
    mesh.change((items) => items.set("w7-1", workload(7, 1, 9)));
    await eventually(() => fleet.sent().endpoints === before.endpoints + 3, "three nodes have it");
    mesh.change((items) => items.set("r12", route(12, "5s"))); // what comes after it would come after anything else
    await eventually(() => fleet.sent().routes === before.routes + 3, "three nodes have the next one");
    const { clusters, listeners } = before;
    assert.deepEqual(fleet.sent(), { clusters, listeners, endpoints: before.endpoints + 3, routes: before.routes + 3 });
    const heard = (): string => fleet.heard("endpoints", "outbound/80/s7.default").join();
    await eventually(() => heard() === "n7,n8,n9", "those three have taken it");
  });

  it("statement 53: all come back at once to another replica, and no resource is sent", {
    timeout: 60_000,
  }, async () => {
    const mesh = new TestMesh();
    const instances = 5; // of each workload: 100 clients
    const fleet = await connectAll(mesh, open, instances);
    const settled = fleet.updates();
    await fleet.replace(mesh.copy());
    await eventually(() => fleet.accepted() === NODES * instances, "all are back");
    const nothing = { clusters: 0, endpoints: 0, listeners: 0, routes: 0 };
    assert.deepEqual(fleet.sent(), nothing);
    assert.equal(fleet.updates(), settled);
    // They follow the new replica, and what they held is what it has.
    fleet.mesh().change((items) => items.set("common-1", commonWorkload(9)));
    await eventually(() => fleet.sent().endpoints === NODES * instances, "all have heard of the change");
    assert.deepEqual(fleet.sent(), { ...nothing, endpoints: NODES * instances });
  });
});

/** A world that is changed item by item, and what is computed of it. */
class TestMesh {
  readonly snapshots = new Snapshots(TYPES);
  readonly #texts: Map<string, string>;
  readonly #items = new Map<string, readonly SourceItem[]>();
  #counted: ReadonlyMap<string, number> = new Map();

  constructor(texts: ReadonlyMap<string, string> = initialTexts()) {
    this.#texts = new Map(texts);
    this.change(() => {});
  }

  /** Another replica that has read the same. */
  copy(): TestMesh {
    return new TestMesh(this.#texts);
  }

  change(edit: (texts: Map<string, string>) => void): void {
    this.computed();
    edit(this.#texts);
    // As sources do it: what has not changed is the same object.
    const items = [...this.#texts.values()].flatMap((text) => {
      let read = this.#items.get(text);
      if (read === undefined) this.#items.set(text, (read = readFileText("mesh.yaml", text, parseResource).items));
      return read;
    });
    assert.equal(new Set(items.map(itemKey)).size, items.length);
    this.snapshots.publish(mergeItems(items, new Map()).world);
  }

  /** Since it was asked the last time. */
  computed(): Record<string, number> {
    const since = [...this.snapshots.computed].map(([kind, n]) => [kind, n - (this.#counted.get(kind) ?? 0)] as const);
    this.#counted = new Map(this.snapshots.computed);
    return Object.fromEntries(since.filter(([, n]) => n > 0));
  }

  /** One node for each caller; returns who has been told of a change. */
  watchAll(): () => string[] {
    const told: string[] = [];
    for (let index = 0; index < NODES; index += 1) this.snapshots.watch(node(index), () => told.push(`n${index}`));
    this.computed();
    return () => told.sort(byNumber);
  }
}

interface Sent {
  readonly clusters: number;
  readonly endpoints: number;
  readonly listeners: number;
  readonly routes: number;
}

/** Real clients of a real server, one for each caller or several. */
async function connectAll(mesh: TestMesh, open: { close(): unknown }[], instances = 1) {
  let server = await serve(mesh, 0);
  open.push({ close: () => server.served.close() });
  const heard = new Set<string>();
  let updates = 0;
  const clients = Array.from({ length: NODES * instances }, (_, index) => {
    const who = node(index % NODES, `i${index}`);
    const client = new XdsClient({
      dial: xdsDial(`127.0.0.1:${server.served.address.port}`),
      node: who,
      variant: "delta",
      types: [TYPES.cluster, TYPES.endpoints, TYPES.listener, TYPES["route-configuration"]],
      clock: systemClock,
      log: quietLog,
      metrics: quietMetrics,
      onUpdate: ({ kind, changed }) => {
        updates += changed.size;
        for (const name of changed.keys()) heard.add(`${kind} ${name} ${who.cluster}`);
        if (kind === "cluster") client.subscribe("endpoints", outbound(changed.keys()));
      },
    });
    client.subscribe("cluster", new Set(["*"]));
    client.subscribe("listener", new Set(["*"]));
    client.subscribe("route-configuration", new Set(["outbound"]));
    open.push(client);
    return client;
  });
  /** Of how many clients all four types have been asked for. */
  const accepted = (): number => server.xds.nodes().filter(({ types }) => types.length === 4).length;
  const hasAll = (client: XdsClient): boolean =>
    client.statuses().filter(({ kind, state }) => kind === "endpoints" && state === "SYNCED").length === 4;
  await eventually(() => accepted() === clients.length && clients.every(hasAll), "all have connected and settled");
  heard.clear();
  return {
    accepted,
    sent: () => server.sent(),
    updates: () => updates,
    mesh: () => mesh,
    heard: (kind: ResourceKind, name: string): string[] =>
      [...heard]
        .filter((line) => line.startsWith(`${kind} ${name} `))
        .map((line) => line.split(" ")[2] ?? "")
        .sort(byNumber),
    async replace(next: TestMesh): Promise<void> {
      const { port } = server.served.address;
      await server.served.close();
      mesh = next;
      server = await serve(next, port);
    },
  };
}

async function serve(
  mesh: TestMesh,
  port: number,
): Promise<{ readonly xds: XdsServer; readonly served: ServedXds; readonly sent: () => Sent }> {
  const registry = new MetricsRegistry();
  const metrics = new SharedMetrics((message) => registry.receive(0, message));
  const xds = new XdsServer({ source: mesh.snapshots, log: quietLog, metrics, clock: systemClock, identifier: "test" });
  const served = await serveXds(
    [xds],
    { host: "127.0.0.1", port },
    { budget: new MessageBudget(NODES_BUDGET), clock: systemClock, log: quietLog, metrics },
  );
  const sent = (): Sent => {
    const of = (type: string): number =>
      registry
        .collect()
        .filter((series) => series.name === "xds_server.resources_sent" && series.labels["type"] === type)
        .reduce((sum, series) => sum + series.value, 0);
    return {
      clusters: of("cluster"),
      endpoints: of("endpoints"),
      listeners: of("listener"),
      routes: of("route-configuration"),
    };
  };
  return { xds, served, sent };
}

function outbound(names: Iterable<string>): Set<string> {
  return new Set([...names].filter((name) => name.startsWith("outbound/")));
}

function initialTexts(): Map<string, string> {
  const texts = new Map<string, string>([
    ["common", service("common")],
    ["common-1", commonWorkload()],
  ]);
  for (let index = 0; index < NODES; index += 1) {
    texts.set(`s${index}`, service(index));
    texts.set(`w${index}-1`, workload(index, 1));
    texts.set(`w${index}-2`, workload(index, 2));
    texts.set(`r${index}`, route(index, "1s"));
    texts.set(`n${index}`, caller(index));
  }
  return texts;
}

function service(which: number | string): string {
  const name = typeof which === "number" ? `s${which}` : which;
  return yaml("v1", "Service", name, { selector: { app: name }, ports: [{ name: "http", port: 80 }] });
}

function workload(which: number, instance: number, change = 0): string {
  const spec = { addresses: [`10.${change}.${which}.${instance}`], ports: [{ name: "http", port: 8080 }] };
  return yaml("heddle.dev/v1", "Workload", `w${which}-${instance}`, spec, { app: `s${which}` });
}

function commonWorkload(change = 0): string {
  const spec = { addresses: [`10.${change}.100.1`], ports: [{ name: "http", port: 8080 }] };
  return yaml("heddle.dev/v1", "Workload", "common-1", spec, { app: "common" });
}

/** The workload that a node is: it calls three services and the common one. */
function caller(which: number, more: readonly number[] = []): string {
  const called = [0, 1, 2].map((step) => (which - step + NODES) % NODES);
  const egress = [...called, ...more].map((index) => `s${index}`);
  return yaml("heddle.dev/v1", "Workload", `n${which}`, {
    addresses: ["127.0.0.1"],
    ports: [{ name: "http", port: 8080, applicationPort: 9080 }],
    egress: [...egress, "common"],
  });
}

function route(which: number, timeout: string, to = which): string {
  return yaml("gateway.networking.k8s.io/v1", "HTTPRoute", `r${which}`, {
    parentRefs: [{ group: "", kind: "Service", name: `s${which}` }],
    rules: [{ backendRefs: [{ name: `s${to}`, port: 80 }], timeouts: { request: timeout } }],
  });
}

function yaml(apiVersion: string, kind: string, name: string, spec: object, labels: object = {}): string {
  return JSON.stringify({ apiVersion, kind, metadata: { name, labels }, spec });
}

function node(index: number, instance = "0"): XdsNode {
  return {
    id: `default/n${index}/${instance}`,
    cluster: `n${index}`,
    metadata: {},
    locality: { region: "", zone: "", subZone: "" },
    userAgentName: "test",
    userAgentVersion: "",
    clientFeatures: [],
  };
}

function byNumber(a: string, b: string): number {
  return Number(a.slice(1)) - Number(b.slice(1));
}
