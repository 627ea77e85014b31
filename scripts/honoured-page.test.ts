import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { honouredPage } from "./honoured-page.ts";

test("docs/honoured.md is what the table says", () => {
  assert.equal(readFileSync(join(import.meta.dirname, "../docs/honoured.md"), "utf8"), honouredPage());
});
