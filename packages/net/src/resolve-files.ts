import { isIP } from "node:net";

/** What `/etc/hosts` says: addresses by lower-case name, in the order of the file. */
export type HostsTable = ReadonlyMap<string, readonly string[]>;

/** Reads hosts(5). Lines that make no sense are passed over, as every resolver does. */
export function parseHosts(text: string): HostsTable {
  const table = new Map<string, string[]>();
  for (const line of linesOf(text)) {
    const [address, ...names] = line.split(/\s+/);
    if (address === undefined || isIP(address) === 0) continue;
    for (const name of names) {
      const addresses = table.get(name.toLowerCase()) ?? [];
      if (!addresses.includes(address)) addresses.push(address);
      table.set(name.toLowerCase(), addresses);
    }
  }
  return table;
}

/** What matters of resolv.conf(5). */
export interface ResolvConf {
  /** Empty: none was given, and the DNS library takes its default. */
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  /** A name with fewer dots is tried with the search list first. 1 where unset, at most 15. */
  readonly ndots: number;
  /** For one query to one server: 5 s where unset, at most 30 s. */
  readonly timeoutMs: number;
  /** 2 where unset, at most 5. */
  readonly attempts: number;
}

/** Reads resolv.conf(5). Of several `search` and `domain` lines the last counts. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let search: readonly string[] = [];
  const options = new Map<string, number>();
  for (const line of linesOf(text)) {
    const [keyword, ...words] = line.split(/\s+/);
    if (keyword === "nameserver" && words[0] !== undefined && isIP(words[0]) !== 0) nameservers.push(words[0]);
    if (keyword === "search" || keyword === "domain")
      search = words.map(withoutFinalDot).filter((domain) => domain !== "");
    if (keyword === "options") for (const word of words) readOption(word, options);
  }
  const option = (name: string, fallback: number, most: number): number =>
    Math.min(options.get(name) ?? fallback, most);
  return {
    nameservers,
    search,
    ndots: option("ndots", 1, 15),
    timeoutMs: 1000 * Math.max(1, option("timeout", 5, 30)),
    attempts: Math.max(1, option("attempts", 2, 5)),
  };
}

/**
 * The names to ask for, in order (resolv.conf(5), `ndots`): a name that ends in a dot alone; one with enough dots as it
 * is and then with the search list; any other with the search list first.
 */
export function candidateNames(name: string, { search, ndots }: ResolvConf): readonly string[] {
  if (name.endsWith(".")) return [withoutFinalDot(name)];
  const searched = search.map((domain) => `${name}.${domain}`);
  const dots = name.split(".").length - 1;
  return dots >= ndots ? [name, ...searched] : [...searched, name];
}

export function withoutFinalDot(name: string): string {
  return name.endsWith(".") ? name.slice(0, -1) : name;
}

function readOption(word: string, options: Map<string, number>): void {
  const option = /^(ndots|timeout|attempts):([0-9]{1,5})$/.exec(word);
  if (option !== null) options.set(option[1]!, Number(option[2])); // both groups are in every match
}

/** Lines without comments, trimmed, the empty ones left out. */
function linesOf(text: string): readonly string[] {
  return text
    .split("\n")
    .map((line) => line.replace(/[#;].*$/, "").trim())
    .filter((line) => line !== "");
}
