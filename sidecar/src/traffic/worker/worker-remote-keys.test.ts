import assert from "node:assert/strict";
import { test } from "node:test";
import { type JwksNews, type RemoteJwks, remoteJwksKey } from "../filter/jwt/remote-jwks.ts";
import { type JwksQuestion, WorkerRemoteKeys } from "./worker-remote-keys.ts";

const SOURCE: RemoteJwks = {
  cluster: "c",
  uri: "https://a/",
  timeoutMs: 1,
  cacheMs: 1,
  failedRefetchMs: 1,
  retries: { count: 0, baseMs: 1, maxMs: 1 },
};
const KEY = remoteJwksKey(SOURCE);

test("a source is asked for once however many filters want it, and given up with the last of them", async () => {
  const asked: JwksQuestion[] = [];
  const keys = new WorkerRemoteKeys((question) => asked.push(question));
  const heard: string[] = [];
  const hear = (name: string) => (news: JwksNews) => void heard.push(`${name} ${news.outcome} ${news.keys?.length}`);
  const first = keys.subscribe(SOURCE, hear("first"));
  first.refresh(); // which is on its way
  keys.heard({ key: KEY, outcome: "fetched", counts: true, keys: [] });
  const second = keys.subscribe(SOURCE, hear("second"));
  assert.deepEqual(heard, ["first fetched 0"], "never from within");
  await Promise.resolve();
  assert.deepEqual(heard.splice(0), ["first fetched 0", "second told 0"]);
  keys.heard({ key: KEY, outcome: "failed", counts: true });
  keys.heard({ key: "another", outcome: "failed", counts: true });
  assert.deepEqual(heard.splice(0), ["first failed undefined", "second failed undefined"]);
  for (let i = 0; i < 100; i++) first.refresh();
  first.close();
  first.close();
  keys.heard({ key: KEY, outcome: "told", counts: false });
  assert.deepEqual(heard, ["second told undefined"]);
  second.close();
  keys.heard({ key: KEY, outcome: "told", counts: false });
  assert.deepEqual(asked, [
    { ask: "want", source: SOURCE },
    { ask: "refresh", key: KEY },
    { ask: "unwant", key: KEY },
  ]);
});
