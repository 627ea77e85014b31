import assert from "node:assert/strict";
import { test } from "node:test";
import { meshOf } from "../model/testing.ts";
import { mtlsMode } from "./mtls-mode.ts";

const WORKLOAD = `
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: w, namespace: shop, labels: { app: w, tier: back } }
spec: { addresses: [10.0.0.1], ports: [{ name: a, port: 80, applicationPort: 8080 }] }
---`;

const MESH = peer("heddle-system/mesh", "mtls: { mode: STRICT }");
const NAMESPACE = peer("shop/namespace", "mtls: { mode: DISABLE }");
const OWN = peer("shop/own", "selector: { matchLabels: { app: w } }\n  mtls: { mode: PERMISSIVE }");

for (const [what, policies, expected] of [
  ["nothing is said", [], "PERMISSIVE"],
  ["the mesh says something", [MESH], "STRICT"],
  ["its namespace says something else than the mesh", [MESH, NAMESPACE], "DISABLE"],
  ["a policy selects it", [MESH, NAMESPACE, OWN], "PERMISSIVE"],
  ["another namespace says something", [peer("other/x", "mtls: { mode: STRICT }")], "PERMISSIVE"],
  [
    "a policy selects others",
    [peer("shop/x", "selector: { matchLabels: { app: v } }\n  mtls: { mode: STRICT }")],
    "PERMISSIVE",
  ],
  [
    "a policy selects by labels of which it has one",
    [peer("shop/x", "selector: { matchLabels: { app: w, tier: front } }\n  mtls: { mode: STRICT }")],
    "PERMISSIVE",
  ],
  [
    "a policy of the root namespace selects it",
    [peer("heddle-system/x", "selector: { matchLabels: { app: w } }\n  mtls: { mode: STRICT }")],
    "STRICT",
  ],
  ["its namespace leaves it open", [MESH, peer("shop/x", "mtls: { mode: UNSET }")], "STRICT"],
  [
    "two of its namespace differ: the older",
    [peer("shop/a", "mtls: { mode: DISABLE }"), peer("shop/b", "mtls: { mode: STRICT }", "2020-01-01T00:00:00Z")],
    "STRICT",
  ],
  [
    "two of one age differ: the first by name",
    [peer("shop/b", "mtls: { mode: DISABLE }"), peer("shop/a", "mtls: { mode: STRICT }")],
    "STRICT",
  ],
  [
    "its own policy says something for the port",
    [
      peer(
        "shop/x",
        "selector: { matchLabels: { app: w } }\n  mtls: { mode: STRICT }\n  portLevelMtls: { 80: { mode: DISABLE } }",
      ),
    ],
    "DISABLE",
  ],
  [
    "its own policy leaves the port open",
    [
      peer(
        "shop/x",
        "selector: { matchLabels: { app: w } }\n  mtls: { mode: STRICT }\n  portLevelMtls: { 80: { mode: UNSET } }",
      ),
    ],
    "STRICT",
  ],
  [
    "its own policy says something for another port",
    [MESH, peer("shop/x", "selector: { matchLabels: { app: w } }\n  portLevelMtls: { 81: { mode: DISABLE } }")],
    "STRICT",
  ],
] as const) {
  test(`a port takes ${expected} where ${what}`, () => {
    const mesh = meshOf(WORKLOAD, ...policies);
    const workload = mesh.workload("shop", "w");
    assert.ok(workload !== undefined);
    assert.equal(mtlsMode(mesh.policiesOf(workload), 80), expected);
  });
}

function peer(key: string, spec: string, created?: string): string {
  const [namespace, name] = key.split("/");
  const time = created === undefined ? "" : `, creationTimestamp: "${created}"`;
  return `
apiVersion: heddle.dev/v1
kind: PeerAuthentication
metadata: { name: ${name}, namespace: ${namespace}${time} }
spec:
  ${spec}
---`;
}
