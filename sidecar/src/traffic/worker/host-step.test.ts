import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLaneKey } from "@heddle/config/lanes";
import type { DecodedEntry, DecodedUpdate } from "./config-receiver.ts";
import { HostConfig, HostStep } from "./host-step.ts";

function entry(key: string, hash: string): DecodedEntry {
  return { ...parseLaneKey(key), hash, value: { statName: `stat ${key}`, key } } as unknown as DecodedEntry;
}

function update(changed: readonly DecodedEntry[], ...removed: string[]): DecodedUpdate {
  return { generation: 1, changed, removed: removed.map(parseLaneKey), kinds: new Set() };
}

function commit(config: HostConfig, what: DecodedUpdate): HostStep {
  const step = new HostStep(config);
  Array.from(step.read(what));
  step.commitListeners();
  Array.from(step.commit());
  return step;
}

test("a step is seen through it before it counts, and by everybody once it does", () => {
  const config = new HostConfig();
  commit(config, update([entry("cluster/a", "1"), entry("cluster/b", "1"), entry("endpoints/b", "1")]));
  const step = new HostStep(config);
  Array.from(
    step.read(update([entry("cluster/b", "2"), entry("listener/l", "1")], "cluster/a", "endpoints/b", "secret/sds/x")),
  );
  assert.deepEqual([step.clusters.get("a"), step.endpoints.get("b")], [undefined, undefined]);
  assert.equal(step.clusters.get("b")?.hash, "2");
  assert.deepEqual([...step.touched.clusters], ["a", "b"]);
  assert.deepEqual(step.retiring, ["stat cluster/a"]);
  assert.deepEqual([[...config.clusters.keys()], config.clusters.get("b")?.hash], [["a", "b"], "1"]);
  step.commitListeners();
  assert.ok(config.listeners.has("l"));
  Array.from(step.commit());
  assert.deepEqual([[...config.clusters.keys()], config.clusters.get("b")?.hash], [["b"], "2"]);
  assert.equal(config.endpoints.size, 0);
});

test("what could not be built stays as it was, or away", () => {
  const config = new HostConfig();
  commit(config, update([entry("route-configuration/old", "1"), entry("cluster/old", "1")]));
  const step = new HostStep(config);
  const names = ["old", "new"];
  Array.from(
    step.read(
      update(names.flatMap((name) => [entry(`route-configuration/${name}`, "2"), entry(`cluster/${name}`, "2")])),
    ),
  );
  for (const name of names) {
    step.keep("cluster", name);
    step.keep("route-configuration", name);
  }
  Array.from(step.commit());
  assert.deepEqual(
    [...config.clusters, ...config.routeConfigurations].map(([name, { hash }]) => [name, hash]),
    [["old", "1"], ["old", "1"]],
  ); // biome-ignore format: a table
});
