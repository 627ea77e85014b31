import type { CapturedRules, Mesh, Service } from "@heddle/mesh";
import type { EncodedResource } from "@heddle/xds";
import { DnsTable } from "./dns-table.ts";
import { sameList } from "./resource-map.ts";
import { getOrMake, type PartsMaker, ServiceParts } from "./service-parts.ts";

/** The name of a service that is another one now, new or gone. */
export interface ChangedService {
  readonly namespace: string;
  readonly name: string;
  /** Where only what is behind it is different: itself, as it was and is. Left out: anything may be. */
  readonly newEndpointsOf?: Service;
}

/** What is made of the services of the newest world. */
export class MeshParts {
  readonly #maker: PartsMaker;
  #mesh: Mesh | undefined;
  #parts: Map<string, ServiceParts> = new Map();
  readonly #dns = new Map<string, DnsTable>();

  constructor(maker: PartsMaker) {
    this.#maker = maker;
  }

  /** Takes the next world. Returns the services of which anything is different. */
  update(mesh: Mesh): readonly ChangedService[] {
    const replaced = this.#mesh && mesh.replacedSince(this.#mesh);
    return replaced === undefined ? this.#updateAll(mesh) : this.#takeWorkloads(mesh);
  }

  /** Nothing is different but workloads: by far the most frequent change. */
  #takeWorkloads(mesh: Mesh): readonly ChangedService[] {
    const changed: ChangedService[] = [];
    for (const [key, before] of this.#parts) {
      const { service } = before;
      if (before.holdsWith(mesh.workloadsBehind(service))) continue;
      const made = new ServiceParts(mesh, service, this.#maker, before);
      this.#parts.set(key, made);
      changed.push(changedService(service, made, before));
    }
    this.#mesh = mesh;
    return changed;
  }

  #updateAll(mesh: Mesh): readonly ChangedService[] {
    const changed: ChangedService[] = [];
    const parts = new Map<string, ServiceParts>();
    const policiesChanged = !sameList(this.#mesh?.policies ?? [], mesh.policies);
    for (const service of mesh.services) {
      const key = serviceKey(service);
      const before = this.#parts.get(key);
      if (before?.stillHold(mesh, service, policiesChanged) === true) {
        parts.set(key, before);
        continue;
      }
      const made = new ServiceParts(mesh, service, this.#maker, before);
      parts.set(key, made);
      changed.push(changedService(service, made, before));
    }
    for (const { namespace, name } of this.#mesh?.services ?? [])
      if (!parts.has(serviceKey({ namespace, name }))) changed.push({ namespace, name });
    this.#mesh = mesh;
    this.#parts = parts;
    return changed;
  }

  /**
   * What answers DNS in pods of a namespace, where all services have names. It stays the same object until a name or an
   * address of a service is another.
   */
  dnsListener(mesh: Mesh, namespace: string, rules: CapturedRules): EncodedResource {
    const key = `${namespace} ${rules.ipv4} ${rules.ipv6}`;
    const maker = getOrMake(this.#dns, key, () => new DnsTable(this.#maker, namespace, rules));
    return maker.of(mesh, mesh.services);
  }

  /** Of a service of that world. */
  of(service: Service): ServiceParts {
    const parts = this.#parts.get(serviceKey(service));
    if (parts === undefined) throw new Error(`the service ${serviceKey(service)} is of another world`);
    return parts;
  }
}

function changedService(service: Service, made: ServiceParts, before: ServiceParts | undefined): ChangedService {
  const { namespace, name } = service;
  return {
    namespace,
    name,
    ...(before !== undefined && made.servesLike(before) && { newEndpointsOf: service }),
  };
}

export function serviceKey({ namespace, name }: Pick<ChangedService, "namespace" | "name">): string {
  return `${namespace}/${name}`;
}
