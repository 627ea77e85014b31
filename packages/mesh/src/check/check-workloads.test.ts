import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { meshOf } from "../model/testing.ts";
import { checkWorkloads } from "./check-workloads.ts";

describe("workloads that listen in one place", () => {
  for (const [what, first, second, expected] of [
    ["on loopback with ports of their own", at("[127.0.0.1]", 1), at("[127.0.0.1]", 2), undefined],
    ["with the same public port", at("[10.0.0.1]", 1), at("[10.0.0.1]", 1), "port 1001 of 10.0.0.1"],
    ["with the same port at other addresses", at("[10.0.0.1]", 1), at("[10.0.0.2]", 1), undefined],
    [
      "on loopback with the same application port",
      at("[127.0.0.1]", 1),
      at("[127.0.0.1]", 2, 2001),
      "the application's port 2001 of loopback",
    ],
    ["elsewhere with the same application port", at("[10.0.0.1]", 1), at("[10.0.0.2]", 2, 2001), undefined],
    [
      "on loopback with the same outbound port",
      at("[127.0.0.1]", 1, 2001, 15_001),
      at("['::1']", 2, 2002, 15_001),
      "the outbound port 15001 of loopback",
    ],
    [
      "on loopback, one calling where the other listens",
      at("[127.0.0.1]", 1, 2001, 1002),
      at("[127.0.0.1]", 2),
      "port 1002 of loopback",
    ],
  ] as const) {
    it(`${what}: ${expected === undefined ? "nothing is wrong" : "one warning"}`, () => {
      const diagnostics = checkWorkloads(meshOf(yaml("a", first), yaml("b", second)));
      assert.deepEqual(
        diagnostics.map(({ severity, message }) => `${severity}: ${message}`),
        expected === undefined ? [] : [`warning: ${expected} is also one of the Workload "a" in test.yaml:2`],
      );
    });
  }
});

function at(addresses: string, n: number, applicationPort = 2000 + n, outboundPort = 3000 + n): string {
  return `{ addresses: ${addresses}, ports: [{ name: http, port: ${1000 + n}, applicationPort: ${applicationPort} }], outboundPort: ${outboundPort} }`;
}

function yaml(name: string, spec: string): string {
  return `\napiVersion: heddle.dev/v1\nkind: Workload\nmetadata: { name: ${name} }\nspec: ${spec}\n`;
}
