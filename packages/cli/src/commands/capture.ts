import {
  CAPTURE_OPTIONS,
  DEFAULT_CAPTURE_SETTINGS,
  formatCaptureDiagnostic,
  type ResolvedCapture,
  resolveCapture,
  routesOf,
  settingsFromFlags,
} from "@heddle/capture";
import { BACKEND_NAMES, backendOf } from "../capture/backend.ts";
import { applyCapture, type BackendChoice, captureDifference, undoCapture } from "../capture/capture-rules.ts";
import { capturePlace } from "../capture/place.ts";
import { CaptureFailure, type Toolbox, toolbox } from "../capture/tool.ts";
import { type Command, UsageError } from "../command.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const BACKENDS = ["auto", ...BACKEND_NAMES] as const;

const help = `Usage: heddle capture [OPTIONS]
       heddle capture --undo [--netns FILE]

Sets the rules by which a pod's traffic meets its sidecar, with nft or, where that is not there, iptables. May be repeated: the
rules are then those of the last time, and what is in force never has a gap. Needs NET_ADMIN in the pod's network namespace.
What each rule is for: docs/capture.md.

Options, with their defaults:
${optionsHelp()}
  --backend NAME           ${BACKENDS.join(", ")} (auto: nft, else iptables)
  --netns FILE             the namespace: /var/run/netns/NAME, /proc/PID/ns/net (this process's own)
  --resolv-conf FILE       where "resolv.conf" of --dns-servers lies (/etc/resolv.conf)
  --dry-run                prints what would be fed to which tool, and changes nothing
  --undo                   takes away whatever an earlier run has set, by any backend; nothing there is no error
  --verify                 says whether the rules in force are those of the options
  -h, --help               print this

Ends with 0 when the rules are as asked for, 1 when they are not, 2 when the command line is wrong.

Examples:
  heddle capture --exclude-outbound-ports=5432 --exclude-outbound-cidrs=169.254.169.254
  heddle capture --mode=tproxy --netns /proc/4711/ns/net --verify`;

export const capture: Command = {
  name: "capture",
  summary: "set the rules by which a pod's traffic meets its sidecar",
  help,
  async run(args) {
    const { values } = parseCommandLine(args, {
      options: {
        ...Object.fromEntries(CAPTURE_OPTIONS.map(({ flag }) => [flag, { type: "string" }] as const)),
        backend: { type: "string", default: "auto" },
        netns: { type: "string" },
        "resolv-conf": { type: "string" },
        "dry-run": { type: "boolean", default: false },
        undo: { type: "boolean", default: false },
        verify: { type: "boolean", default: false },
      },
    });
    if (Number(values["dry-run"]) + Number(values.undo) + Number(values.verify) > 1)
      throw new UsageError("one of --dry-run, --undo and --verify");
    const tools = toolbox(values.netns);
    return tryTo(() => {
      if (values.undo) return undo(tools);
      const settings = settingsFromFlags(
        values as Readonly<Record<string, unknown>> as Readonly<Record<string, string | undefined>>,
      );
      if (!settings.ok) throw new UsageError(settings.error.map(formatCaptureDiagnostic).join("\n"));
      const backend = BACKENDS.find((name) => name === values.backend);
      if (backend === undefined)
        throw new UsageError(`--backend: found "${values.backend}", allowed: ${BACKENDS.join(", ")}`);
      const resolved = resolveCapture(settings.value, capturePlace(values["resolv-conf"] ?? "/etc/resolv.conf"));
      if (!resolved.ok) throw new UsageError(resolved.error);
      if (values["dry-run"]) return print(resolved.value, backend, tools);
      if (values.verify) return verify(resolved.value, tools);
      return resolved.value === undefined ? undo(tools) : apply(resolved.value, backend, tools);
    });
  },
};

function tryTo(work: () => number): number {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CaptureFailure)) throw error;
    console.error(`heddle capture: ${error.message}`);
    return 1;
  }
}

function apply(wanted: ResolvedCapture, choice: BackendChoice, tools: Toolbox): number {
  const { backend, warnings } = applyCapture(wanted, choice, tools);
  for (const warning of warnings) console.error(`heddle capture: warning: ${warning}`);
  const { mode, families, inbound, outbound, dns } = wanted;
  const parts = [inbound && "inbound", outbound && "outbound", dns && "DNS"].filter((part) => part !== undefined);
  console.log(`captured by ${backend}: ${parts.join(", ") || "nothing"} (${mode}, ${families.join(" and ")})`);
  return 0;
}

function undo(tools: Toolbox): number {
  const backends = undoCapture(tools);
  console.log(backends.length === 0 ? "there were no rules" : `rules of ${backends.join(", ")} are gone`);
  return 0;
}

function verify(wanted: ResolvedCapture | undefined, tools: Toolbox): number {
  const difference = wanted === undefined ? undefined : captureDifference(wanted, tools);
  if (difference === undefined) {
    console.log("the rules in force are those of these options");
    return 0;
  }
  console.error(`heddle capture: ${difference}`);
  return 1;
}

function print(wanted: ResolvedCapture | undefined, choice: BackendChoice, tools: Toolbox): number {
  if (wanted === undefined) {
    console.log("# no rules");
    return 0;
  }
  const usable = (name: (typeof BACKEND_NAMES)[number]): boolean => tools.run(name, ["--version"]).status !== "missing";
  const name = choice === "auto" ? (BACKEND_NAMES.find(usable) ?? "nft") : choice;
  console.log(backendOf(name, tools).text(wanted).trimEnd());
  for (const { add } of routesOf(wanted)) console.log(`# ip ${add.join(" ")}`);
  return 0;
}

function optionsHelp(): string {
  return CAPTURE_OPTIONS.map(({ flag, help: text, allowed, write }) => {
    const standard = write(DEFAULT_CAPTURE_SETTINGS);
    return `  ${`--${flag}=…`.padEnd(26)} ${text} (${standard === "" ? "none" : standard})\n${" ".repeat(29)}${allowed}`;
  }).join("\n");
}
