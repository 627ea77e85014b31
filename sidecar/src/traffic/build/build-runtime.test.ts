import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClusterConfig, LiveRuntime, type RouteConfiguration } from "@heddle/traffic";
import { routeConfiguration } from "@heddle/traffic/testing";
import type { UpstreamEnv } from "../upstream/upstream-env.ts";
import { buildRuntime, NOTHING_PREPARED } from "./build-runtime.ts";
import { emptyRuntime, type Runtime, type RuntimeInput } from "./runtime.ts";

const env = { runtimeValues: new LiveRuntime() } as unknown as UpstreamEnv;
/** Nothing of this kind passes validation. */
const broken = { name: "x" };

function input(routes: Readonly<Record<string, unknown>>, clusters: Readonly<Record<string, unknown>>): RuntimeInput {
  const entries = <Config>(configs: Readonly<Record<string, unknown>>) =>
    new Map(
      Object.entries(configs).map(([name, value]) => [name, { hash: JSON.stringify(value), value: value as Config }]),
    );
  return {
    routeConfigurations: entries<RouteConfiguration>(routes),
    clusters: entries<ClusterConfig>(clusters),
    endpoints: new Map(),
  };
}

function build(next: RuntimeInput, previous: Runtime) {
  const refused: string[] = [];
  const runtime = buildRuntime(next, previous, env, NOTHING_PREPARED, (kind, name) => refused.push(`${kind}/${name}`));
  return { runtime, refused };
}

test("what cannot be built leaves the previous of its name in its place, or nothing, and all else as it is to be", () => {
  const good = routeConfiguration([], { name: "good" });
  const first = build(input({ good, x: routeConfiguration([], { name: "x" }) }, {}), emptyRuntime);
  assert.deepEqual(first.refused, []);
  const other = routeConfiguration([], { name: "good", ignorePortInHostMatching: true });
  const next = build(input({ good: other, x: broken, y: broken }, { c: broken }), first.runtime);
  assert.deepEqual(next.refused, ["route-configuration/x", "route-configuration/y", "cluster/c"]);
  assert.equal(next.runtime.routeTables.get("x"), first.runtime.routeTables.get("x"));
  assert.equal(next.runtime.routeTables.get("good")?.config, other);
  assert.deepEqual([...next.runtime.routeTables.keys(), ...next.runtime.clusters.keys()], ["good", "x"]);
});
