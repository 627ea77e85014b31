import assert from "node:assert/strict";
import { test } from "node:test";
import type { Log } from "@heddle/telemetry";
import type { ResourceOrigin } from "@heddle/traffic";
import { type ResourceFeed, ResourceSources } from "./resource-sources.ts";

const FILE: ResourceOrigin = { type: "file", path: "/a" };

function scripted(ads = true) {
  const said: string[] = [];
  const feed = (name: string): ResourceFeed => ({
    name,
    subscribe: (kind, names) => said.push(`${name}: ${kind} ${[...names].join(" ")}`),
    statuses: () => [],
    inspect: () => ({ names: name }),
    close: () => said.push(`${name}: closed`),
  });
  const sources = new ResourceSources({
    ads: ads ? feed("ads") : undefined,
    open: (kind, origin) => feed(`${kind} of ${origin.type}`),
    log: { error: (message: string) => said.push(message) } as unknown as Log,
  });
  return { said, sources };
}

test("statement 10: each resource is asked for where its source says, beside the aggregated stream", () => {
  const { said, sources } = scripted();
  sources.subscribe("cluster", new Set(["*"]));
  sources.subscribe("endpoints", new Set(["a"]), { type: "ads" });
  sources.subscribe("endpoints", new Set(["a"]), FILE);
  sources.subscribe("listener", new Set(["*"]), { ...FILE });
  assert.deepEqual(said, [
    "ads: cluster *",
    "ads: endpoints a",
    "endpoints of file: endpoints a",
    "listener of file: listener *",
  ]);
  assert.deepEqual(
    (sources.inspect() as { source: string }[]).map(({ source }) => source),
    ["file /a", "file /a"],
  );
});

test("equal sources of a kind are one feed, which ends with its last name", () => {
  const { said, sources } = scripted();
  sources.subscribe("endpoints", new Set(["a"]), FILE);
  sources.subscribe("endpoints", new Set(["a", "b"]), { ...FILE });
  sources.subscribe("endpoints", new Set(), { ...FILE });
  sources.subscribe("endpoints", new Set(), { ...FILE });
  assert.deepEqual(said.slice(1), [
    "endpoints of file: endpoints a b",
    "endpoints of file: endpoints ",
    "endpoints of file: closed",
  ]);
});

test("a bootstrap without ads_config says so once, where a resource refers to it", () => {
  const { said, sources } = scripted(false);
  sources.subscribe("cluster", new Set());
  sources.subscribe("cluster", new Set(["*"]));
  sources.subscribe("listener", new Set(["*"]));
  assert.deepEqual(said, ["resources are to come from ads, and the bootstrap has no ads_config"]);
});

test("after close nothing is asked for", () => {
  const { said, sources } = scripted();
  sources.subscribe("endpoints", new Set(["a"]), FILE);
  sources.close();
  sources.subscribe("endpoints", new Set(["b"]), FILE);
  assert.deepEqual(said.slice(1), ["endpoints of file: closed"]);
});
