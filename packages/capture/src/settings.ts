import type { CidrSelection } from "./cidrs.ts";
import { DEFAULT_CAPTURE_PORTS, PROXY_UID } from "./defaults.ts";
import type { PortSelection } from "./port-ranges.ts";

/**
 * How inbound connections reach the sidecar. `redirect`: the kernel rewrites the destination, and the sidecar asks for the original one
 * (SO_ORIGINAL_DST). `tproxy`: packets keep their addresses, and the sidecar's socket is transparent. `none`: there are no rules.
 * What the application sends is redirected in both.
 */
export type CaptureMode = "redirect" | "tproxy" | "none";

/** `auto`: where the kernel has that family. */
export type FamilySwitch = "auto" | "on" | "off";

/** Servers whose DNS is captured: those of the pod's resolv.conf, all, or these addresses. */
export type DnsServers = "resolv.conf" | "*" | readonly string[];

/**
 * Which traffic of a pod meets its sidecar. A connection is captured when every `include` admits it and no `exclude` names it.
 * Only TCP, and DNS over UDP.
 */
export interface CaptureSettings {
  readonly mode: CaptureMode;
  /** What this user sends, or this group, is the sidecar's own and not captured. */
  readonly proxyUid: number;
  readonly proxyGid: number;
  /** Where the sidecar listens. `dns` undefined: DNS is not captured. */
  readonly ports: { readonly inbound: number; readonly outbound: number; readonly dns: number | undefined };
  readonly inbound: {
    readonly includePorts: PortSelection;
    readonly excludePorts: PortSelection;
  };
  readonly outbound: {
    readonly includePorts: PortSelection;
    readonly excludePorts: PortSelection;
    readonly includeCidrs: CidrSelection;
    readonly excludeCidrs: CidrSelection;
  };
  readonly dnsServers: DnsServers;
  /** Interfaces of virtual machines or containers inside the pod: what comes from there counts as sent by the application. */
  readonly innerInterfaces: readonly string[];
  readonly ipv4: FamilySwitch;
  readonly ipv6: FamilySwitch;
}

/** Everything, in and out, and DNS. */
export const DEFAULT_CAPTURE_SETTINGS: CaptureSettings = {
  mode: "redirect",
  proxyUid: PROXY_UID,
  proxyGid: PROXY_UID,
  ports: DEFAULT_CAPTURE_PORTS,
  inbound: { includePorts: "*", excludePorts: [] },
  outbound: { includePorts: "*", excludePorts: [], includeCidrs: "*", excludeCidrs: [] },
  dnsServers: "resolv.conf",
  innerInterfaces: [],
  ipv4: "auto",
  ipv6: "auto",
};

/** One thing wrong with what somebody wrote. */
export interface CaptureDiagnostic {
  /** `metadata.annotations["heddle.dev/capture"]`, or a flag, `--capture-mode`. */
  readonly path: string;
  readonly found: string;
  readonly allowed: string;
}

/** `--mode: found "tproxi", allowed: redirect, tproxy, none` */
export function formatCaptureDiagnostic({ path, found, allowed }: CaptureDiagnostic): string {
  return `${path}: found ${JSON.stringify(found)}, allowed: ${allowed}`;
}
