import { type Diagnostic, formatDiagnostic } from "@heddle/config/yaml";
import { checkFiles, type FilesCheck } from "../check-files.ts";
import { type Command, UsageError } from "../command.ts";
import { colourOf, type Paint } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";

const help = `Usage: heddle check FILES… [OPTIONS]

Says everything that is wrong with configuration, without a control plane and without a sidecar. FILES are files and
folders: Gateway API resources, Services and Workloads, raw xDS resources, and bootstraps of Envoy. What belongs together
is checked together, as if it lay in one folder; each bootstrap stands for itself. Modules of filters that are named
are loaded, as a sidecar would.

Each line has file:line:column, the field, what was found and what is allowed. A warning is what has no effect.
Ends with 0 when nothing is wrong, 1 when something is, 2 when the command line is wrong or a file cannot be read.

Options:
  --envoy      raw xDS resources are for Envoys: what a sidecar of Heddle would refuse of them is a warning
  --strict     warnings count as errors
  --json       the outcome as JSON
  -h, --help   print this

Examples:
  heddle check examples/shop
  heddle check envoy.yaml --json`;

export const check: Command = {
  name: "check",
  help,
  async run(args) {
    const { values, positionals } = parseCommandLine(args, {
      allowPositionals: true,
      options: { envoy: { type: "boolean" }, strict: { type: "boolean" }, json: { type: "boolean" } },
    });
    if (positionals.length === 0) throw new UsageError("name files or folders, for example examples/shop");
    const outcome = checkFiles(positionals, { forEnvoy: values.envoy === true });
    const strict = values.strict === true;
    if (values.json === true) console.log(JSON.stringify(json(outcome), null, 2));
    else for (const line of formatCheck(outcome, colourOf(process.stdout, process.env))) console.log(line);
    return exitCode(outcome, strict);
  },
};

export function exitCode({ diagnostics }: FilesCheck, strict: boolean): number {
  if (diagnostics.some(isUnreadable)) return 2;
  return diagnostics.some(({ severity }) => strict || severity === "error") ? 1 : 0;
}

function isUnreadable({ line, message }: Diagnostic): boolean {
  return line === 0 && message.startsWith("cannot be read: ");
}

function json({ files, diagnostics }: FilesCheck) {
  const of = (severity: Diagnostic["severity"]) => diagnostics.filter((one) => one.severity === severity);
  const [errors, warnings] = [of("error"), of("warning")];
  return { valid: errors.length === 0, files, errors, warnings };
}

/** A line for each finding, and one that counts them. */
export function formatCheck({ files, diagnostics }: FilesCheck, paint: Paint): string[] {
  const errors = diagnostics.filter(({ severity }) => severity === "error").length;
  const warnings = diagnostics.length - errors;
  const word = (severity: Diagnostic["severity"]): string =>
    severity === "error" ? paint("red", "error") : paint("yellow", "warning");
  const counts = `${plural(files.length, "file")}: ${plural(errors, "error")}, ${plural(warnings, "warning")}`;
  return [
    ...diagnostics.map((diagnostic) => `${word(diagnostic.severity)}: ${formatDiagnostic(diagnostic)}`),
    errors === 0 ? paint("green", counts) : counts,
  ];
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
