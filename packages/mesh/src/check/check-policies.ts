import type { Diagnostic } from "@heddle/config";
import type { AuthorizationPolicy } from "../model/authorization-policy.ts";
import type { Mesh } from "../model/mesh.ts";
import { diagnosticAt, formatOrigin } from "../model/origin.ts";
import type { PeerAuthentication } from "../model/peer-authentication.ts";
import type { Policy } from "../model/policy-index.ts";
import type { Workload } from "../model/workload.ts";
import { extentOf } from "../translate/mtls-mode.ts";
import { asksForHttp } from "../translate/policy/authorization.ts";

/**
 * Policies that do not do what somebody may think. Warnings, since objects come one by one: what is selected may still
 * come, and what a policy forbids it forbids either way.
 */
export function checkPolicies(mesh: Mesh): readonly Diagnostic[] {
  if (mesh.policies.length === 0) return [];
  const selected = selectedBy(mesh);
  return mesh.policies.flatMap((policy) => {
    const workloads = selected.get(policy) ?? [];
    return [
      ...checkTarget(policy, workloads, mesh),
      ...(policy.kind === "peer-authentication" ? checkPeers(policy, workloads, mesh) : []),
      ...(policy.kind === "authorization-policy" ? checkRules(policy, workloads, mesh) : []),
    ];
  });
}

function selectedBy(mesh: Mesh): ReadonlyMap<Policy, readonly Workload[]> {
  const selected = new Map<Policy, Workload[]>();
  for (const workload of mesh.workloads) {
    const { peer, authorization, request } = mesh.policiesOf(workload);
    for (const policy of [...peer, ...authorization, ...request]) {
      const workloads = selected.get(policy);
      if (workloads === undefined) selected.set(policy, [workload]);
      else workloads.push(workload);
    }
  }
  return selected;
}

function checkTarget(policy: Policy, workloads: readonly Workload[], mesh: Mesh): readonly Diagnostic[] {
  const { namespace, target, origin } = policy;
  const missing = (target.services ?? []).filter((name) => mesh.service(namespace, name) === undefined);
  if (missing.length > 0) {
    return missing.map((name) =>
      diagnosticAt(origin, "warning", `there is no Service "${name}" in the namespace "${namespace}"`),
    );
  }
  if (target.labels === undefined || workloads.length > 0) return [];
  const labels = Object.entries(target.labels).map(([key, value]) => `${key}=${value}`);
  return [diagnosticAt(origin, "warning", `selects no Workload: none has ${labels.join(", ")}`)];
}

function checkPeers(policy: PeerAuthentication, workloads: readonly Workload[], mesh: Mesh): readonly Diagnostic[] {
  const { origin, portModes } = policy;
  const faults: string[] = [];
  for (const port of portModes.keys()) {
    if (workloads.length === 0 || workloads.some(({ ports }) => ports.some((one) => one.port === port))) continue;
    faults.push(`portLevelMtls: none of the workloads that it selects has the public port ${port}`);
  }
  const first = workloads
    .map((workload) => mesh.policiesOf(workload).peer.find((one) => extentOf(one) === extentOf(policy)))
    .find((one) => one !== policy);
  if (first !== undefined) {
    const who = `the PeerAuthentication "${first.namespace}/${first.name}" in ${formatOrigin(first.origin)}`;
    faults.push(`has no effect where ${who} is for the same workloads: it comes first, by age or by name`);
  }
  return faults.map((message) => diagnosticAt(origin, "warning", message));
}

function checkProvider({ provider }: AuthorizationPolicy, workloads: readonly Workload[], mesh: Mesh): string[] {
  const found = mesh.providers.find(({ name }) => name === provider);
  if (found === undefined)
    return [`there is no ExtensionProvider "${provider}": what the policy matches is denied until there is one`];
  const faults: string[] = [];
  const { server, asks } = found;
  if (server.type === "service") {
    const port = mesh.service(server.namespace, server.name)?.ports.find((one) => one.port === server.port);
    if (port === undefined)
      faults.push(
        `its provider is the port ${server.port} of the Service "${server.namespace}/${server.name}", which is not there`,
      );
    else if (asks.type === "grpc" && port.protocol !== "http2")
      faults.push(
        `its provider is asked by gRPC, and port ${server.port} of "${server.name}" does not say that it speaks it`,
      );
  }
  const hasTcp = workloads.some(({ ports }) => ports.some(({ protocol }) => protocol === "tcp"));
  if (asks.type === "http" && hasTcp)
    faults.push("is for a TCP port too, of which its provider cannot be asked: what it matches is denied there");
  return faults;
}

function checkRules(policy: AuthorizationPolicy, workloads: readonly Workload[], mesh: Mesh): readonly Diagnostic[] {
  const { action, rules, origin } = policy;
  const faults: string[] = [];
  if (rules.some(asksForHttp)) {
    const tcp = workloads.flatMap(({ name, ports }) =>
      ports.filter(({ protocol }) => protocol === "tcp").map(({ port }) => `${port} of "${name}"`),
    )[0];
    if (tcp !== undefined) {
      const effect =
        action === "ALLOW"
          ? "rules that ask for them match nothing there"
          : "rules are asked there without them, and so match more";
      faults.push(`asks for fields of HTTP, and is for the TCP port ${tcp} too: ${effect}`);
    }
  }
  if (action === "CUSTOM") faults.push(...checkProvider(policy, workloads, mesh));
  const asksForToken = rules.some(({ from, when }) =>
    [...from.flat(), ...when].some(({ attribute }) => attribute.type.startsWith("request.auth.")),
  );
  const without = workloads.find((workload) => mesh.policiesOf(workload).request.length === 0);
  if (asksForToken && without !== undefined)
    faults.push(
      `asks for a token, and no RequestAuthentication is for the Workload "${without.name}": nobody has one there`,
    );
  return faults.map((message) => diagnosticAt(origin, "warning", message));
}
