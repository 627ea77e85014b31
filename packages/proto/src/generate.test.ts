import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { coreDescriptor } from "./gen/core.ts";
import { envoyApiFolder, generate } from "./generate.ts";

const envoyApi = envoyApiFolder();

test("the descriptors are what generate.ts makes of the .proto files", {
  skip: envoyApi === undefined && "@grpc/grpc-js-xds, which has Envoy's .proto files, is not installed",
}, () => {
  for (const [name, text] of generate(envoyApi ?? "")) {
    const checkedIn = readFileSync(new URL(`./gen/${name}`, import.meta.url), "utf8");
    assert.ok(checkedIn === text, `gen/${name} is out of date; run generate.ts`);
  }
});

test("the core descriptor stays within 300 KB", () => {
  assert.ok(coreDescriptor.length <= 300_000, `${coreDescriptor.length} bytes`);
});
