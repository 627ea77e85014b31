/** Writes the chart's templates and kinds in deploy/helm/heddle. A test fails when they differ from what heddle install prints. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { chartFiles } from "../test/harness/deploy-files.ts";

for (const [path, content] of chartFiles()) {
  const file = join(import.meta.dirname, "../deploy/helm/heddle", path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}
