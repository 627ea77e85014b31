import type { DnsDomain, DnsFilterConfig, DnsService } from "@heddle/traffic";

/** The names that are answered here, compiled (`envoy.data.dns.v3.DnsTable`). Its entries are those of the configuration. */
export class DnsTable {
  readonly #exact = new Map<string, DnsDomain>();
  /** By what follows "*.". */
  readonly #wildcards = new Map<string, DnsDomain>();
  /** By "_http._tcp.example.com". */
  readonly #services = new Map<string, DnsService>();

  constructor({ domains }: DnsFilterConfig) {
    for (const domain of domains) {
      const name = withoutFinalDot(domain.name.toLowerCase());
      if (name.startsWith("*.")) add(this.#wildcards, name.slice(2), domain);
      else add(this.#exact, name, domain);
      for (const service of domain.services ?? [])
        this.#services.set(`_${service.name}._${service.protocol}.${name}`.toLowerCase(), service);
    }
  }

  /**
   * The entry for a name in lower case: its own, else that of the longest wildcard. A name that only services below it have
   * is there too.
   */
  find(name: string): DnsDomain | undefined {
    const exact = this.#exact.get(name);
    if (exact !== undefined || this.#wildcards.size === 0) return exact;
    for (let dot = name.indexOf("."); dot !== -1; dot = name.indexOf(".", dot + 1)) {
      const wildcard = this.#wildcards.get(name.slice(dot + 1));
      if (wildcard !== undefined) return wildcard;
    }
    return undefined;
  }

  /** The same without wildcards. */
  findExact(name: string): DnsDomain | undefined {
    return this.#exact.get(name);
  }

  service(name: string): DnsService | undefined {
    return this.#services.get(name);
  }
}

/** Of entries of one name the addresses count together. */
function add(entries: Map<string, DnsDomain>, name: string, domain: DnsDomain): void {
  const known = entries.get(name);
  const both = known?.addresses !== undefined && domain.addresses !== undefined;
  if (known === undefined) entries.set(name, domain);
  else if (both) entries.set(name, { ...known, addresses: [...(known.addresses ?? []), ...(domain.addresses ?? [])] });
}

function withoutFinalDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}
