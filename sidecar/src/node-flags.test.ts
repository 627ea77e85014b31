import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { NODE_FLAGS } from "./node-flags.ts";

test("this version of Node knows every flag that the sidecar's program is started with", () => {
  const { status, stderr } = spawnSync(process.execPath, [...NODE_FLAGS, "--eval", ""], { encoding: "utf8" });
  assert.deepEqual([status, stderr], [0, ""]);
});
