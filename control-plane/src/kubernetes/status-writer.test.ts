import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { KubeError } from "./kube-error.ts";
import { type StatusChange, StatusWriter } from "./status-writer.ts";
import { ScriptedKubeApi, settle } from "./testing.ts";

test("a status that the API server does not take is tried again by itself, and no other one waits for it", async () => {
  const clock = new ManualClock();
  const api = new ScriptedKubeApi();
  const tried: string[] = [];
  const versions = new Map<string, string>();
  const add = (name: string, refusal?: KubeError): void => {
    versions.set(name, "1");
    api.answers.set(`PATCH /${name}/status`, () => {
      tried.push(name);
      if (refusal !== undefined && versions.get(name) === "1") throw refusal;
      return {};
    });
  };
  const plan = (): StatusChange[] =>
    [...versions].map(([name, resourceVersion]) => ({ path: `/${name}/status`, resourceVersion, status: {} }));
  const writer = new StatusWriter({ api, clock, log: { warn: () => {} } as never, plan, random: () => 0.5 });
  const turn = async (ms: number): Promise<void> => {
    await settle();
    clock.advance(ms);
    await settle();
  };
  add("invalid", new KubeError(422, "Invalid", "too many parents"));
  writer.start();
  for (let step = 0; step < 100; step += 1) await turn(1000);
  const before = tried.length;
  assert.ok(before >= 3 && before <= 12, `${before} tries in 100 s`);

  add("new");
  writer.look();
  await turn(100);
  assert.deepEqual(tried.slice(before), ["new"]);

  versions.set("invalid", "2");
  writer.look();
  await turn(100);
  assert.deepEqual(tried.slice(before), ["new", "invalid"], "another version is tried at once");
  await writer.stop();
  assert.equal(clock.pending, 0);
});

test("while the API server is away nothing is hammered: each try waits longer", async () => {
  const clock = new ManualClock();
  const api = new ScriptedKubeApi();
  let tries = 0;
  api.fault = () => {
    tries += 1;
    return new KubeError(503, "ServiceUnavailable", "etcd is away");
  };
  const plan = (): StatusChange[] =>
    Array.from({ length: 50 }, (_, at) => ({ path: `/${at}/status`, resourceVersion: "1", status: {} }));
  const writer = new StatusWriter({ api, clock, log: { warn: () => {} } as never, plan, random: () => 0.5 });
  writer.start();
  for (let step = 0; step < 100; step += 1) {
    await settle();
    clock.advance(1000);
    await settle();
  }
  assert.ok(tries >= 3 && tries <= 12, `${tries} tries in 100 s`);
  await writer.stop();
  assert.equal(clock.pending, 0);
});
