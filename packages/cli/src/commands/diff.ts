import type { Json } from "@heddle/base";
import { formatYaml } from "@heddle/config/yaml";
import { formatKey, type ResourceOutcome } from "@heddle/control-plane/resource-api";
import { type Command, UsageError } from "../command.ts";
import { colourOf, type Paint } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";
import { API_HELP, API_OPTIONS, apiClient } from "../resources/api-options.ts";
import { parseFor } from "../resources/names.ts";
import { readManifests } from "../resources/read-manifests.ts";
import { EXIT_UNREACHABLE, formatDiagnostics, reportFailure } from "../resources/report.ts";
import { unifiedDiff } from "../resources/unified-diff.ts";

const help = `Usage: heddle diff -f FILE [-f FILE…] [OPTIONS]

Says what heddle apply would change in the control plane's store, as a unified diff of YAML with sorted keys. Stores
nothing. Keys and the like are [redacted] on both sides.

Options:
  -f FILE            a file, a folder, or - for standard input; may be given more than once
  --for node.cluster=NAME
                     as heddle apply
${API_HELP}
  -h, --help         print this

Ends with 0 when nothing would change, 1 when something would, 2 or 3 when it cannot be told.`;

export const diff: Command = {
  name: "diff",
  help,
  async run(args) {
    const { values } = parseCommandLine(args, {
      options: { ...API_OPTIONS, file: { type: "string", short: "f", multiple: true }, for: { type: "string" } },
    });
    if (values.file === undefined) throw new UsageError("name files with -f, for example -f examples/shop");
    const nodeCluster = parseFor(values.for);
    const client = apiClient(values, process.env);
    const paint = colourOf(process.stderr, process.env);
    const answer = await client.apply({
      manifests: readManifests(values.file),
      dryRun: true,
      includeContent: true,
      ...(nodeCluster !== "" && { nodeCluster }),
    });
    if (!answer.ok) return Math.max(EXIT_UNREACHABLE, reportFailure(answer.error, paint)); // 1 says that there is a difference
    for (const line of formatDiagnostics(answer.value.warnings, paint)) console.error(line);
    const changed = answer.value.outcomes.filter(({ outcome }) => outcome !== "unchanged");
    for (const outcome of changed)
      for (const line of diffLines(outcome, colourOf(process.stdout, process.env))) console.log(line);
    return changed.length === 0 ? 0 : 1;
  },
};

export function diffLines({ key, version, before, after }: ResourceOutcome, paint: Paint): readonly string[] {
  const text = (content: unknown): string =>
    content === undefined ? "" : formatYaml(content as Json, { sorted: true });
  const body = unifiedDiff(text(before), text(after));
  const head = [`--- ${version === 0 ? "/dev/null" : `${formatKey(key)} version ${version}`}`, `+++ ${formatKey(key)}`];
  if (body.length === 0) return [...head, "# changed in what is redacted, or in whether it overrides"];
  return [
    ...head,
    ...body.map((line) =>
      line.startsWith("-") ? paint("red", line) : line.startsWith("+") ? paint("green", line) : line,
    ),
  ];
}
