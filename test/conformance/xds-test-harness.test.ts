import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readFeature, type Scenario } from "./gherkin.ts";
import { vectors } from "./vectors.ts";
import { type HarnessVariant, type Received, XdsHarness } from "./xds-harness.ts";

/*
 * The features of ii/xds-test-harness against our server over gRPC: each row of each outline in each variant that its tags
 * name. Where a feature speaks of a version, that is the content: our versions are hashes.
 */

const FEATURES = ["subscribing.feature", "unsubcribing.feature", "delta.feature"];
const VARIANTS: readonly HarnessVariant[] = [
  { name: "sotw, aggregated", delta: false, aggregated: true },
  { name: "sotw, a stream for each type", delta: false, aggregated: false },
  { name: "delta, aggregated", delta: true, aggregated: true },
  { name: "delta, a stream for each type", delta: true, aggregated: false },
];

type Act = (harness: XdsHarness, ...words: string[]) => void | Promise<void>;

const STEPS: readonly (readonly [RegExp, Act])[] = [
  [
    /^a target setup with (?:service|multiple services) "(.*?)",(?: each with)? resources "(.*?)", and starting version "(.*?)"$/,
    (harness, services = "", names = "", version = "") => {
      for (const service of list(services)) for (const name of list(names)) harness.change(service, name, version);
    },
  ],
  [/^the Client does a wildcard subscription to "(.*?)"$/, (harness, service = "") => harness.wildcard(service)],
  [
    /^the Client subscribes to resources "(.*?)" for "(.*?)"$/,
    (harness, names = "", service = "") => harness.subscribe(service, list(names)),
  ],
  [
    /^the Client updates subscription to a resource\("(.*?)"\) of "(.*?)" with version ".*?"$/,
    (harness, name = "", service = "") => harness.subscribe(service, [name]),
  ],
  [
    /^the Client unsubscribes from all resources for "(.*?)"$/,
    async (harness, service = "") => {
      harness.subscribe(service, []);
      await harness.settle();
    },
  ],
  [
    /^the Client unsubscribes from resource "(.*?)" for service "(.*?)"$/,
    async (harness, name = "", service = "") => {
      harness.unsubscribe(service, [name]);
      await harness.settle();
    },
  ],
  [
    /^the resource "(.*?)" of service "(.*?)" is updated to version "(.*?)"$/,
    async (harness, name = "", service = "", version = "") => {
      await harness.settle();
      harness.change(service, name, version);
    },
  ],
  [
    /^the resource "(.*?)" is added to the "(.*?)" with version "(.*?)"$/,
    (harness, name = "", service = "", version = "") => harness.change(service, name, version),
  ],
  [
    /^the resource "(.*?)" is removed from the "(.*?)"$/,
    (harness, name = "", service = "") => harness.change(service, name, undefined),
  ],
  [
    /^the Client receives the resources "(.*?)" and version "(.*?)" for "(.*?)"$/,
    async (harness, names = "", version = "", service = "") => {
      const news = await next(harness, service);
      const got = new Map(news.flatMap(({ resources }) => [...resources]));
      assert.deepEqual([...got.keys()].sort(), list(names).sort());
      assert.ok([...got.values()].includes(version), `nothing has version ${version}`);
    },
  ],
  [
    /^the resources "(.*?)" and version "(.*?)" for "(.*?)" came in a single response$/,
    (harness, names = "", version = "", service = "") => {
      const last = harness.responses.findLast((one) => one.service === service);
      assert.deepEqual([...(last?.resources.keys() ?? [])].sort(), list(names).sort());
      assert.ok([...(last?.resources.values() ?? [])].includes(version));
    },
  ],
  [
    /^the Client receives only the resource "(.*?)" and version "(.*?)" for the service "(.*?)"$/,
    async (harness, name = "", version = "", service = "") => {
      const news = await next(harness, service);
      assert.deepEqual(
        news.map(({ resources }) => [...resources]),
        [[[name, version]]],
      );
    },
  ],
  [
    /^the Client receives notice that resource "(.*?)" was removed for service "(.*?)"$/,
    async (harness, name = "", service = "") => {
      const news = await next(harness, service);
      assert.deepEqual(
        news.map(({ removed }) => removed),
        [[name]],
      );
    },
  ],
  [/^the Client does not receive any message from "(.*?)"$/, (harness) => nothingNew(harness)],
  [
    /^the client does not receive resource "(.*?)" of service "(.*?)" at version "(.*?)"$/,
    async (harness, name = "", service = "", version = "") => {
      await nothingNew(harness);
      const all = harness.responses.filter((one) => one.service === service);
      assert.ok(!all.some(({ resources }) => resources.get(name) === version));
    },
  ],
  [
    /^for service "(.*?)", no resource other than "(.*?)" has same (?:version or )?nonce$/,
    (harness, service = "", name = "") => {
      const last = harness.responses.findLast((one) => one.service === service);
      assert.deepEqual([...(last?.versions.keys() ?? [])], [name]);
      const others = harness.responses.filter((one) => one !== last);
      assert.ok(!others.some(({ nonce }) => nonce === last?.nonce));
    },
  ],
  [/^the service never responds more than necessary$/, (harness) => nothingNew(harness)],
];

const scenarios = vectors.skip === false ? FEATURES.flatMap(read) : [];

test("the features of xds-test-harness are there", { skip: vectors.skip }, () => {
  assert.ok(scenarios.length >= 40, `${scenarios.length} rows`);
});

for (const variant of VARIANTS) {
  for (const scenario of scenarios.filter(({ tags }) => appliesTo(variant, tags))) {
    test(`${variant.name}: ${scenario.name}`, async () => {
      const harness = new XdsHarness(variant);
      await harness.start();
      try {
        for (const step of scenario.steps) await take(harness, step);
      } finally {
        await harness.stop();
      }
    });
  }
}

function read(feature: string): Scenario[] {
  return readFeature(readFileSync(vectors.file(`xds-test-harness/${feature}`), "utf8"));
}

function appliesTo({ delta, aggregated }: HarnessVariant, tags: readonly string[]): boolean {
  return tags.includes(delta ? "incremental" : "sotw") && tags.includes(aggregated ? "aggregated" : "non-aggregated");
}

async function take(harness: XdsHarness, step: string): Promise<void> {
  for (const [pattern, act] of STEPS) {
    const match = pattern.exec(step);
    if (match !== null) return act(harness, ...match.slice(1));
  }
  throw new Error(`no step is like: ${step}`);
}

/** The responses of that service that were not expected before, when there is no more to come. */
async function next(harness: XdsHarness, service: string): Promise<readonly Received[]> {
  await harness.settle();
  const news = harness.responses.slice(harness.expected).filter((one) => one.service === service);
  harness.expected += news.length;
  assert.equal(news.length, 1, `${service} sent ${news.length} responses, one is needed`);
  return news;
}

async function nothingNew(harness: XdsHarness): Promise<void> {
  await harness.settle();
  assert.equal(harness.responses.length, harness.expected, "a response that nobody needed");
}

function list(names: string): string[] {
  return names.split(",");
}
