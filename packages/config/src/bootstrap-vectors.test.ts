import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { test } from "node:test";
import { ok } from "@heddle/base";
import { httpFilterRegistry, makeResourceTypes } from "@heddle/xds";
import { readBootstrap } from "./bootstrap.ts";
import { formatDiagnostic } from "./diagnostic.ts";

const named = process.env["HEDDLE_VECTORS"];
const folder = join(named ?? join(import.meta.dirname, "../../../../shared/vectors"), "envoy-bootstraps");
const skip =
  named === undefined && !existsSync(folder) ? "no test vectors here; HEDDLE_VECTORS names their folder" : false;

/** A sidecar with one filter, the router. */
const types = makeResourceTypes({
  httpFilters: httpFilterRegistry([
    {
      name: "envoy.filters.http.router",
      configType: "envoy.extensions.filters.http.router.v3.Router",
      terminal: true,
      parse: (config) => ok(config),
    },
  ]),
});

test("every bootstrap of Envoy's examples is read or refused with places and reasons, and none is a crash", {
  skip,
}, () => {
  const files = globSync("**/*.{yaml,json}", { cwd: folder }).sort();
  assert.ok(files.length > 50, `${folder} holds ${files.length} bootstraps`);
  let read = 0;
  for (const name of files) {
    const file = join(folder, name);
    const result = readBootstrap(relative(folder, file), readFileSync(file, "utf8"), types);
    if (result.ok) read += 1;
    else {
      assert.ok(result.error.length > 0, name);
      for (const diagnostic of result.error) {
        assert.ok(diagnostic.line > 0 && diagnostic.column > 0, formatDiagnostic(diagnostic));
        assert.notEqual(diagnostic.message, "", formatDiagnostic(diagnostic));
      }
    }
  }
  assert.ok(read > 0, "at least one of them uses nothing but what is honoured");
});
