import { createRequire } from "node:module";
import type * as Dns from "./index.ts";

let code: typeof Dns | undefined;

/** The code of DNS filters, loaded when a configuration first names one. (`#dns`: the bundle has it as a file of its own.) */
export function dnsCode(): typeof Dns {
  code ??= createRequire(import.meta.url)("#dns") as typeof Dns;
  return code;
}
