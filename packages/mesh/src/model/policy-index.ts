import type { AuthorizationPolicy } from "./authorization-policy.ts";
import type { ExtensionProvider } from "./extension-provider.ts";
import type { PeerAuthentication } from "./peer-authentication.ts";
import { ROOT_NAMESPACE } from "./policy-target.ts";
import type { RequestAuthentication } from "./request-authentication.ts";
import type { Service } from "./service.ts";
import type { Workload } from "./workload.ts";

export type Policy = PeerAuthentication | AuthorizationPolicy | RequestAuthentication;

/** The policies that are for one workload, each kind in the order in which they count: the older first, then by name. */
export interface WorkloadPolicies {
  readonly peer: readonly PeerAuthentication[];
  readonly authorization: readonly AuthorizationPolicy[];
  readonly request: readonly RequestAuthentication[];
  /** Whom those of action CUSTOM ask; a name that nobody has is none of them. Left out: nobody. */
  readonly providers?: readonly ExtensionProvider[];
}

export const NO_POLICIES: WorkloadPolicies = { peer: [], authorization: [], request: [] };

export function samePolicies(a: WorkloadPolicies, b: WorkloadPolicies): boolean {
  return (
    a === b ||
    (same(a.peer, b.peer) &&
      same(a.authorization, b.authorization) &&
      same(a.request, b.request) &&
      same(a.providers ?? [], b.providers ?? []))
  );
}

function same(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

/** Finds the policies of workloads. What it has found it keeps: a change of a mesh asks for many, most of them twice. */
export class PolicyIndex {
  readonly #byNamespace: ReadonlyMap<string, readonly Policy[]>;
  readonly #workloadsOf: (namespace: string, service: string) => readonly Workload[];
  readonly #providers: ReadonlyMap<string, ExtensionProvider>;
  readonly #found = new WeakMap<Workload, WorkloadPolicies>();

  /** @param workloadsOf those behind a service; none where there is no such service. */
  constructor(
    policies: readonly Policy[],
    workloadsOf: (namespace: Service["namespace"], service: Service["name"]) => readonly Workload[],
    providers: readonly ExtensionProvider[] = [],
  ) {
    this.#providers = new Map(providers.map((provider) => [provider.name, provider]));
    this.#byNamespace = Map.groupBy([...policies].sort(byAge), ({ namespace }) => namespace);
    this.#workloadsOf = workloadsOf;
  }

  of(workload: Workload): WorkloadPolicies {
    if (this.#byNamespace.size === 0) return NO_POLICIES;
    let found = this.#found.get(workload);
    if (found === undefined) this.#found.set(workload, (found = this.#find(workload)));
    return found;
  }

  #find(workload: Workload): WorkloadPolicies {
    const own = this.#byNamespace.get(workload.namespace) ?? [];
    const root = workload.namespace === ROOT_NAMESPACE ? [] : (this.#byNamespace.get(ROOT_NAMESPACE) ?? []);
    const meant = [...root, ...own].filter((policy) => this.#isFor(policy, workload));
    if (meant.length === 0) return NO_POLICIES;
    const authorization = meant.filter((policy) => policy.kind === "authorization-policy");
    const asked = [...new Set(authorization.flatMap(({ provider }) => provider ?? []))];
    const providers = asked.flatMap((name) => this.#providers.get(name) ?? []);
    return {
      ...(providers.length > 0 && { providers }),
      peer: meant.filter((policy) => policy.kind === "peer-authentication"),
      authorization,
      request: meant.filter((policy) => policy.kind === "request-authentication"),
    };
  }

  #isFor({ namespace, target: { labels, services } }: Policy, workload: Workload): boolean {
    if (labels !== undefined && !hasAll(workload, labels)) return false;
    return services === undefined || services.some((name) => this.#workloadsOf(namespace, name).includes(workload));
  }
}

function hasAll({ labels }: Workload, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}

function byAge(a: Policy, b: Policy): number {
  const [left, right] = [a.createdAtMs ?? Infinity, b.createdAtMs ?? Infinity];
  if (left !== right) return left < right ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
