import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, test } from "node:test";
import { ManualClock } from "@heddle/base";
import { fromProtoJson } from "@heddle/proto";
import { makeResourceTypes, type Snapshot } from "@heddle/xds";
import { RestClient } from "@heddle/xds/client";
import { RestDiscovery } from "@heddle/xds/server";
import { quietLog, quietMetrics, SettableSource, testNode } from "@heddle/xds/testing";
import { type HostPort, ListenError } from "./address.ts";
import { serveRest } from "./serve-rest.ts";

const types = makeResourceTypes({ httpFilters: "unchecked" });
const anyPort = { host: "127.0.0.1", port: 0 };
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

test("statement 77: over HTTP: the first poll brings the resources, the next 304, and other methods are told which is allowed", async () => {
  const { url } = await start();
  const headers = { "content-type": "application/json" };
  const poll = (more: object) =>
    fetch(`${url}/v3/discovery:clusters`, {
      method: "POST",
      headers,
      body: JSON.stringify({ node: { id: "default/web/1" }, ...more }),
    });
  const first = await poll({});
  assert.deepEqual([first.status, first.headers.get("content-type")], [200, "application/json"]);
  const { versionInfo, resources } = (await first.json()) as { versionInfo: string; resources: unknown[] };
  assert.equal(resources.length, 1);
  const second = await poll({ version_info: versionInfo });
  assert.deepEqual([second.status, await second.text()], [304, ""]);
  const get = await fetch(`${url}/v3/discovery:clusters`);
  assert.deepEqual([get.status, get.headers.get("allow")], [405, "POST"]);
});

test("statement 77: a client of ours polls it", async () => {
  const { address, source } = await start();
  const clock = new ManualClock();
  const changed: string[][] = [];
  let told = Promise.withResolvers<void>();
  const client = new RestClient({
    type: types.cluster,
    endpoints: [{ address }],
    host: "control-plane",
    refreshDelayMs: 1000,
    requestTimeoutMs: 10_000,
    origin: { type: "file", path: "/any" },
    node: testNode(),
    clock,
    log: quietLog,
    metrics: quietMetrics,
    random: () => 0,
    onUpdate(update) {
      changed.push([...update.changed.keys()]);
      told.resolve();
    },
  });
  cleanups.push(() => client.close());
  client.subscribe("cluster", new Set(["*"]));
  await told.promise;
  told = Promise.withResolvers();
  source.set(clusters("a", "b"));
  while (clock.pending !== 1) await new Promise<void>((resolve) => setImmediate(resolve));
  clock.advance(1000);
  await told.promise;
  assert.deepEqual(changed, [["a"], ["b"]]);
});

test("a body that is too long is refused before it has all come", async () => {
  const { address } = await start();
  const socket = connect(address.port, address.host);
  cleanups.push(() => socket.destroy());
  socket.write(`POST /v3/discovery:clusters HTTP/1.1\r\nhost: x\r\ncontent-length: ${100 * 1024 * 1024}\r\n\r\n`);
  socket.write(Buffer.alloc(5 * 1024 * 1024, " "));
  const [answer] = (await once(socket, "data")) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 413 /);
});

test("a page of a browser is not answered, whatever name it has for this machine", async () => {
  const { address } = await start();
  const socket = connect(address.port, address.host);
  cleanups.push(() => socket.destroy());
  const body = JSON.stringify({ node: { id: "default/web/1" } });
  socket.write(
    "POST /v3/discovery:secrets HTTP/1.1\r\nhost: evil.example\r\norigin: http://evil.example\r\n" +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const [answer] = (await once(socket, "data")) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 403 /);
});

test("a port without TLS is on loopback only", async () => {
  const rest = new RestDiscovery({
    source: new SettableSource(),
    log: quietLog,
    metrics: quietMetrics,
    identifier: "",
  });
  await assert.rejects(
    serveRest(rest, { host: "0.0.0.0", port: 0 }),
    new ListenError(
      "REST xDS",
      { host: "0.0.0.0", port: 0 },
      "--xds-rest-address",
      new Error("is not loopback, and this port has no TLS"),
    ),
  );
});

async function start(): Promise<{ address: HostPort; url: string; source: SettableSource }> {
  const source = new SettableSource(clusters("a"));
  const rest = new RestDiscovery({ source, log: quietLog, metrics: quietMetrics, identifier: "test" });
  const served = await serveRest(rest, anyPort);
  cleanups.push(() => served.close());
  return { address: served.address, url: `http://127.0.0.1:${served.address.port}`, source };
}

function clusters(...names: readonly string[]): Snapshot {
  const resources = names.map((name) => {
    const bytes = fromProtoJson("envoy.config.cluster.v3.Cluster", {
      name,
      load_assignment: { cluster_name: name },
    });
    assert.ok(bytes.ok);
    return [name, { name, version: "1", bytes: bytes.value }] as const;
  });
  return { resources: new Map([[types.cluster.typeUrl, new Map(resources)]]) };
}
