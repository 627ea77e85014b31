import { type Locality, protocolOfPortName, type Service, type Workload, type WorkloadPort } from "@heddle/mesh";
import type { InjectedPod } from "./injected-pod.ts";

/**
 * A pod with a sidecar as the mesh's workload. Its ports are those that its containers declare and those that Services send to
 * it, which also say what is spoken there. Undefined: it has no address.
 *
 * @param services that select it.
 */
export function podWorkload(pod: InjectedPod, services: readonly Service[], locality: Locality): Workload | undefined {
  const { namespace, name, workload, labels, addresses, serviceAccount, capture } = pod;
  if (addresses.length === 0) return undefined;
  return {
    kind: "workload",
    namespace,
    name: workload,
    instance: name,
    labels,
    addresses,
    ports: portsOf(pod, services),
    serviceAccount,
    capture,
    locality,
    node: pod.node,
    egress: undefined,
    outboundPort: OUTBOUND_PORT,
    accessLog: "off",
    origin: { file: `kubernetes Pod ${namespace}/${name}`, line: 0, column: 0, path: "" },
  };
}

/** Where a sidecar in a pod takes what the application sends. */
const OUTBOUND_PORT = 15_001;

function portsOf(pod: InjectedPod, services: readonly Service[]): readonly WorkloadPort[] {
  const ports = new Map<number, WorkloadPort>();
  for (const service of services) {
    for (const { name, port, target, protocol, detect } of service.ports) {
      const declared = target.type === "name" ? pod.ports.find((one) => one.name === target.name) : undefined;
      // Kubernetes' rule: without a target it is the same number.
      const number = declared?.port ?? (target.type === "number" ? target.number : target.type === "unset" ? port : 0);
      if (number === 0) continue; // this pod has no port of that name
      const before = ports.get(number);
      // Of several Services the one that says what is spoken counts; of several that do, the first by name.
      if (before === undefined || (before.detect && !detect))
        ports.set(number, { name: declared?.name ?? name, protocol, detect, port: number, applicationPort: number });
    }
  }
  for (const { name, port } of pod.ports)
    if (!ports.has(port)) ports.set(port, { name, ...protocolOfPortName(name), port, applicationPort: port });
  return [...ports.values()]
    .sort((a, b) => a.port - b.port)
    .map((port) => (pod.opaque.includes(port.port) ? { ...port, protocol: "tcp" as const, detect: false } : port))
    .map((port) => (pod.isCaptured(port.port) ? port : { ...port, applicationPort: undefined }));
}
