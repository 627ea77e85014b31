import { type Mesh, mtlsMode, reachable, targetPort, type Workload, type WorkloadPort } from "@heddle/mesh";
import type { NodeScope } from "./node-scope.ts";

/** People read them: of a node that calls hundreds some are as good as all. */
const MAX_SERVICES = 10;

/**
 * What is closed to a node, or closed at it, for want of an identity: ports that a policy has made STRICT. None of a node that
 * has one. Looks at all that it may call: for pages that somebody asks for.
 */
export function closedPorts({ workload, security, rules }: NodeScope, mesh: Mesh): readonly string[] {
  if (security.hasIdentity || !mesh.policies.some(({ kind }) => kind === "peer-authentication")) return [];
  const isStrict = (of: Workload, { port, applicationPort }: WorkloadPort): boolean =>
    applicationPort !== undefined && mtlsMode(mesh.policiesOf(of), port) === "STRICT";
  const own = (workload?.ports ?? []).flatMap((port) =>
    workload !== undefined && isStrict(workload, port)
      ? [`its port ${port.port} is STRICT, and it has no identity: nobody gets in`]
      : [],
  );
  const called: string[] = [];
  for (const { service, port } of reachable(mesh, rules).called) {
    if (called.length === MAX_SERVICES) break;
    const strict = mesh.workloadsOf(service).some((one) => {
      const target = targetPort(service, port, one);
      return target !== undefined && isStrict(one, target);
    });
    const name = `${service.name}.${service.namespace}:${port.port}`;
    if (strict) called.push(`${name} has STRICT endpoints, and it has no identity: they refuse its calls`);
  }
  return [...own, ...called];
}
