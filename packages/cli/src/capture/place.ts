import { existsSync } from "node:fs";
import { readSmallFile } from "@heddle/base";
import type { CapturePlace } from "@heddle/capture";

/**
 * What this machine says of itself. The kernel has a family in every network namespace or in none.
 * @param resolvConfPath of the pod; undefined: not known here.
 */
export function capturePlace(resolvConfPath: string | undefined): CapturePlace {
  const text = resolvConfPath === undefined ? undefined : readSmallFile(resolvConfPath, 64 * 1024);
  return {
    hasIpv4: true, // no pod has ever run on a kernel without it
    hasIpv6: existsSync("/proc/self/net/if_inet6"),
    resolvConf: text?.ok === true ? text.value.toString("utf8") : undefined,
  };
}
