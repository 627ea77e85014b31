import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { formatDiagnostic } from "@heddle/config";
import { bootstrapsPage, bootstrapVerdicts } from "../../scripts/bootstraps-page.ts";
import { projectRoot } from "../harness/imports.ts";
import { vectors } from "./vectors.ts";

/*
 * Envoy's own example bootstraps: none is a crash, each that is refused is explained field by field, and docs/bootstraps.md
 * counts them. `test/system/envoy-bootstraps.test.ts` starts those that run.
 */

const { skip } = vectors;
const verdicts = skip === false ? bootstrapVerdicts(vectors.file("envoy-bootstraps")) : [];

test("every bootstrap is read, or refused with a place and a reason for each field", { skip }, () => {
  assert.ok(verdicts.length >= 80, `there are ${verdicts.length} bootstraps`);
  for (const { errors, warnings } of verdicts) {
    for (const diagnostic of [...errors, ...warnings]) {
      assert.ok(diagnostic.line > 0 && diagnostic.column > 0, formatDiagnostic(diagnostic));
      assert.ok(diagnostic.path !== "" && diagnostic.message !== "", formatDiagnostic(diagnostic));
    }
  }
});

test("docs/bootstraps.md says what a sidecar says", { skip }, () => {
  const page = readFileSync(join(projectRoot, "docs/bootstraps.md"), "utf8");
  const why = "run node --conditions=heddle-src scripts/print-bootstraps.ts";
  assert.equal(page, bootstrapsPage(verdicts), why);
});
