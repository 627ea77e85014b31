import { Cidr, err, type IpWords, isLoopback, ok, type Result, sameIp } from "@heddle/base";
import type { FilterChainMatch } from "./listener-config.ts";

/** What is known of a connection when its filter chain is chosen. Addresses are undefined on Unix sockets. */
export interface ConnectionToMatch {
  readonly destinationAddress: IpWords | undefined;
  readonly destinationPort: number | undefined;
  /** SNI of the ClientHello, lower case; "" without TLS or without SNI. */
  readonly serverName: string;
  /** "tls" after a ClientHello was seen, else "raw_buffer". */
  readonly transportProtocol: string;
  /** ALPN of the ClientHello, or what was sniffed of plaintext, in the client's order. */
  readonly applicationProtocols: readonly string[];
  readonly sourceAddress: IpWords | undefined;
  readonly sourcePort: number | undefined;
  /** Of the socket; differs from `sourceAddress` behind PROXY protocol. */
  readonly directSourceAddress: IpWords | undefined;
}

/** A filter chain to choose from. `Chain` is whatever the caller wants back. */
export interface FilterChainCandidate<Chain> {
  readonly name: string;
  readonly match: FilterChainMatch | undefined;
  readonly chain: Chain;
}

/**
 * Chooses among filter chains by Envoy's rule (`envoy.config.listener.v3.FilterChainMatch`): the criteria are asked in a
 * fixed order, and each keeps only the chains that fit it most specifically. There is no way back: where a chain asks for
 * the client's server name, chains that ask for none are out, even if the first one fails a later criterion. Then the
 * default chain serves.
 */
export class FilterChainTable<Chain> {
  readonly #root: Node<Chain> | undefined;
  readonly #default: Chain | undefined;

  constructor(root: Node<Chain> | undefined, defaultChain: Chain | undefined) {
    this.#root = root;
    this.#default = defaultChain;
  }

  /** Undefined: no chain takes the connection, and it is closed. */
  find(connection: ConnectionToMatch): Chain | undefined {
    let node = this.#root;
    while (node !== undefined && node.type === "choice") {
      const key = node.select(connection);
      node = key === undefined ? undefined : node.branches.get(key);
    }
    return node === undefined ? this.#default : node.chain;
  }
}

/** Compiles chains. Errors: a malformed range, or two chains with the same match, both named (a nameless one by "#place"). */
export function compileFilterChainMatch<Chain>(
  candidates: readonly FilterChainCandidate<Chain>[],
  defaultChain: Chain | undefined,
): Result<FilterChainTable<Chain>, readonly string[]> {
  const named = candidates.map((candidate, i) => (candidate.name === "" ? { ...candidate, name: `#${i}` } : candidate));
  const faults = named.flatMap(({ name, match }) => (match === undefined ? [] : rangeFaults(name, match)));
  if (faults.length > 0) return err(faults);
  const rows = named.flatMap(expand);
  const root = rows.length === 0 ? undefined : buildNode(rows, 0, faults);
  return faults.length > 0 ? err([...new Set(faults)]) : ok(new FilterChainTable(root, defaultChain));
}

type Node<Chain> =
  | {
      readonly type: "choice";
      readonly select: (connection: ConnectionToMatch) => string | undefined;
      readonly branches: ReadonlyMap<string, Node<Chain>>;
    }
  | { readonly type: "leaf"; readonly chain: Chain };

/** One chain with one value for each criterion, `ANY` where it asks for nothing. A chain with lists gives many rows. */
interface Row<Chain> {
  readonly name: string;
  readonly keys: readonly string[];
  readonly chain: Chain;
}

function expand<Chain>({ name, match, chain }: FilterChainCandidate<Chain>): Row<Chain>[] {
  let rows: string[][] = [[]];
  for (const criterion of CRITERIA) {
    const values = match === undefined ? [] : criterion.values(match);
    const keys = values.length === 0 ? [ANY] : [...new Set(values)];
    rows = rows.flatMap((row) => keys.map((key) => [...row, key]));
  }
  return rows.map((keys) => ({ name, keys, chain }));
}

function buildNode<Chain>(rows: readonly Row<Chain>[], depth: number, faults: string[]): Node<Chain> {
  const criterion = CRITERIA[depth];
  if (criterion === undefined) {
    const [first, ...others] = rows;
    for (const { name } of others) {
      faults.push(`filter chains "${first!.name}" and "${name}" have the same match; only one can be chosen`);
    }
    return { type: "leaf", chain: first!.chain }; // a node is built for at least one row
  }
  const groups = Map.groupBy(rows, (row) => row.keys[depth]!); // a key for each criterion
  const branches = new Map([...groups].map(([key, group]) => [key, buildNode(group, depth + 1, faults)] as const));
  return { type: "choice", select: criterion.selector([...branches.keys()]), branches };
}

/** "No value": sorts behind every value that fits. */
const ANY = "";

interface Criterion {
  values(match: FilterChainMatch): readonly string[];
  /** Makes the choice among keys: the most specific that fits the connection. */
  selector(keys: readonly string[]): (connection: ConnectionToMatch) => string | undefined;
}

/** In the order in which they are asked; listener_components.proto states it. */
const CRITERIA: readonly Criterion[] = [
  {
    values: ({ destinationPort }) => (destinationPort === undefined ? [] : [String(destinationPort)]),
    selector: (keys) => exact(keys, (connection) => connection.destinationPort),
  },
  {
    values: (match) => match.prefixRanges.map(canonicalRange),
    selector: (keys) => longestPrefix(keys, (connection) => connection.destinationAddress),
  },
  {
    values: (match) => match.serverNames.map((name) => (name.startsWith("*.") ? name.slice(1) : name).toLowerCase()),
    selector: serverName,
  },
  {
    values: ({ transportProtocol }) => (transportProtocol === "" ? [] : [transportProtocol]),
    selector: (keys) => exact(keys, (connection) => connection.transportProtocol),
  },
  { values: (match) => match.applicationProtocols, selector: applicationProtocol },
  {
    values: (match) => match.directSourcePrefixRanges.map(canonicalRange),
    selector: (keys) => longestPrefix(keys, (connection) => connection.directSourceAddress),
  },
  { values: ({ sourceType }) => (sourceType === "ANY" ? [] : [sourceType]), selector: sourceType },
  {
    values: (match) => match.sourcePrefixRanges.map(canonicalRange),
    selector: (keys) => longestPrefix(keys, (connection) => connection.sourceAddress),
  },
  {
    values: (match) => match.sourcePorts.map(String),
    selector: (keys) => exact(keys, (connection) => connection.sourcePort),
  },
];

type Select = (connection: ConnectionToMatch) => string | undefined;

function exact(keys: readonly string[], value: (connection: ConnectionToMatch) => number | string | undefined): Select {
  const known = new Set(keys);
  const fallback = known.has(ANY) ? ANY : undefined;
  if (known.size === 1 && fallback === ANY) return () => ANY; // the usual case: nobody asks
  return (connection) => {
    const key = String(value(connection) ?? ANY);
    return known.has(key) ? key : fallback;
  };
}

function longestPrefix(keys: readonly string[], value: (connection: ConnectionToMatch) => IpWords | undefined): Select {
  const fallback = keys.includes(ANY) ? ANY : undefined;
  const ranges = keys
    .filter((key) => key !== ANY)
    .map((key) => ({ key, range: parseRange(key) }))
    .sort((a, b) => b.range.prefixLength - a.range.prefixLength);
  return (connection) => {
    const address = value(connection);
    if (address === undefined) return fallback;
    for (const { key, range } of ranges) if (range.contains(address)) return key;
    return fallback;
  };
}

/** Exact, then the wildcards from the longest ("*.b.example.com", kept as ".b.example.com", before "*.example.com"). */
function serverName(keys: readonly string[]): Select {
  const known = new Set(keys);
  const fallback = known.has(ANY) ? ANY : undefined;
  return ({ serverName: name }) => {
    if (name === "") return fallback;
    if (known.has(name)) return name;
    for (let dot = name.indexOf(".", 1); dot !== -1; dot = name.indexOf(".", dot + 1)) {
      const suffix = name.slice(dot);
      if (known.has(suffix)) return suffix;
    }
    return fallback;
  };
}

function applicationProtocol(keys: readonly string[]): Select {
  const known = new Set(keys);
  const fallback = known.has(ANY) ? ANY : undefined;
  return ({ applicationProtocols }) => {
    for (const protocol of applicationProtocols) if (known.has(protocol)) return protocol;
    return fallback;
  };
}

function sourceType(keys: readonly string[]): Select {
  const known = new Set(keys);
  const fallback = known.has(ANY) ? ANY : undefined;
  return (connection) => {
    const type = isLocal(connection) ? "SAME_IP_OR_LOOPBACK" : "EXTERNAL";
    return known.has(type) ? type : fallback;
  };
}

/** A Unix socket's peer is on this host. */
function isLocal({ sourceAddress: source, destinationAddress: destination }: ConnectionToMatch): boolean {
  if (source === undefined) return true;
  return isLoopback(source) || (destination !== undefined && sameIp(source, destination));
}

function rangeFaults(name: string, match: FilterChainMatch): string[] {
  const fields = {
    prefixRanges: "prefix_ranges",
    directSourcePrefixRanges: "direct_source_prefix_ranges",
    sourcePrefixRanges: "source_prefix_ranges",
  } as const;
  return (Object.keys(fields) as (keyof typeof fields)[]).flatMap((field) =>
    match[field].flatMap((text) => {
      const range = Cidr.parse(text);
      return range.ok ? [] : [`filter chain "${name}": ${fields[field]}: ${range.error}`];
    }),
  );
}

/** The same block, however it is written, is the same key. */
function canonicalRange(text: string): string {
  return parseRange(text).toString();
}

function parseRange(text: string): Cidr {
  const range = Cidr.parse(text);
  if (!range.ok) throw new Error(range.error); // rangeFaults has reported it before any row is made
  return range.value;
}
