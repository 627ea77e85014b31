import assert from "node:assert/strict";
import { test } from "node:test";
import { workerHeapMb } from "./worker-heap.ts";

test("the workers share half of the memory limit, each at least 64 MiB and at most 4 GiB", () => {
  const GIB = 1 << 30;
  assert.equal(workerHeapMb(undefined, 1), undefined);
  assert.equal(workerHeapMb(GIB, 1), 512);
  assert.equal(workerHeapMb(GIB, 4), 128);
  assert.equal(workerHeapMb(GIB / 8, 4), 64);
  assert.equal(workerHeapMb(64 * GIB, 1), 4096);
});
