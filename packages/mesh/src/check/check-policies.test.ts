import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDiagnostic } from "@heddle/config";
import { meshOf } from "../model/testing.ts";
import { checkPolicies } from "./check-policies.ts";

const WORKLOADS = `
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: web, labels: { app: web } }
spec: { addresses: [10.0.0.1], ports: [{ name: a, port: 80, applicationPort: 8080 }] }
---
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: db, labels: { app: db } }
spec: { addresses: [10.0.0.2], ports: [{ name: a, protocol: tcp, port: 5432, applicationPort: 15432 }] }
---`;

for (const [what, policies, ...expected] of [
  ["nothing of policies that do what they say", [peer("a", "mtls: { mode: STRICT }"), rules("b", "rules: [{}]")]],
  [
    "that nobody has the labels",
    [peer("a", "selector: { matchLabels: { app: x, tier: y } }")],
    "selects no Workload: none has app=x, tier=y",
  ],
  [
    "that there is no such service",
    [rules("a", "targetRefs: [{ kind: Service, name: x }]")],
    'there is no Service "x" in the namespace "default"',
  ],
  [
    "that nobody has the port",
    [peer("a", "selector: { matchLabels: { app: web } }\n  portLevelMtls: { 8080: { mode: STRICT } }")],
    "portLevelMtls: none of the workloads that it selects has the public port 8080",
  ],
  [
    "which of two for the same counts",
    [peer("b", "mtls: { mode: STRICT }"), peer("a", "mtls: { mode: DISABLE }")],
    'has no effect where the PeerAuthentication "default/a" in test.yaml:2 is for the same workloads: it comes first, by age or by name',
  ],
  [
    "that an ALLOW does not match at a TCP port",
    [rules("a", "rules: [{ to: [{ operation: { methods: [GET] } }] }]")],
    'asks for fields of HTTP, and is for the TCP port 5432 of "db" too: rules that ask for them match nothing there',
  ],
  [
    "that a DENY matches more at a TCP port",
    [rules("a", "action: DENY\n  rules: [{ to: [{ operation: { methods: [GET] } }] }]")],
    'asks for fields of HTTP, and is for the TCP port 5432 of "db" too: rules are asked there without them, and so match more',
  ],
  [
    "that nobody has a token",
    [
      rules(
        "a",
        "selector: { matchLabels: { app: web } }\n  rules: [{ from: [{ source: { requestPrincipals: ['*'] } }] }]",
      ),
    ],
    'asks for a token, and no RequestAuthentication is for the Workload "web": nobody has one there',
  ],
] as const) {
  test(`it is said ${what}`, () => {
    const diagnostics = checkPolicies(meshOf(WORKLOADS, ...policies));
    assert.deepEqual(
      diagnostics.map((one) => formatDiagnostic(one).replace(/^test\.yaml:2:1: /, "")),
      expected,
    );
    assert.ok(diagnostics.every(({ severity }) => severity === "warning"));
  });
}

function peer(name: string, spec: string): string {
  return policy("PeerAuthentication", name, spec);
}

function rules(name: string, spec: string): string {
  return policy("AuthorizationPolicy", name, spec);
}

function policy(kind: string, name: string, spec: string): string {
  return `\napiVersion: heddle.dev/v1\nkind: ${kind}\nmetadata: { name: ${name} }\nspec:\n  ${spec}\n---`;
}
