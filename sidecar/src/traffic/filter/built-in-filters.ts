import { HttpFilterRegistry } from "@heddle/filter";
import type { FilterModules } from "./filter-modules.ts";
import { routerType } from "./router-type.ts";
import { serveTunnelType } from "./serve-tunnel-type.ts";

/** Every HTTP filter that the sidecar knows. A new one is a file beside this one and a line here. */
export function builtInFilters(modules: FilterModules): HttpFilterRegistry {
  return new HttpFilterRegistry([routerType, serveTunnelType, modules.type]);
}
