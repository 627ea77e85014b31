import { err, formatIp, ok, parseIp, type Result } from "@heddle/base";
import { ALLOWED_CIDRS, type CidrSelection, formatCidrs, parseCidrs } from "./cidrs.ts";
import { DEFAULT_CAPTURE_PORTS } from "./defaults.ts";
import { ALLOWED_PORTS, formatPorts, type PortSelection, parsePorts } from "./port-ranges.ts";
import type { CaptureSettings } from "./settings.ts";

/** One setting, by the two names under which people state it. */
export interface CaptureOption {
  /** The flag of `heddle capture`, without its dashes. */
  readonly flag: string;
  /** The annotation of a pod under `heddle.dev/`; undefined: only the flag states it. */
  readonly annotation?: string;
  /** What values there are, for people. */
  readonly allowed: string;
  /** What `--help` says of it. */
  readonly help: string;
  /** The settings with it. The error is the part of the text that is wrong. */
  readonly read: (text: string, settings: CaptureSettings) => Result<CaptureSettings, string>;
  /** As `read` takes it. */
  readonly write: (settings: CaptureSettings) => string;
}

/** Every setting there is. Annotations, flags and arguments all go by this table. */
export const CAPTURE_OPTIONS: readonly CaptureOption[] = [
  {
    flag: "mode",
    annotation: "capture",
    help: "how inbound connections reach the sidecar",
    ...oneOf(
      ["redirect", "tproxy", "none"],
      (s) => s.mode,
      (s, mode) => ({ ...s, mode }),
    ),
  },
  {
    flag: "proxy-uid",
    help: "the sidecar's user: what it sends is not captured",
    ...number(
      0xffff_fffe,
      (s) => s.proxyUid,
      (s, proxyUid) => ({ ...s, proxyUid }),
    ),
  },
  {
    flag: "proxy-gid",
    help: "the sidecar's group: what it sends is not captured",
    ...number(
      0xffff_fffe,
      (s) => s.proxyGid,
      (s, proxyGid) => ({ ...s, proxyGid }),
    ),
  },
  {
    flag: "inbound-port",
    help: "where the sidecar takes what others send",
    ...number(
      65_535,
      (s) => s.ports.inbound,
      (s, inbound) => ({ ...s, ports: { ...s.ports, inbound } }),
    ),
  },
  {
    flag: "outbound-port",
    help: "where the sidecar takes what the application sends",
    ...number(
      65_535,
      (s) => s.ports.outbound,
      (s, outbound) => ({ ...s, ports: { ...s.ports, outbound } }),
    ),
  },
  {
    flag: "include-inbound-ports",
    annotation: "include-inbound-ports",
    help: "the application's ports that are captured",
    ...ports(
      (s) => s.inbound.includePorts,
      (s, includePorts) => ({ ...s, inbound: { ...s.inbound, includePorts } }),
    ),
  },
  {
    flag: "exclude-inbound-ports",
    annotation: "exclude-inbound-ports",
    help: "the application's ports that are not",
    ...ports(
      (s) => s.inbound.excludePorts,
      (s, excludePorts) => ({ ...s, inbound: { ...s.inbound, excludePorts } }),
    ),
  },
  {
    flag: "include-outbound-ports",
    annotation: "include-outbound-ports",
    help: "ports of others that are captured",
    ...ports(
      (s) => s.outbound.includePorts,
      (s, includePorts) => ({ ...s, outbound: { ...s.outbound, includePorts } }),
    ),
  },
  {
    flag: "exclude-outbound-ports",
    annotation: "exclude-outbound-ports",
    help: "ports of others that are not",
    ...ports(
      (s) => s.outbound.excludePorts,
      (s, excludePorts) => ({ ...s, outbound: { ...s.outbound, excludePorts } }),
    ),
  },
  {
    flag: "include-outbound-cidrs",
    annotation: "include-outbound-cidrs",
    help: "addresses of others that are captured",
    ...cidrs(
      (s) => s.outbound.includeCidrs,
      (s, includeCidrs) => ({ ...s, outbound: { ...s.outbound, includeCidrs } }),
    ),
  },
  {
    flag: "exclude-outbound-cidrs",
    annotation: "exclude-outbound-cidrs",
    help: "addresses of others that are not",
    ...cidrs(
      (s) => s.outbound.excludeCidrs,
      (s, excludeCidrs) => ({ ...s, outbound: { ...s.outbound, excludeCidrs } }),
    ),
  },
  {
    flag: "capture-dns",
    annotation: "capture-dns",
    help: "whether DNS, UDP and TCP to port 53, is captured",
    ...oneOf(
      ["true", "false"],
      (s) => (s.ports.dns === undefined ? "false" : "true"),
      (s, word) => {
        const dns = word === "true" ? (s.ports.dns ?? DEFAULT_CAPTURE_PORTS.dns) : undefined;
        return { ...s, ports: { ...s.ports, dns } };
      },
    ),
  },
  {
    flag: "dns-port",
    help: "where the sidecar takes DNS",
    ...number(
      65_535,
      (s) => s.ports.dns ?? DEFAULT_CAPTURE_PORTS.dns,
      (s, dns) => ({
        ...s,
        ports: { ...s.ports, dns: s.ports.dns === undefined ? undefined : dns },
      }),
    ),
  },
  {
    flag: "dns-servers",
    help: "the servers whose DNS is captured",
    allowed: '"resolv.conf", "*", or a list of addresses',
    read: readDnsServers,
    write: ({ dnsServers }) => (typeof dnsServers === "string" ? dnsServers : dnsServers.join(",")),
  },
  {
    flag: "inner-interfaces",
    annotation: "inner-interfaces",
    help: "interfaces of virtual machines inside the pod: what comes from there counts as sent by the application",
    allowed: "a list of names of interfaces, at most 15 letters, digits, dots, dashes and underscores each",
    read: readInterfaces,
    write: ({ innerInterfaces }) => innerInterfaces.join(","),
  },
  {
    flag: "ipv4",
    help: "rules for IPv4; auto: where the kernel has it",
    ...oneOf(
      ["auto", "on", "off"],
      (s) => s.ipv4,
      (s, ipv4) => ({ ...s, ipv4 }),
    ),
  },
  {
    flag: "ipv6",
    help: "rules for IPv6; auto: where the kernel has it",
    ...oneOf(
      ["auto", "on", "off"],
      (s) => s.ipv6,
      (s, ipv6) => ({ ...s, ipv6 }),
    ),
  },
];

type Parts = Pick<CaptureOption, "allowed" | "read" | "write">;

function oneOf<const Word extends string>(
  words: readonly Word[],
  get: (settings: CaptureSettings) => Word,
  set: (settings: CaptureSettings, word: Word) => CaptureSettings,
): Parts {
  return {
    allowed: words.join(", "),
    read(text, settings) {
      const word = words.find((each) => each === text);
      return word === undefined ? err(text) : ok(set(settings, word));
    },
    write: get,
  };
}

/** From 1: user 0 would exempt every privileged process of the pod, and there is no port 0. */
function number(
  highest: number,
  get: (settings: CaptureSettings) => number,
  set: (settings: CaptureSettings, value: number) => CaptureSettings,
): Parts {
  return {
    allowed: `1 to ${highest}`,
    read(text, settings) {
      const value = Number(text);
      return /^[0-9]{1,10}$/.test(text) && value >= 1 && value <= highest ? ok(set(settings, value)) : err(text);
    },
    write: (settings) => String(get(settings)),
  };
}

function ports(
  get: (settings: CaptureSettings) => PortSelection,
  set: (settings: CaptureSettings, ports: PortSelection) => CaptureSettings,
): Parts {
  return {
    allowed: ALLOWED_PORTS,
    read(text, settings) {
      const parsed = parsePorts(text);
      return parsed.ok ? ok(set(settings, parsed.value)) : parsed;
    },
    write: (settings) => formatPorts(get(settings)),
  };
}

function cidrs(
  get: (settings: CaptureSettings) => CidrSelection,
  set: (settings: CaptureSettings, cidrs: CidrSelection) => CaptureSettings,
): Parts {
  return {
    allowed: ALLOWED_CIDRS,
    read(text, settings) {
      const parsed = parseCidrs(text);
      return parsed.ok ? ok(set(settings, parsed.value)) : parsed;
    },
    write: (settings) => formatCidrs(get(settings)),
  };
}

function readDnsServers(text: string, settings: CaptureSettings): Result<CaptureSettings, string> {
  if (text === "resolv.conf" || text === "*") return ok({ ...settings, dnsServers: text });
  const dnsServers: string[] = [];
  for (const item of text.split(",")) {
    const address = item.includes("%") ? undefined : parseIp(item.trim());
    if (address === undefined) return err(item.trim());
    dnsServers.push(formatIp(address));
  }
  return ok({ ...settings, dnsServers: [...new Set(dnsServers)].toSorted() });
}

/** Names go into rules as text: nothing that a rule could take for its own. Length: IFNAMSIZ of the kernel, without the zero. */
function readInterfaces(text: string, settings: CaptureSettings): Result<CaptureSettings, string> {
  const names = text === "" ? [] : text.split(",").map((name) => name.trim());
  const wrong = names.find((name) => !/^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/.test(name));
  return wrong === undefined ? ok({ ...settings, innerInterfaces: [...new Set(names)].toSorted() }) : err(wrong);
}
