import { Backoff, systemClock } from "@heddle/base";
import { formatKey, type WatchEvent } from "@heddle/control-plane/resource-api";
import { type Command, UsageError } from "../command.ts";
import { colourOf } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";
import { API_HELP, API_OPTIONS, apiClient } from "../resources/api-options.ts";
import { parseFor, parseResourceName, parseVersion } from "../resources/names.ts";
import { reportFailure } from "../resources/report.ts";

const help = `Usage: heddle watch [TYPE[/PREFIX]] [OPTIONS]

Follows what is put into the control plane's store, until it is stopped: first what there is, then each change. Goes on
where it was when the connection is lost; what was missed is told.

Options:
  --from REVISION    only changes after this one
  -n NAMESPACE       of Services, routes, Workloads and policies
  --for node.cluster=NAME
                     the resources for just that cluster
  --json             each event as a line of JSON
${API_HELP}
  -h, --help         print this

Ends with 1 when it is refused, 2 when nobody answers at the start.`;

const WORDS = {
  allowPositionals: true,
  options: {
    ...API_OPTIONS,
    from: { type: "string" },
    namespace: { type: "string", short: "n" },
    for: { type: "string" },
    json: { type: "boolean" },
  },
} as const;

export const watch: Command = {
  name: "watch",
  help,
  async run(args) {
    const { values, positionals } = parseCommandLine(args, WORDS);
    if (positionals.length > 1) throw new UsageError("name one TYPE, or none");
    const named = positionals[0] === undefined ? undefined : parseResourceName(positionals[0], values.namespace ?? "");
    const selector = {
      type: named?.type ?? "",
      namePrefix: named?.name ?? "",
      namespace: values.namespace ?? named?.namespace ?? "",
      nodeCluster: parseFor(values.for),
    };
    const client = apiClient(values, process.env);
    const backoff = new Backoff({ baseMs: 200, maxMs: 10_000 });
    let from = parseVersion(values.from, "--from");
    let heard = false;
    for (;;) {
      const failure = await client.watch(selector, from, (event) => {
        heard = true;
        backoff.reset();
        // Half of a revision may be missing behind the last event of one; what has been told twice does no harm.
        from = event.type === "SYNCED" ? event.revision : Math.max(from ?? 0, event.revision - 1);
        const line = values.json === true ? JSON.stringify(event) : lineOf(event);
        if (line !== undefined) console.log(line);
      });
      if (
        failure.type === "refused" &&
        failure.error.code !== "UNAVAILABLE" &&
        failure.error.code !== "RESOURCE_EXHAUSTED"
      )
        return reportFailure(failure, colourOf(process.stderr, process.env));
      if (!heard) return reportFailure(failure, colourOf(process.stderr, process.env));
      await new Promise<void>((resolve) => systemClock.after(backoff.nextMs(), resolve));
    }
  },
};

function lineOf(event: WatchEvent): string | undefined {
  switch (event.type) {
    case "PUT":
      return `${event.revision} put ${formatKey(event.resource.key)}`;
    case "DELETE":
      return `${event.revision} deleted ${formatKey(event.resource.key)}`;
    case "RESYNC":
      return `${event.revision} everything anew`;
    case "SYNCED":
      return undefined; // for programs: nothing has happened
  }
}
