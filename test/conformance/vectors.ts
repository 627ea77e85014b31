import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

/**
 * The folder of test vectors that others wrote. `HEDDLE_VECTORS` names it; where that is not set and the default is not
 * there, tests that need it are skipped and say so. A folder that is named must exist.
 */
const named = process.env["HEDDLE_VECTORS"];
const folder = resolve(import.meta.dirname, "../..", named ?? "../shared/vectors");
const exists = existsSync(folder);
if (named !== undefined && !exists) throw new Error(`HEDDLE_VECTORS is "${named}", which does not exist`);

export const vectors = {
  /** For `test(name, { skip: vectors.skip }, …)`. */
  skip: exists ? false : "no test vectors: HEDDLE_VECTORS is not set and the default folder is absent",
  file: (path: string): string => join(folder, path),
} as const;
