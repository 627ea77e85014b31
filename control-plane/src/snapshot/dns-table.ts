import { type CapturedRules, dnsListener, type Mesh, type NamedService, type Service } from "@heddle/mesh";
import type { EncodedResource } from "@heddle/xds";
import { sameList } from "./resource-map.ts";
import type { PartsMaker } from "./service-parts.ts";

type Maker = Pick<PartsMaker, "encoder" | "computed">;

/** What answers DNS in pods: it stays the same object until a name or an address of a service is another. */
export class DnsTable {
  readonly #maker: Maker;
  readonly #namespace: string;
  readonly #rules: CapturedRules;
  #mesh: Mesh | undefined;
  #named: readonly NamedService[] = [];
  #made: EncodedResource | undefined;

  constructor(maker: Maker, namespace: string, rules: CapturedRules) {
    this.#maker = maker;
    this.#namespace = namespace;
    this.#rules = rules;
  }

  /** @param services the same ones of one mesh each time. */
  of(mesh: Mesh, services: readonly Service[]): EncodedResource {
    if (this.#made !== undefined && this.#mesh === mesh) return this.#made;
    this.#mesh = mesh;
    const named = services.map((service): NamedService => ({ service, addresses: mesh.addressesOf(service) }));
    const before = this.#named;
    const same = named.length === before.length && named.every((one, index) => isSame(one, before[index]!)); // as many
    if (this.#made !== undefined && same) return this.#made;
    this.#named = named;
    const { encoder, computed } = this.#maker;
    computed.add("dns-listener");
    this.#made = encoder.encode(encoder.types.listener, dnsListener(named, this.#namespace, this.#rules));
    return this.#made;
  }
}

function isSame(a: NamedService, b: NamedService): boolean {
  const sameName = a.service.name === b.service.name && a.service.namespace === b.service.namespace;
  return sameName && sameList(a.addresses, b.addresses);
}
