import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { emittedFieldsPage } from "./emitted-fields-page.ts";

test("docs/emitted-fields.md is what the tables say", () => {
  assert.equal(readFileSync(join(import.meta.dirname, "../docs/emitted-fields.md"), "utf8"), emittedFieldsPage());
});
