import {
  hasIptablesRules,
  iptablesDifference,
  iptablesRules,
  iptablesUndo,
  NFT_TABLE,
  nftablesDifference,
  nftablesRules,
  nftablesUndo,
  nftTableFamilyOf,
  nftTablesPresent,
  type ResolvedCapture,
} from "@heddle/capture";
import { failureOf, type Toolbox } from "./tool.ts";

/** One way to set rules. Every method throws a `CaptureFailure` where a tool fails. */
export interface Backend {
  readonly name: BackendName;
  /** Undefined: it works here. Else why not. */
  unusable(): string | undefined;
  /** Rules of ours that are in force through this one. */
  isApplied(): boolean;
  /** Makes ours be exactly these, in one transaction for each family and table. */
  apply(capture: ResolvedCapture): void;
  /** Takes ours away; without any: nothing. */
  undo(): void;
  /** What is wrong with the rules in force; undefined: nothing. */
  difference(capture: ResolvedCapture): string | undefined;
  /** What `apply` would feed to which tool where nothing of ours is yet. */
  text(capture: ResolvedCapture): string;
}

/** `iptables` is what the distribution means by it; the others name the variant. */
export const BACKEND_NAMES = ["nft", "iptables", "iptables-nft", "iptables-legacy"] as const;
export type BackendName = (typeof BACKEND_NAMES)[number];

export function backendOf(name: BackendName, tools: Toolbox): Backend {
  return name === "nft" ? nft(tools) : iptables(name, tools);
}

function nft(tools: Toolbox): Backend {
  const run = (args: readonly string[], input?: string): string => {
    const result = tools.run("nft", args, input);
    if (result.status !== "ok") throw failureOf(`nft ${args.join(" ")}`, result);
    return result.stdout;
  };
  const present = () => nftTablesPresent(run(["list", "tables"]));
  return {
    name: "nft",
    unusable() {
      const result = tools.run("nft", ["list", "tables"]);
      return result.status === "ok" ? undefined : failureOf("nft list tables", result).message;
    },
    isApplied: () => present().length > 0,
    apply(capture) {
      run(["-f", "-"], nftablesRules(capture, present()));
    },
    undo() {
      const families = present();
      if (families.length > 0) run(["-f", "-"], nftablesUndo(families));
    },
    difference(capture) {
      const family = nftTableFamilyOf(capture);
      if (!present().includes(family)) return `there is no table ${family} ${NFT_TABLE}`;
      return nftablesDifference(capture, run(["list", "table", family, NFT_TABLE]));
    },
    text: (capture) => `# nft -f -\n${nftablesRules(capture, [])}`,
  };
}

/** Waits 5 s for the lock of iptables-legacy, which on a node kube-proxy takes too. */
const RESTORE = ["--noflush", "-w", "5"];

const FAMILIES = ["ipv4", "ipv6"] as const;

function iptables(name: Exclude<BackendName, "nft">, tools: Toolbox): Backend {
  const tool = (family: "ipv4" | "ipv6", verb: "save" | "restore"): string =>
    `${family === "ipv4" ? name : name.replace("ip", "ip6")}-${verb}`;
  /** Empty where that family has no tool, or the kernel no such tables: nothing of ours can be there. */
  const saved = (family: "ipv4" | "ipv6"): string => tools.run(tool(family, "save"), []).stdout;
  const restore = (family: "ipv4" | "ipv6", text: string): void => {
    if (text === "") return;
    const result = tools.run(tool(family, "restore"), RESTORE, text);
    if (result.status !== "ok") throw failureOf(`${tool(family, "restore")} ${RESTORE.join(" ")}`, result);
  };
  return {
    name,
    unusable() {
      const result = tools.run(tool("ipv4", "save"), []);
      return result.status === "ok" ? undefined : failureOf(tool("ipv4", "save"), result).message;
    },
    isApplied: () => FAMILIES.some((family) => hasIptablesRules(saved(family))),
    apply(capture) {
      for (const family of FAMILIES) restore(family, iptablesRules(capture, family, saved(family)));
    },
    undo() {
      for (const family of FAMILIES) restore(family, iptablesUndo(saved(family)));
    },
    difference(capture) {
      for (const family of FAMILIES) {
        const difference = iptablesDifference(capture, family, saved(family));
        if (difference !== undefined) return difference;
      }
      return undefined;
    },
    text: (capture) =>
      capture.families
        .map((family) => `# ${tool(family, "restore")} --noflush\n${iptablesRules(capture, family, "")}`)
        .join("\n"),
  };
}
