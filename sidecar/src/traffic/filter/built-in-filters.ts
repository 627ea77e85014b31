import { HttpFilterRegistry } from "@heddle/filter";
import type { FilterModules } from "./filter-modules.ts";
import { healthCheckType } from "./health-check-type.ts";
import { routerType } from "./router-type.ts";
import { serveTunnelType } from "./serve-tunnel-type.ts";

/** Every HTTP filter that the sidecar knows. A new one is a file beside this one and a line here. */
export function builtInFilters(modules: FilterModules): HttpFilterRegistry {
  return new HttpFilterRegistry([routerType, healthCheckType, serveTunnelType, modules.type]);
}
