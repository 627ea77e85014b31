import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { BUILD_VERSION, VERSION } from "./version.ts";

test("the version is that of package.json", () => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  assert.equal(VERSION, manifest.version);
});

test("the build has the five parts that Envoy's has", () => {
  assert.match(BUILD_VERSION, new RegExp(`^[0-9a-f]{40}/${VERSION}/(Clean|Modified|Source)/RELEASE/OpenSSL-\\d\\S*$`));
});
