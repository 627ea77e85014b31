import { type Command, UsageError } from "../command.ts";
import { colourOf } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";
import { API_HELP, API_OPTIONS, apiClient } from "../resources/api-options.ts";
import { parseFor, parseVersion } from "../resources/names.ts";
import { readManifests } from "../resources/read-manifests.ts";
import { EXIT_HELP, formatDiagnostics, formatOutcomes, reportFailure } from "../resources/report.ts";

const help = `Usage: heddle apply -f FILE [-f FILE…] [OPTIONS]

Puts resources into the control plane's store: Services, routes, Workloads, xDS resources, whatever may stand in a
configuration folder. All of them or none: they are checked first, together with what is there, and every fault is told
with file:line:column. What is stored already is left as it is.

Options:
  -f FILE            a file, a folder, or - for standard input; may be given more than once
  --for node.cluster=NAME
                     xDS resources are for the nodes of that cluster alone, in place of those of the same name for all
  --dry-run          check everything, store nothing
  --expect-version N every resource must have this version now; 0: it must not exist
  --strict           warnings are errors: nothing is stored where there are any
  --json             the answer as JSON
${API_HELP}
  -h, --help         print this

${EXIT_HELP}

Examples:
  heddle apply -f examples/shop
  heddle apply -f cluster.yaml --for node.cluster=web --expect-version 12`;

const WORDS = {
  options: {
    ...API_OPTIONS,
    file: { type: "string", short: "f", multiple: true },
    for: { type: "string" },
    "dry-run": { type: "boolean" },
    "expect-version": { type: "string" },
    strict: { type: "boolean" },
    json: { type: "boolean" },
  },
} as const;

export const apply: Command = {
  name: "apply",
  help,
  async run(args) {
    const { values } = parseCommandLine(args, WORDS);
    if (values.file === undefined) throw new UsageError("name files with -f, for example -f examples/shop");
    const expectedVersion = parseVersion(values["expect-version"], "--expect-version");
    const nodeCluster = parseFor(values.for);
    const client = apiClient(values, process.env);
    const request = {
      manifests: readManifests(values.file),
      manager: "heddle apply",
      ...(nodeCluster !== "" && { nodeCluster }),
      ...(expectedVersion !== undefined && { expectedVersion }),
    };
    const dryRun = values["dry-run"] === true;
    const paint = colourOf(process.stderr, process.env);
    if (values.strict === true && !dryRun) {
      const tried = await client.apply({ ...request, dryRun: true });
      if (tried.ok && tried.value.warnings.length > 0) {
        for (const line of formatDiagnostics(tried.value.warnings, paint)) console.error(line);
        console.error(`${paint("red", "error")}: nothing was stored, since warnings are errors (--strict)`);
        return 1;
      }
    }
    const answer = await client.apply({ ...request, ...(dryRun && { dryRun }) });
    if (!answer.ok) return reportFailure(answer.error, paint);
    if (values.json === true) console.log(JSON.stringify(answer.value, null, 2));
    else {
      for (const line of formatDiagnostics(answer.value.warnings, paint)) console.error(line);
      for (const line of formatOutcomes(answer.value, dryRun, colourOf(process.stdout, process.env))) console.log(line);
    }
    return values.strict === true && answer.value.warnings.length > 0 ? 1 : 0;
  },
};
