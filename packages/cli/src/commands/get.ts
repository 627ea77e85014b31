import { formatKey, type StoredResource } from "@heddle/control-plane/resource-api";
import { type Command, UsageError } from "../command.ts";
import { colourOf } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";
import { API_HELP, API_OPTIONS, apiClient } from "../resources/api-options.ts";
import { parseFor, parseResourceKey, parseResourceName } from "../resources/names.ts";
import { EXIT_HELP, reportFailure } from "../resources/report.ts";
import { tableOf, yamlOf } from "../resources/show.ts";

const help = `Usage: heddle get TYPE[/NAME] [OPTIONS]
       heddle get --all [OPTIONS]

Shows what has been put into the control plane's store. TYPE is cluster, listener, route, endpoints, secret, runtime,
extension, virtualhost, service, httproute, workload, or the whole name of one. What stands in files is not shown.

Options:
  -o FORMAT          table (default), yaml, json or name; heddle apply takes YAML back
  -n NAMESPACE       of a Service, route, Workload or policy (default for one, all for many)
  --for node.cluster=NAME
                     the resources for just that cluster; of one name otherwise the one for all nodes
  --show-secrets     with a token of the role admin; otherwise keys and the like are [redacted]
${API_HELP}
  -h, --help         print this

${EXIT_HELP}

Examples:
  heddle get cluster
  heddle get cluster/backend -o yaml`;

const FORMATS = ["table", "yaml", "json", "name"];

const WORDS = {
  allowPositionals: true,
  options: {
    ...API_OPTIONS,
    all: { type: "boolean" },
    output: { type: "string", short: "o" },
    namespace: { type: "string", short: "n" },
    for: { type: "string" },
    "show-secrets": { type: "boolean" },
  },
} as const;

export const get: Command = {
  name: "get",
  help,
  async run(args) {
    const { values, positionals } = parseCommandLine(args, WORDS);
    const [what, ...more] = positionals;
    if (more.length > 0 || (what === undefined) === (values.all !== true))
      throw new UsageError("name one TYPE or TYPE/NAME, or --all");
    const format = values.output ?? "table";
    if (!FORMATS.includes(format)) throw new UsageError(`-o: found "${format}", allowed: ${FORMATS.join(", ")}`);
    const namespace = values.namespace ?? "";
    const nodeCluster = parseFor(values.for);
    const named = what === undefined ? undefined : parseResourceName(what, namespace);
    const client = apiClient(values, process.env);
    const showSecrets = values["show-secrets"] === true;
    const paint = colourOf(process.stderr, process.env);
    if (what !== undefined && named !== undefined && named.name !== "") {
      const answer = await client.get(parseResourceKey(what, namespace, nodeCluster), showSecrets);
      if (!answer.ok) return reportFailure(answer.error, paint);
      if (format === "json") console.log(JSON.stringify(answer.value, null, 2));
      else console.log(shown([answer.value], format));
      return 0;
    }
    const answer = await client.list({ type: named?.type ?? "", namespace, nodeCluster }, showSecrets);
    if (!answer.ok) return reportFailure(answer.error, paint);
    console.log(format === "json" ? JSON.stringify(answer.value, null, 2) : shown(answer.value, format));
    return 0;
  },
};

function shown(resources: readonly StoredResource[], format: string): string {
  if (format === "table") return tableOf(resources);
  if (format === "name") return resources.map(({ key }) => formatKey(key)).join("\n");
  return resources.map(yamlOf).join("---\n").trimEnd();
}
