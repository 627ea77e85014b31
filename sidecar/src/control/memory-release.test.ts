import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@heddle/base";
import { MemoryRelease } from "./memory-release.ts";

const MB = 1024 * 1024;

test("memory is given back once it has grown, and again only when it has grown again", () => {
  const clock = new ManualClock();
  let used = 100;
  let kept = 20;
  let releases = 0;
  const release = new MemoryRelease(clock, {
    residentBytes: () => (used + kept) * MB,
    release() {
      kept = 0;
      releases++;
    },
  });
  const after = (seconds: number): number => {
    clock.advance(seconds * 1000);
    return releases;
  };
  assert.equal(after(9), 0);
  assert.equal(after(1), 1, "what the start has left");
  kept = 7;
  assert.equal(after(60), 1, "7 MB are not worth it");
  kept = 8;
  assert.equal(after(10), 2);
  used = 60;
  assert.equal(after(10), 2, "it has shrunk by itself");
  kept = 8;
  assert.equal(after(10), 3, "from there on 8 MB count");
  release.stop();
  kept = 50;
  assert.equal(after(60), 3);
});
