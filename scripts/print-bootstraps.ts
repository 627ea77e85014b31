/** Writes docs/bootstraps.md: what a sidecar says of Envoy's example bootstraps. A test fails when the two differ. */
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { bootstrapsPage, bootstrapVerdicts } from "./bootstraps-page.ts";

const root = join(import.meta.dirname, "..");
const folder = resolve(root, process.env["HEDDLE_VECTORS"] ?? "../shared/vectors", "envoy-bootstraps");
if (!existsSync(folder)) throw new Error(`${folder} does not exist; HEDDLE_VECTORS names the folder of vectors`);
writeFileSync(join(root, "docs/bootstraps.md"), bootstrapsPage(bootstrapVerdicts(folder)));
