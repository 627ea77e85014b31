import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Diagnostic } from "@heddle/config";
import { TestAuthority } from "@heddle/net/testing";
import { checkBootstrap } from "@heddle/sidecar/check";

/** What a sidecar says of one of Envoy's example bootstraps. */
export interface BootstrapVerdict {
  /** "examples/tls/envoy.yaml" */
  readonly name: string;
  readonly errors: readonly Diagnostic[];
  readonly warnings: readonly Diagnostic[];
}

export function bootstrapVerdicts(folder: string): BootstrapVerdict[] {
  const names = globSync("**/*.{yaml,json}", { cwd: folder }).sort();
  return names.map((name) => {
    const diagnostics = checkBootstrap(name, bootstrapText(join(folder, name)));
    return {
      name,
      errors: diagnostics.filter(({ severity }) => severity === "error"),
      warnings: diagnostics.filter(({ severity }) => severity === "warning"),
    };
  });
}

const { chain, key } = new TestAuthority().issue({ commonName: "bootstrap" });

/** A certificate and its key for bootstraps that have them in files. */
export const BOOTSTRAP_CERTIFICATE = { chain, key };

/** With a certificate and its key where the file says that there are some. Lines stay where they are. */
export function bootstrapText(path: string): string {
  return readFileSync(path, "utf8").replace(
    /inline_string: \|\n\s*\{\{ (CERT|KEY)_PEM \}\}/g,
    (_, what: string) => `inline_string: ${JSON.stringify(what === "CERT" ? chain : key)}\n`,
  );
}

/** What a refused bootstrap needs, in a few words: the first pattern that fits what was refused. */
const NEEDS: readonly (readonly [pattern: RegExp, need: string])[] = [
  [/quic|http3|HTTP\/3|udp_listener_config|alternate_protocols_cache|max_packet_length/i, "HTTP/3"],
  [/transport_sockets\.tls|server_names|transport_protocol|application_protocols/, "TLS"],
  [/socket_address\.protocol|UdpProxyConfig|filter_chains: holds no chain/, "UDP"],
  [/internal_listener|envoy_internal_address|listeners\[\d\]\.address: must be set/, "internal listeners"],
  [/connect_config|proxying_config/, "CONNECT that ends here"],
  [/ORIGINAL_DST|CLUSTER_PROVIDED|OriginalDst|original_dst/, "original destination"],
  [/dynamic_forward_proxy/, "dynamic forward proxy"],
  [/is no field of|PerHostConfig/, "fields that are newer or older than the API that is compiled"],
];

/** "TLS", "the filter csrf", "the extension kafka_broker", else the name of the field. */
export function needOf({ path, message }: Diagnostic): string {
  const text = `${path}: ${message}`;
  const known = NEEDS.find(([pattern]) => pattern.test(text));
  if (known !== undefined) return known[1];
  const filter = /envoy\.extensions\.filters\.(?:http|network|listener|udp)\.(\w+)\./.exec(message)?.[1];
  if (filter !== undefined) return `the filter ${filter}`;
  const socket = /"envoy\.transport_sockets\.(\w+)"/.exec(message)?.[1];
  return socket === undefined ? `\`${path.split(".").at(-1) ?? path}\`` : `the transport socket ${socket}`;
}

/** The whole page docs/bootstraps.md. */
export function bootstrapsPage(verdicts: readonly BootstrapVerdict[]): string {
  const refused = verdicts.filter(({ errors }) => errors.length > 0);
  const run = verdicts.filter(({ errors }) => errors.length === 0);
  const whole = run.filter(({ warnings }) => warnings.length === 0);
  return `# Envoy's example bootstraps

What a sidecar says of ${verdicts.length} bootstraps of Envoy's \`configs\` and of \`envoyproxy/examples\`, with a certificate where they leave one out. Printed by
\`node --conditions=heddle-src scripts/print-bootstraps.ts\`; \`test/system/envoy-bootstraps.test.ts\` starts those that run.
\`heddle check FILE\` says the same of any other bootstrap.

| | bootstraps |
| --- | --- |
| run, everything in them honoured | ${whole.length} |
| run, with fields that are reported and have no effect | ${run.length - whole.length} |
| refused, each field with its reason | ${refused.length} |

What the refused ones need; many need several things:

| need | bootstraps |
| --- | --- |
${countedNeeds(refused)
  .map(([need, count]) => `| ${need} | ${count} |`)
  .join("\n")}

## All of them

| bootstrap | | because |
| --- | --- | --- |
${verdicts.map(row).join("\n")}
`;
}

function countedNeeds(refused: readonly BootstrapVerdict[]): [need: string, count: number][] {
  const counts = new Map<string, number>();
  for (const { errors } of refused) {
    for (const need of new Set(errors.map(needOf))) counts.set(need, (counts.get(need) ?? 0) + 1);
  }
  return [...counts].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
}

function row({ name, errors, warnings }: BootstrapVerdict): string {
  const verdict = errors.length > 0 ? "refused" : warnings.length > 0 ? "runs, reported" : "runs";
  const shown = errors.length > 0 ? errors : warnings;
  return `| ${name} | ${verdict} | ${shown.map(finding).join("<br>")} |`;
}

function finding({ line, path, message }: Diagnostic): string {
  return `${line}: \`${path}\`: ${message}`.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}
