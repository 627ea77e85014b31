import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import type { KubeRequest } from "./kube-client.ts";
import { KubeError } from "./kube-error.ts";
import { RootConfigMaps } from "./root-config-maps.ts";
import { ScriptedKubeApi, settle } from "./testing.ts";

test("a namespace that takes no ConfigMap is tried again by itself, and no other one waits for it", async () => {
  const clock = new ManualClock();
  const api = new ScriptedKubeApi();
  api.define("/api/v1/namespaces", "/api/v1/configmaps");
  const tried: string[] = [];
  let isFull = true;
  const namespaceOf = ({ path }: KubeRequest): string => path.split("/")[4] ?? "";
  const open = (name: string): void => {
    api.answers.set(`POST /api/v1/namespaces/${name}/configmaps`, (request) => {
      tried.push(namespaceOf(request));
      if (name === "full" && isFull) throw new KubeError(403, "Forbidden", "exceeded quota");
      api.put("/api/v1/configmaps", {
        ...(request.body as object),
        metadata: { namespace: name, name: "heddle-ca-root" },
      });
      return {};
    });
    api.put("/api/v1/namespaces", { metadata: { name } });
  };
  const log = { warn: () => {} } as never;
  const roots = new RootConfigMaps({ api, clock, log, namespaces: undefined, rootPem: () => "pem", random: () => 0.5 });
  const turn = async (ms: number): Promise<void> => {
    await settle();
    clock.advance(ms);
    await settle();
  };
  open("full");
  roots.start();
  for (let step = 0; step < 100; step += 1) await turn(1000);
  const before = tried.length;
  assert.ok(before >= 3 && before <= 12, `${before} tries in 100 s`);

  open("new");
  await turn(20);
  assert.deepEqual(tried.slice(before), ["new"]);

  isFull = false;
  for (let step = 0; step < 70; step += 1) await turn(1000);
  assert.deepEqual(tried.slice(before), ["new", "full"]);
  await roots.stop();
  assert.equal(clock.pending, 0);
});
