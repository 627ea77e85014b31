import assert from "node:assert/strict";
import { test } from "node:test";
import { statusDetails } from "./status-details.ts";

test("details of a status are what was said, as long as they fit into trailers", () => {
  assert.equal(statusDetails("a.yaml:5:1: é\n100 %"), "a.yaml:5:1: é\n100 %");
  for (const flood of ["x".repeat(100_000), "é".repeat(5000), "😀".repeat(5000), "😀x".repeat(4096)]) {
    const details = statusDetails(flood);
    assert.ok(details.endsWith("…") && encodeURI(details).length <= 4096 + 9, `${encodeURI(details).length}`);
  }
});

test("half a surrogate pair does not stop whoever writes the status", () => {
  assert.equal(encodeURI(statusDetails(`x${"😀".slice(0, 1)}y`)), encodeURI("x\ufffdy"));
});
