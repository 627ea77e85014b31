/** Writes what injection makes of the manifests in test/conformance/injection/goldens. A test fails when it makes something else. */
import { writeFileSync } from "node:fs";
import { goldens } from "../test/harness/injection-goldens.ts";

for (const golden of goldens()) writeFileSync(golden.injectedPath, golden.inject(golden.input));
