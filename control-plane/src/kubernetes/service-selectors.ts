import type { Labels, Service } from "@heddle/mesh";

/** Which Services select a pod, found without looking at all of them. */
export class ServiceSelectors {
  /** By namespace and the first label that a selector asks for. */
  readonly #byLabel = new Map<string, Service[]>();
  readonly #byNamespace: ReadonlyMap<string, { readonly services: readonly Service[]; readonly version: number }>;

  /** @param before of the same source, as it was: a namespace whose Services are the same keeps its version. */
  constructor(services: readonly Service[], before: ServiceSelectors | undefined) {
    const grouped = Map.groupBy(services, ({ namespace }) => namespace);
    this.#byNamespace = new Map(
      [...grouped].map(([namespace, group]) => {
        const known = before === undefined ? undefined : before.#byNamespace.get(namespace);
        const isSame =
          known?.services.length === group.length && known.services.every((service, index) => service === group[index]);
        return [namespace, isSame ? known : { services: group, version: nextVersion++ }];
      }),
    );
    for (const service of services) {
      const first = Object.entries(service.selector ?? {})[0];
      if (first === undefined) continue;
      const key = labelKey(service.namespace, first);
      const group = this.#byLabel.get(key);
      if (group === undefined) this.#byLabel.set(key, [service]);
      else group.push(service);
    }
  }

  /** Another number when any Service of the namespace is another one. */
  versionOf(namespace: string): number {
    return this.#byNamespace.get(namespace)?.version ?? 0;
  }

  /** In the order of their names. */
  of({ namespace, labels }: { readonly namespace: string; readonly labels: Labels }): readonly Service[] {
    const found = Object.entries(labels).flatMap((label) =>
      (this.#byLabel.get(labelKey(namespace, label)) ?? []).filter(({ selector }) => hasAll(labels, selector ?? {})),
    );
    return found.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }
}

/** Of all of them: 0 is that of a namespace without Services. */
let nextVersion = 1;

function labelKey(namespace: string, [key, value]: readonly [string, string]): string {
  return `${namespace} ${key}=${value}`;
}

function hasAll(labels: Labels, wanted: Labels): boolean {
  return Object.entries(wanted).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
}
