import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { HeaderMap, RequestHead } from "@heddle/http";
import { type ClusterConfig, type EndpointsConfig, LiveRuntime, type RouteConfiguration } from "@heddle/traffic";
import { routeConfiguration } from "@heddle/traffic/testing";
import { clusterConfig, endpointsConfig, Harness } from "../http/testing-harness.ts";
import type { UpstreamEnv } from "../upstream/upstream-env.ts";
import { RuntimeBuilder } from "./build-runtime.ts";
import { emptyRuntime, type Runtime, type RuntimeEntry } from "./runtime.ts";

const env = { runtimeValues: new LiveRuntime() } as unknown as UpstreamEnv;
/** Nothing of this kind passes validation. */
const broken = { name: "x" };

function input(routes: Readonly<Record<string, unknown>>, clusters: Readonly<Record<string, unknown>>) {
  const entries = <Config>(configs: Readonly<Record<string, unknown>>) =>
    new Map(
      Object.entries(configs).map(([name, value]) => [name, { hash: JSON.stringify(value), value: value as Config }]),
    );
  return {
    routeConfigurations: entries<RouteConfiguration>(routes),
    clusters: entries<ClusterConfig>(clusters),
    endpoints: new Map<string, RuntimeEntry<EndpointsConfig>>(),
  };
}

function build(next: ReturnType<typeof input>, previous: Runtime) {
  const touched = { routeConfigurations: next.routeConfigurations.keys(), clusters: next.clusters.keys() };
  const builder = new RuntimeBuilder(next, touched, previous, env, () => true);
  Array.from(builder.prepare({ clock: new ManualClock(), leftMs: 1 }));
  const { runtime } = builder.finish();
  return { runtime, refused: builder.refused.map(({ kind, name }) => `${kind}/${name}`) };
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

test("what a step lets go stays with the runtime before, which serves until the step counts", () => {
  const { env } = new Harness();
  const entry = <Value>(value: Value) => ({ hash: JSON.stringify(value), value });
  const world = (clusters: readonly ClusterConfig[], withEndpoints: readonly string[]) => ({
    routeConfigurations: new Map(),
    clusters: new Map(clusters.map((config) => [config.name, entry(config)])),
    endpoints: new Map(withEndpoints.map((name) => [name, entry(endpointsConfig(name, ["10.0.0.1:80"]))])),
  });
  const touched = { routeConfigurations: [], clusters: ["gone", "stays", "emptied", "changed", "secret", "empty"] };
  const slice = { clock: new ManualClock(), leftMs: 1 };
  const names = ["gone", "stays", "emptied", "changed"];
  const first = new RuntimeBuilder(
    world(names.map((name) => clusterConfig(name)), names),
    touched,
    emptyRuntime,
    env,
    () => true,
  ); // biome-ignore format: one list
  Array.from(first.prepare(slice));
  const { runtime: before } = first.finish();
  assert.deepEqual([...before.clusters.keys()], names);

  const changed = clusterConfig("changed", { connectTimeoutMs: 1 });
  const fresh = ["stays", "emptied", "secret", "empty"].map((name) => clusterConfig(name));
  const mayPrepare = ({ name }: ClusterConfig): boolean => name !== "secret";
  const input = world([...fresh, changed], ["stays", "changed", "secret"]);
  const second = new RuntimeBuilder(input, touched, before, env, mayPrepare);
  Array.from(second.prepare(slice));
  const had = (name: string): number | undefined => before.clusters.get(name)?.endpoints?.byKey.size;
  assert.deepEqual(names.map(had), [1, 1, 1, 1], "nothing has gone yet");
  const { runtime, leaving } = second.finish();
  assert.deepEqual([...runtime.clusters.keys()], ["stays", "emptied", "changed", "empty", "secret"]);
  assert.deepEqual(leaving, [before.clusters.get("gone"), before.clusters.get("changed")]);
  assert.equal(runtime.clusters.get("stays"), before.clusters.get("stays"));
  assert.equal(runtime.clusters.get("changed")?.config, changed);
  const has = (name: string): number | undefined => runtime.clusters.get(name)?.endpoints?.byKey.size;
  assert.deepEqual([has("emptied"), has("empty"), has("secret"), has("changed")], [undefined, undefined, 1, 1]);
  const head = new RequestHead("GET", "http", "a", "/", new HeaderMap());
  assert.equal(runtime.clusters.get("empty")?.pick(head).type, "fail", "it does not wait for endpoints");
});
