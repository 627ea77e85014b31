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

describe("cluster IPs of services", () => {
  const at = (name: string, addresses: string): string =>
    serviceYaml(name).replace("selector:", `clusterIPs: ${addresses}, selector:`);

  it("that are their own: nothing is wrong", () => {
    assert.deepEqual(
      checkServices(meshOf(at("a", "[10.0.0.1, 'fd00::1']"), at("b", "[10.0.0.2]"), at("c", "[None]"))),
      [],
    );
  });

  it("that two have, in whatever spelling: an error names both, and the first by name has it", () => {
    const mesh = meshOf(at("b", "[10.0.0.2, 'FD00:0::1']"), at("a", "['fd00::1']"));
    assert.deepEqual(
      checkServices(mesh).map(({ severity, file, line, message }) => [severity, `${file}:${line}`, message]),
      [
        [
          "error",
          "test.yaml:2",
          'the cluster IP fd00::1 of "b" is also that of the Service "default/a" in test.yaml:2, whose it stays: by name it comes first',
        ],
      ],
    );
    assert.deepEqual(
      mesh.services.map((service) => mesh.addressesOf(service)),
      [["fd00::1"], ["10.0.0.2"]],
    );
  });
});
