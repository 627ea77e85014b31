import { createRequire } from "node:module";
import type * as Rbac from "./index.ts";

let code: typeof Rbac | undefined;

/**
 * The code of RBAC filters, loaded when a configuration first names one; reading it has to be answered at once. (`#rbac`: the
 * bundle has it as a file of its own.)
 */
export function rbacCode(): typeof Rbac {
  code ??= createRequire(import.meta.url)("#rbac") as typeof Rbac;
  return code;
}
