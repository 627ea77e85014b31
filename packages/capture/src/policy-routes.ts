import { PASSTHROUGH_SOURCE, TPROXY_MARK, TPROXY_ROUTE_TABLE } from "./defaults.ts";
import type { Family, ResolvedCapture } from "./resolve-capture.ts";

/** Something of routing that rules need, as words for `ip`. */
export interface RouteStep {
  readonly family: Family;
  readonly add: readonly string[];
  readonly remove: readonly string[];
  /** Prints `shown` where it is there. */
  readonly show: readonly string[];
  readonly shown: string;
}

/**
 * TPROXY: marked packets are delivered here whatever their destination is. IPv6: the address from which the sidecar sends to the application,
 * since of IPv6 `lo` has `::1` alone.
 */
export function routesOf({ mode, families, inbound }: ResolvedCapture): readonly RouteStep[] {
  if (inbound === undefined) return [];
  const tproxy = mode === "tproxy" ? families.flatMap((family) => TPROXY_ROUTES[family]) : [];
  return families.includes("ipv6") ? [IPV6_SOURCE, ...tproxy] : tproxy;
}

const IPV6_SOURCE: RouteStep = {
  family: "ipv6",
  add: ["-6", "address", "add", `${PASSTHROUGH_SOURCE.ipv6}/128`, "dev", "lo"],
  remove: ["-6", "address", "del", `${PASSTHROUGH_SOURCE.ipv6}/128`, "dev", "lo"],
  show: ["-6", "address", "show", "dev", "lo"],
  shown: `inet6 ${PASSTHROUGH_SOURCE.ipv6}/128`,
};

const TPROXY_ROUTES: Readonly<Record<Family, readonly RouteStep[]>> = {
  ipv4: tproxyRoutes("ipv4", "-4"),
  ipv6: tproxyRoutes("ipv6", "-6"),
};

/** All that rules may ever need: what is not among those of the settings is taken away. */
export const ALL_ROUTES: readonly RouteStep[] = [IPV6_SOURCE, ...TPROXY_ROUTES.ipv4, ...TPROXY_ROUTES.ipv6];

function tproxyRoutes(family: Family, flag: string): readonly RouteStep[] {
  const mark = `0x${TPROXY_MARK.toString(16)}`;
  const table = String(TPROXY_ROUTE_TABLE);
  const rule = ["fwmark", mark, "lookup", table];
  const route = ["local", "default", "dev", "lo", "table", table];
  return [
    {
      family,
      add: [flag, "rule", "add", ...rule],
      remove: [flag, "rule", "del", ...rule],
      show: [flag, "rule", "show"],
      shown: `from all fwmark ${mark} lookup ${table}`,
    },
    {
      family,
      add: [flag, "route", "add", ...route],
      remove: [flag, "route", "del", ...route],
      show: [flag, "route", "show", "table", table],
      shown: "local default dev lo",
    },
  ];
}
