import assert from "node:assert/strict";
import { test } from "node:test";
import type { AssembledResource } from "@heddle/config";
import type { ResourceStatus } from "@heddle/xds/client";
import { resourceReports } from "./report.ts";

test("what the client accepted and the assembler keeps back is warming, with what it waits for and what serves", () => {
  const [report] = resourceReports([status("a", "SYNCED", "2")], [held("a", "1", ["endpoints/a"])]);
  assert.equal(report?.state, "WARMING");
  assert.equal(report.version, "1", "the version that serves");
  assert.deepEqual(report.waitsFor, ["endpoints/a"]);
});

test("a refusal is told before a warming, and what serves is told as it is", () => {
  const reports = resourceReports(
    [status("b", "NACKED", "1"), status("a", "SYNCED", "1")],
    [held("b", undefined, ["x"])],
  );
  assert.deepEqual(
    reports.map(({ name, state, version }) => `${name} ${state} ${version}`),
    ["a SYNCED 1", "b NACKED "],
  );
});

function status(name: string, state: ResourceStatus["state"], version: string): ResourceStatus {
  return {
    kind: "cluster",
    typeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    name,
    state,
    version,
    errors: [],
    rejectedVersion: "",
    unhonoured: [],
    updatedAtMs: 0,
  };
}

/** A cluster that is warming; `active` is the version that serves. */
function held(name: string, active: string | undefined, waitingFor: readonly string[]): AssembledResource {
  const version = (text: string) => ({ config: {}, version: text, acceptedMs: 0 });
  return {
    kind: "cluster",
    name,
    source: "dynamic",
    active: active === undefined ? undefined : version(active),
    warming: version("2"),
    waitingFor,
  };
}
