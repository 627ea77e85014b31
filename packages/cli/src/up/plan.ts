import type { Ports } from "./ports.ts";
import type { ProcessSpec } from "./process-file.ts";

/** Where everything of one workload listens on this machine. */
export interface PlannedWorkload {
  readonly spec: ProcessSpec;
  readonly nodeId: string;
  /** The sidecar's public port, which others call. */
  readonly publicPort: number;
  /** The application's own. */
  readonly applicationPort: number;
  /** The sidecar's port for the application's own calls. */
  readonly outboundPort: number;
  readonly adminPort: number;
}

/** Gives every workload its ports: wished ones first, so that no free choice takes them away. */
export async function planWorkloads(specs: readonly ProcessSpec[], ports: Ports): Promise<readonly PlannedWorkload[]> {
  const publicPorts = new Map<ProcessSpec, number>();
  for (const spec of specs)
    if (spec.port.wished !== undefined)
      publicPorts.set(spec, await ports.wish(spec.port.wished, `${spec.name}'s public port`));
  const planned: PlannedWorkload[] = [];
  for (const spec of specs) {
    planned.push({
      spec,
      nodeId: `${spec.namespace}/${spec.name}/local`,
      publicPort: publicPorts.get(spec) ?? (await ports.any()),
      applicationPort: await ports.any(),
      outboundPort: await ports.any(),
      adminPort: await ports.any(),
    });
  }
  return planned;
}

/** The `Workload` resources of the plan, as one YAML (JSON) stream for the control plane's second folder. */
export function workloadsFile(workloads: readonly PlannedWorkload[]): string {
  return workloads
    .map(({ spec, publicPort, applicationPort, outboundPort }) =>
      JSON.stringify(
        {
          apiVersion: "heddle.dev/v1",
          kind: "Workload",
          metadata: { name: spec.name, namespace: spec.namespace, labels: spec.labels },
          spec: {
            addresses: ["127.0.0.1"],
            serviceAccount: spec.serviceAccount,
            ports: [{ name: spec.port.name, protocol: spec.port.protocol, port: publicPort, applicationPort }],
            outboundPort,
          },
        },
        null,
        2,
      ),
    )
    .join("\n---\n")
    .concat("\n");
}
