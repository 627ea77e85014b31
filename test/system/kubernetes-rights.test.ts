import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { DEFAULT_INSTALL_SETTINGS, installObjects } from "@heddle/inject/install";
import { newSvidRequest, requestSvid } from "../harness/ca-client.ts";
import { eventually } from "../harness/eventually.ts";
import { KubeApiServer } from "../harness/kube-api-server.ts";
import {
  CLUSTER_CA,
  conditionsOf,
  definition,
  kubeRoute,
  kubeService,
  kubeSlice,
  MESH_DEFINITIONS,
  ownConditions,
  peerPolicy,
  startKubeControlPlane,
  untilEndpoints,
} from "../harness/kube-mesh.ts";
import { lastFirst } from "../harness/owner.ts";
import { scratchFolder } from "../harness/sidecar.ts";

const ACCOUNT = "system:serviceaccount:heddle-system:control-plane";

it("what heddle install allows the control plane is what it needs, and all of it is needed but by webhooks", async (t) => {
  const owner = lastFirst(t);
  const server = await KubeApiServer.start(owner, { rbac: true });
  await server.create({ apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } });
  await server.create(definition(MESH_DEFINITIONS[0]));
  const wanted = new Set([
    "Namespace",
    "CustomResourceDefinition",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
  ]);
  const objects = installObjects(DEFAULT_INSTALL_SETTINGS).filter(({ kind }) => wanted.has(kind as string));
  for (const object of objects) await server.create(object);
  await server.create(kubeService("orders"));
  await server.create(kubeSlice("orders", ["10.1.0.1"]));
  await server.create({ apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "orders", namespace: "shop" } });
  await server.create(kubeRoute("web", "orders", "orders"));
  await server.create(peerPolicy("STRICT"));

  const file = join(scratchFolder(owner), "as-account");
  writeFileSync(file, server.kubeconfigOfToken(server.accountToken("heddle-system", "control-plane")));
  const kubernetes = { kubeconfig: { file, context: undefined }, namespaces: undefined, environment: {} };
  const plane = await startKubeControlPlane(server, owner, { kubernetes, ca: CLUSTER_CA });
  await untilEndpoints(plane, ["10.1.0.1:8080"]);
  const rootOf = () => server.get("v1", "ConfigMap", "shop", "heddle-ca-root");
  await eventually(
    "all is written",
    () => conditionsOf(server, "web").length > 0 && ownConditions(server, "all").length > 0 && rootOf() !== undefined,
  );
  await server.put({ ...rootOf()!, data: { "root.pem": "other" } });
  const pem = await plane.rootPem();
  await eventually("it is put right", () => {
    const data = rootOf()?.["data"] as { "root.pem": string } | undefined;
    return data?.["root.pem"] === pem;
  });
  const id = { trustDomain: "cluster.local", path: "/ns/shop/sa/orders" };
  const token = server.accountToken("shop", "orders", { audiences: ["heddle"] });
  await requestSvid(plane.controlPlane.xdsTlsAddress?.port ?? 0, pem, newSvidRequest(id), { token });
  await eventually("the lease is renewed", () =>
    server.requests.some(({ user, verb, resource }) => user === ACCOUNT && verb === "update" && resource === "leases"),
  );

  const forbidden = server.requests.filter(({ user, status }) => user === ACCOUNT && status === 403);
  assert.deepEqual(
    forbidden.map(({ path }) => path),
    [],
  );
  assert.deepEqual((await plane.status()).diagnostics, []);
  const used = new Set(server.usedRules(ACCOUNT).map(({ role, rule }) => `${role} ${rule}`));
  const unused = objects.flatMap(({ kind, metadata, rules }) => {
    if (kind !== "ClusterRole" && kind !== "Role") return [];
    const { name } = metadata as { name: string };
    return (rules as readonly { readonly apiGroups: readonly string[] }[]).flatMap((rule, index) =>
      used.has(`${name} ${index}`) ? [] : [rule.apiGroups[0]],
    );
  });
  assert.deepEqual(new Set(unused), new Set(["admissionregistration.k8s.io"]));
});
