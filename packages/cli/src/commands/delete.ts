import { type Command, UsageError } from "../command.ts";
import { colourOf } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";
import { API_HELP, API_OPTIONS, apiClient } from "../resources/api-options.ts";
import { parseFor, parseResourceKey, parseVersion } from "../resources/names.ts";
import { readManifests } from "../resources/read-manifests.ts";
import { EXIT_HELP, formatDiagnostics, formatOutcomes, reportFailure } from "../resources/report.ts";

const help = `Usage: heddle delete TYPE/NAME… [OPTIONS]
       heddle delete -f FILE [OPTIONS]

Takes resources out of the control plane's store: all that are named or none.

Options:
  -f FILE            the resources of a file, a folder, or - for standard input; may be given more than once
  -n NAMESPACE       of a Service, route, Workload or policy (default)
  --for node.cluster=NAME
                     the resources for just that cluster; otherwise those for all nodes
  --dry-run          say what would go, and what would be wrong then
  --expect-version N every resource must have this version now
  --ignore-missing   what is not there is no error
${API_HELP}
  -h, --help         print this

${EXIT_HELP}

Example:
  heddle delete cluster/backend httproute/stock`;

const WORDS = {
  allowPositionals: true,
  options: {
    ...API_OPTIONS,
    file: { type: "string", short: "f", multiple: true },
    namespace: { type: "string", short: "n" },
    for: { type: "string" },
    "dry-run": { type: "boolean" },
    "expect-version": { type: "string" },
    "ignore-missing": { type: "boolean" },
  },
} as const;

export const deleteCommand: Command = {
  name: "delete",
  help,
  async run(args) {
    const { values, positionals } = parseCommandLine(args, WORDS);
    if ((positionals.length === 0) === (values.file === undefined))
      throw new UsageError("name TYPE/NAME, or files with -f");
    const expectedVersion = parseVersion(values["expect-version"], "--expect-version");
    const nodeCluster = parseFor(values.for);
    const client = apiClient(values, process.env);
    const paint = colourOf(process.stderr, process.env);
    let keys = positionals.map((text) => parseResourceKey(text, values.namespace ?? "", nodeCluster));
    if (values.file !== undefined) {
      // What a file holds is what applying it would store.
      const manifests = readManifests(values.file);
      const tried = await client.apply({ manifests, dryRun: true, ...(nodeCluster !== "" && { nodeCluster }) });
      if (!tried.ok) return reportFailure(tried.error, paint);
      keys = tried.value.outcomes.map(({ key }) => key);
    }
    const dryRun = values["dry-run"] === true;
    const answer = await client.delete({
      keys,
      dryRun,
      ignoreMissing: values["ignore-missing"] === true,
      ...(expectedVersion !== undefined && { expectedVersion }),
    });
    if (!answer.ok) return reportFailure(answer.error, paint);
    for (const line of formatDiagnostics(answer.value.warnings, paint)) console.error(line);
    for (const line of formatOutcomes(answer.value, dryRun, colourOf(process.stdout, process.env))) console.log(line);
    return 0;
  },
};
