import { ADMIN_OPTIONS, adminUrl } from "../admin-url.ts";
import type { Command } from "../command.ts";
import { colourOf, type Paint } from "../paint.ts";
import { parseCommandLine } from "../parse-command-line.ts";
import { type NodeReport, type ResourcesReport, readStatus, type StatusReport, troubles } from "../status.ts";
import { formatTable } from "../up/table.ts";

const help = `Usage: heddle status [OPTIONS]

Says who is connected to the control plane, what each node has accepted or refused, what it does not honour, and what
is wrong with the configuration. Ends with 0 when nothing is wrong, 1 when something is, 2 when nobody answers.

Options:
  --admin-port N   the control plane's admin on loopback (15014)
  --admin URL      the same elsewhere, for example http://127.0.0.1:15014; also HEDDLE_CONTROL_PLANE_ADMIN
  --json           the answer as it came
  -h, --help       print this`;

export const status: Command = {
  name: "status",
  help,
  async run(args) {
    const { values } = parseCommandLine(args, {
      options: { ...ADMIN_OPTIONS, json: { type: "boolean" } },
    });
    const report = await readStatus(adminUrl(values, process.env));
    if (!report.ok) {
      console.error(report.error);
      return 2;
    }
    const paint = colourOf(process.stdout, process.env);
    console.log(values.json === true ? JSON.stringify(report.value, null, 2) : formatStatus(report.value, paint));
    return troubles(report.value).length === 0 ? 0 : 1;
  },
};

const HEADINGS = ["NODE", "CLUSTER", "SINCE", "XDS", "ACCEPTED", "REFUSED"];

export function formatStatus(report: StatusReport, paint: Paint = (_, text) => text): string {
  const wrong = troubles(report);
  const hasIdentities = report.nodes.some(({ identity }) => identity);
  const unhonoured = report.nodes.flatMap((node) =>
    (node.unhonoured ?? []).map(({ resource, path, note }) => `  ${node.id}: ${resource}: ${path}: ${note}`),
  );
  return [
    report.nodes.length === 0
      ? "no node is connected"
      : formatTable(
          report.nodes.map((node) => rowOf(node, hasIdentities)),
          hasIdentities ? [...HEADINGS, "SPIFFE ID", "EXPIRES"] : HEADINGS,
        ),
    ...(report.resources ? ["", formatResources(report.resources)] : []),
    ...(unhonoured.length === 0 ? [] : ["", "accepted, and without effect there:", ...unhonoured]),
    "",
    ...(wrong.length === 0 ? [paint("green", "nothing is wrong")] : wrong.map((line) => painted(line, paint))),
  ].join("\n");
}

/** "12 resources in log /var/lib/heddle, revision 40; last written by ci at 2026-01-31T12:00:00Z: cluster/backend" */
function formatResources({ store, revision, resources, lastWrite }: ResourcesReport): string {
  const count = `${resources} ${resources === 1 ? "resource" : "resources"} in ${store}, revision ${revision}`;
  if (lastWrite === null) return count;
  const more = lastWrite.resources > 3 ? " and others" : "";
  return `${count}; last written by ${lastWrite.by} at ${lastWrite.at}: ${lastWrite.keys.slice(0, 3).join(", ")}${more}`;
}

/** "error: …" and "warning: …" with the word in its colour. */
function painted(line: string, paint: Paint): string {
  return line.replace(/^(error|warning)/, (word) => paint(word === "error" ? "red" : "yellow", word));
}

function rowOf(node: NodeReport, hasIdentities: boolean): readonly string[] {
  const accepted = node.types.map(({ type, resources }) => `${resources} ${type}`);
  const refused = node.types.filter(({ rejected }) => rejected !== null).map(({ type }) => type);
  const columns = [node.id, node.cluster, node.connectedAt, node.variant, accepted.join(", ") || "-"];
  columns.push(refused.join(", ") || "-");
  return hasIdentities ? [...columns, node.identity?.spiffeId || "-", node.identity?.expires ?? "-"] : columns;
}
