import { type CapturedRules, dnsDomains, dnsListener, type Mesh, type NamedService, type Service } from "@heddle/mesh";
import { type EncodedResource, encodeDnsDomain, joinDnsListener } from "@heddle/xds";
import { sameList } from "./resource-map.ts";
import { getOrMake, type PartsMaker } from "./service-parts.ts";

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
    const { listener } = encoder.types;
    const config = dnsListener([], this.#namespace, this.#rules);
    const domains = named.flatMap((one) => entriesOf(one, this.#namespace, this.#rules));
    this.#made = encoder.fromBytes(listener.typeUrl, config.name, joinDnsListener(listener, config, domains), []);
    return this.#made;
  }
}

/** Encoded once for all namespaces but the service's own, which has one name more. */
function entriesOf(named: NamedService, namespace: string, rules: CapturedRules): readonly Uint8Array[] {
  const own = named.service.namespace === namespace;
  const byRules = getOrMake(own ? ownEntries : entries, named.service, () => new Map<string, Entries>());
  const key = `${rules.ipv4} ${rules.ipv6}`;
  const known = byRules.get(key);
  if (known !== undefined && sameList(known.addresses, named.addresses)) return known.encoded;
  const domains = dnsDomains(named, own ? namespace : undefined, rules);
  const encoded = domains.map(encodeDnsDomain);
  byRules.set(key, { addresses: named.addresses, encoded });
  return encoded;
}

interface Entries {
  readonly addresses: readonly string[];
  readonly encoded: readonly Uint8Array[];
}

const entries = new WeakMap<Service, Map<string, Entries>>();
const ownEntries = new WeakMap<Service, Map<string, Entries>>();

function isSame(a: NamedService, b: NamedService): boolean {
  return a.service === b.service && sameList(a.addresses, b.addresses);
}
