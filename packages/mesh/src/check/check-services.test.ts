import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { meshOf, serviceYaml } from "../model/testing.ts";
import { checkServices } from "./check-services.ts";

const WORKLOAD = `
apiVersion: heddle.dev/v1
kind: Workload
metadata: { name: a-1, labels: { app: a } }
spec: { addresses: [10.0.0.1], ports: [{ name: web, port: 8080 }, { name: api, port: 8081 }] }
`;

describe("ports of a service", () => {
  for (const [what, service, expected] of [
    ["that a workload has", serviceYaml("a").replace("port: 80", "port: 80, targetPort: web"), []],
    ["that nobody is there to have", serviceYaml("b"), []],
    [
      "that no workload has",
      serviceYaml("a"),
      ['port 80 of "a" is at none of its workloads; "a-1" has web (8080), api (8081)'],
    ],
    [
      "whose target no workload has",
      serviceYaml("a").replace("port: 80", "port: 80, targetPort: wbe"),
      ['port 80 of "a" (targetPort "wbe") is at none of its workloads; "a-1" has web (8080), api (8081)'],
    ],
  ] as const) {
    it(`${what}: ${expected.length} warnings`, () => {
      const diagnostics = checkServices(meshOf(service, WORKLOAD));
      assert.deepEqual(
        diagnostics.map(({ message }) => message),
        expected,
      );
    });
  }
});
