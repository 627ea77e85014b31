import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { eventually } from "../harness/eventually.ts";
import { startMesh } from "../harness/mesh.ts";

const GATEWAY = "gateway.networking.k8s.io";

/** Names of the namespace "pay" for the workload at that port, and of "default" whose requests routes lead there. */
function documents(port: number): string {
  const service = (name: string, namespace: string): string =>
    `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: ${namespace} }\nspec: { ports: [{ name: http, port: 80 }] }\n---\n`;
  const route = (kind: string, version: string, name: string, backends: string): string =>
    `apiVersion: ${GATEWAY}/${version}\nkind: ${kind}\nmetadata: { name: ${name} }\nspec:\n  parentRefs: [{ group: "", kind: Service, name: ${name} }]\n  rules: [{ backendRefs: [${backends}] }]\n---\n`;
  const vault = "{ name: vault, namespace: pay, port: 80 }";
  return (
    ["cash", "split", "calls", "half"].map((name) => service(name, "default")).join("") +
    service("vault", "pay") +
    `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: vault, namespace: pay, labels: { kubernetes.io/service-name: vault } }\naddressType: IPv4\nports: [{ name: http, port: ${port} }]\nendpoints: [{ addresses: [127.0.0.1] }]\n---\n` +
    route("HTTPRoute", "v1", "cash", vault) +
    route("GRPCRoute", "v1", "calls", vault) +
    route("TCPRoute", "v1alpha2", "split", "{ name: stock, port: 80 }") +
    route("HTTPRoute", "v1", "half", `${vault}, { name: stock, port: 80 }`)
  );
}

const GRANT = `apiVersion: ${GATEWAY}/v1beta1
kind: ReferenceGrant
metadata: { name: shop, namespace: pay }
spec:
  from: [{ group: ${GATEWAY}, kind: HTTPRoute, namespace: default }, { group: ${GATEWAY}, kind: GRPCRoute, namespace: default }]
  to: [{ group: "", kind: Service, name: vault }]
`;

test("routes of every kind lead requests, and into another namespace as long as it grants that", async (t) => {
  const mesh = await startMesh("examples/shop", t);
  const { workloads } = mesh.addresses;
  const [web, stock] = ["web", "stock-v1"].map((name) => workloads.find((one) => one.name === name));
  assert.ok(web !== undefined && stock !== undefined);
  const ask = (host: string): Promise<number | undefined> => status(web.outboundPort, host);
  writeFileSync(join(mesh.folder, "more.yaml"), documents(Number(new URL(stock.url).port)));
  await eventually("a TCPRoute leads requests", async () => (await ask("split")) === 200);
  assert.equal(await ask("cash"), 500);
  assert.equal(await ask("calls"), 503);
  const both = async (): Promise<ReadonlySet<unknown>> =>
    new Set(await Promise.all(Array.from({ length: 40 }, () => ask("half"))));
  assert.deepEqual(await both(), new Set([200, 500]), "what is refused is the one's share alone");
  writeFileSync(join(mesh.folder, "grant.yaml"), GRANT);
  await eventually("it is granted", async () => (await ask("cash")) === 200);
  assert.equal(await ask("calls"), 200);
  assert.deepEqual(await both(), new Set([200]));
  rmSync(join(mesh.folder, "grant.yaml"));
  await eventually("the grant is taken back", async () => (await ask("cash")) === 500);
});

/** Of a request to that host by way of a proxy. */
function status(proxyPort: number, host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const target = { port: proxyPort, path: `http://${host}/stock/reed`, headers: { host }, agent: false };
    http
      .get(target, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      })
      .on("error", reject);
  });
}
