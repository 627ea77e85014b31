import { asciiLower } from "../match/string-matcher.ts";
import { portStart } from "./path.ts";

/**
 * Finds the virtual host of an authority, in Envoy's order: the exact domain; the longest `*.suffix`; the longest
 * `prefix.*`; `*`. A wildcard stands for at least one character. Case is ignored; of equal domains the first counts
 * (decoding refuses them).
 */
export class VirtualHostIndex<Host> {
  readonly #exact = new Map<string, Host>();
  readonly #suffixes = new WildcardDomains<Host>();
  readonly #prefixes = new WildcardDomains<Host>();
  readonly #ignorePort: boolean;
  #any: Host | undefined;

  constructor(hosts: Iterable<readonly [domains: readonly string[], host: Host]>, ignorePort: boolean) {
    this.#ignorePort = ignorePort;
    for (const [domains, host] of hosts) for (const domain of domains) this.#add(asciiLower(domain), host);
    this.#suffixes.seal();
    this.#prefixes.seal();
  }

  find(authority: string): Host | undefined {
    if (this.#exact.size === 0 && this.#suffixes.empty && this.#prefixes.empty) return this.#any;
    // Nearly always in lower case, which need not be looked at one by one if it is known.
    const known = this.#ignorePort ? undefined : this.#exact.get(authority);
    if (known !== undefined) return known;
    let host = asciiLower(authority);
    if (this.#ignorePort) {
      const port = portStart(host);
      if (port !== -1) host = host.slice(0, port);
    }
    return (
      this.#exact.get(host) ?? this.#suffixes.find(host, suffixOf) ?? this.#prefixes.find(host, prefixOf) ?? this.#any
    );
  }

  #add(domain: string, host: Host): void {
    if (domain === "*") this.#any ??= host;
    else if (domain.startsWith("*")) this.#suffixes.add(domain.slice(1), host);
    else if (domain.endsWith("*")) this.#prefixes.add(domain.slice(0, -1), host);
    else if (!this.#exact.has(domain)) this.#exact.set(domain, host);
  }
}

/** Domains with a wildcard at one end, by the length of what is left, longest first. */
class WildcardDomains<Host> {
  readonly #byLength = new Map<number, Map<string, Host>>();
  #longestFirst: readonly (readonly [number, Map<string, Host>])[] = [];

  add(part: string, host: Host): void {
    const same = this.#byLength.get(part.length) ?? new Map<string, Host>();
    if (!same.has(part)) same.set(part, host);
    this.#byLength.set(part.length, same);
  }

  seal(): void {
    this.#longestFirst = [...this.#byLength].sort(([a], [b]) => b - a);
  }

  get empty(): boolean {
    return this.#byLength.size === 0;
  }

  find(host: string, cut: (host: string, length: number) => string): Host | undefined {
    for (const [length, domains] of this.#longestFirst) {
      if (length >= host.length) continue; // "*.example.com" does not stand for ".example.com"
      const found = domains.get(cut(host, length));
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function suffixOf(text: string, length: number): string {
  return text.slice(text.length - length);
}

function prefixOf(text: string, length: number): string {
  return text.slice(0, length);
}
