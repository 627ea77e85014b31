import { parseDurationMs, systemClock } from "@heddle/base";
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
import { checkCapture } from "../capture/check-capture.ts";
import { capturePlace } from "../capture/place.ts";
import { CaptureFailure, type Toolbox, toolbox } from "../capture/tool.ts";
import { type Command, UsageError } from "../command.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const BACKENDS = ["auto", ...BACKEND_NAMES] as const;

const help = `Usage: heddle capture [OPTIONS]
       heddle capture --undo [--netns FILE]
       heddle capture --check [--timeout DURATION] [OPTIONS]

Sets the rules by which a pod's traffic meets its sidecar, with nft or, where that is not there, iptables. May be repeated: the
rules are then those of the last time, and what is in force never has a gap. Needs NET_ADMIN in the pod's network namespace.
On a machine of its own, outside of a pod, that namespace is the machine's: all that leaves it goes to the sidecar then, whether one
runs or not, until heddle capture --undo.
What each rule is for: docs/capture.md.

Options, with their defaults:
${optionsHelp()}
  --backend NAME           ${BACKENDS.join(", ")} (auto: nft, else iptables)
  --netns FILE             the namespace: /var/run/netns/NAME, /proc/PID/ns/net (this process's own)
  --resolv-conf FILE       where "resolv.conf" of --dns-servers lies (/etc/resolv.conf)
  --dry-run                prints what would be fed to which tool, and changes nothing
  --undo                   takes away whatever an earlier run has set, by any backend; nothing there is no error
  --verify                 says whether the rules in force are those of the options
  --check                  says whether traffic is captured, by sending some from within: needs no capability, and that the
                           sidecar does not run yet. What a pod's init container does where heddle cni sets the rules
  --timeout DURATION       of --check: how long it may take until it is (30s)
  -h, --help               print this

Ends with 0 when the rules are as asked for, 1 when they are not, 2 when the command line is wrong; --check with 126 when
traffic is not captured.

Examples:
  heddle capture --exclude-outbound-ports=5432 --exclude-outbound-cidrs=169.254.169.254
  heddle capture --mode=tproxy --netns /proc/4711/ns/net --verify`;

export const capture: Command = {
  name: "capture",
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
        check: { type: "boolean", default: false },
        timeout: { type: "string", default: "30s" },
      },
    });
    if (Number(values["dry-run"]) + Number(values.undo) + Number(values.verify) + Number(values.check) > 1)
      throw new UsageError("one of --dry-run, --undo, --verify and --check");
    if (values.check && values.netns !== undefined)
      throw new UsageError("--check: looks from within; enter the namespace with nsenter in place of --netns");
    const timeout = parseDurationMs(values.timeout);
    if (!timeout.ok) throw new UsageError(`--timeout: ${timeout.error}`);
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
      if (values.check) return check(resolved.value, timeout.value);
      return resolved.value === undefined ? undo(tools) : apply(resolved.value, backend, tools);
    });
  },
};

async function tryTo(work: () => number | Promise<number>): Promise<number> {
  try {
    return await work();
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

/** Of its own, so that who looks for pods without rules finds them; Istio's number. */
const NOT_CAPTURED = 126;

async function check(wanted: ResolvedCapture | undefined, timeoutMs: number): Promise<number> {
  if (wanted === undefined) return verify(wanted, toolbox(undefined));
  const isProxy = process.getuid?.() === wanted.proxyUid || process.getgid?.() === wanted.proxyGid;
  const checked = await checkCapture(wanted, { timeoutMs, clock: systemClock, isProxy });
  if (checked.ok) {
    console.log(`what is sent from here is captured (${checked.value.join(" and ")})`);
    return 0;
  }
  console.error(
    `heddle capture: ${checked.error}: the rules of capture are not in force. Where heddle cni sets them, it was not in the node's chain of plugins when this pod started`,
  );
  return NOT_CAPTURED;
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
