import { Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import {
  candidateNames,
  type HostsTable,
  parseHosts,
  parseResolvConf,
  type ResolvConf,
  withoutFinalDot,
} from "./resolve-files.ts";

/**
 * Which addresses are wanted, in Envoy's names (`Cluster.DnsLookupFamily`): AUTO takes IPv6 where there is any, else
 * IPv4; V4_PREFERRED the other way round; ALL both.
 */
export type LookupFamily = "AUTO" | "V4_ONLY" | "V6_ONLY" | "V4_PREFERRED" | "ALL";

export type Resolution =
  /** At least one address. `ttlMs` is the shortest of the records; undefined where there is none (hosts file, literals). */
  | { readonly type: "found"; readonly addresses: readonly string[]; readonly ttlMs: number | undefined }
  /** The name servers say that there is no such name, or that it has no address of the family. */
  | { readonly type: "not-found" }
  /** Nobody could say. What was known before may still be right. */
  | { readonly type: "failed"; readonly detail: string };

/** The outside world of a resolver. Tests give their own. */
export interface ResolverEnvironment {
  /** Content of /etc/hosts and /etc/resolv.conf; "" where the file is missing. */
  readHosts(): Promise<string>;
  readResolvConf(): Promise<string>;
  /** Asks the name servers for one name, without any search list. */
  query(name: string, family: 4 | 6, conf: ResolvConf): Promise<Resolution>;
}

/**
 * Resolves names as the C library does, but with TTLs: address literals; the hosts file; then DNS with the search list
 * and `ndots` of resolv.conf. (`dns.lookup` knows no TTL and takes a thread of the pool; `dns.resolve4` knows neither
 * hosts file nor search list.) Both files are read for every name, so a change counts at once. Never rejects.
 */
export class NameResolver {
  readonly #environment: ResolverEnvironment;

  constructor(environment: ResolverEnvironment = systemEnvironment()) {
    this.#environment = environment;
  }

  async resolve(name: string, family: LookupFamily): Promise<Resolution> {
    if (isIP(name) !== 0) return choose([{ type: "found", addresses: [name], ttlMs: undefined }], family);
    const local = localAddresses(withoutFinalDot(name).toLowerCase(), parseHosts(await this.#environment.readHosts()));
    if (local !== undefined) return choose([{ type: "found", addresses: local, ttlMs: undefined }], family);
    return this.#search(name, family, parseResolvConf(await this.#environment.readResolvConf()));
  }

  /**
   * The first candidate that has addresses wins. Where none has, a server that failed outweighs one that knew of
   * nothing, since the name may well exist.
   */
  async #search(name: string, family: LookupFamily, conf: ResolvConf): Promise<Resolution> {
    let result: Resolution = { type: "not-found" };
    for (const candidate of candidateNames(name, conf)) {
      const found = await this.#ask(candidate, family, conf);
      if (found.type === "found") return found;
      if (found.type === "failed") result = found;
    }
    return result;
  }

  async #ask(name: string, family: LookupFamily, conf: ResolvConf): Promise<Resolution> {
    const families =
      family === "V4_ONLY" ? [4 as const] : family === "V6_ONLY" ? [6 as const] : [6 as const, 4 as const];
    return choose(await Promise.all(families.map((one) => this.#environment.query(name, one, conf))), family);
  }
}

/** Reads the system's files and asks the name servers that they name. */
export function systemEnvironment(): ResolverEnvironment {
  return {
    readHosts: () => readOrEmpty("/etc/hosts"),
    readResolvConf: () => readOrEmpty("/etc/resolv.conf"),
    query: queryDns,
  };
}

/** One question to the name servers of `conf` (an address, or "address:port"). */
export async function queryDns(name: string, family: 4 | 6, conf: ResolvConf): Promise<Resolution> {
  const resolver = new Resolver({ timeout: conf.timeoutMs, tries: conf.attempts });
  if (conf.nameservers.length > 0) resolver.setServers(conf.nameservers);
  try {
    const records = await (family === 4
      ? resolver.resolve4(name, { ttl: true })
      : resolver.resolve6(name, { ttl: true }));
    if (records.length === 0) return { type: "not-found" };
    const ttl = Math.min(...records.map((record) => record.ttl));
    return { type: "found", addresses: records.map(({ address }) => address), ttlMs: 1000 * ttl };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    if (NO_SUCH_NAME.has(code)) return { type: "not-found" };
    return { type: "failed", detail: `${name}: ${code} from ${conf.nameservers.join(", ") || "the name server"}` };
  }
}

/** The name does not exist; it exists without such records; or it is no name that DNS could carry. */
const NO_SUCH_NAME: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA", "EBADNAME"]);

/** RFC 6761 §6.3: localhost is never asked of a server, whether or not the hosts file has it. */
function localAddresses(name: string, hosts: HostsTable): readonly string[] | undefined {
  const listed = hosts.get(name);
  if (listed !== undefined) return listed;
  return name === "localhost" || name.endsWith(".localhost") ? ["127.0.0.1", "::1"] : undefined;
}

/** Puts the answers for both families together as the lookup family wants it. */
function choose(answers: readonly Resolution[], family: LookupFamily): Resolution {
  const found = answers.filter((answer) => answer.type === "found");
  const addresses = wanted(
    found.flatMap((answer) => answer.addresses),
    family,
  );
  if (addresses.length === 0) return answers.find(({ type }) => type === "failed") ?? { type: "not-found" };
  const ttls = found
    .filter((answer) => answer.addresses.some((address) => addresses.includes(address)))
    .flatMap(({ ttlMs }) => ttlMs ?? []);
  return { type: "found", addresses, ttlMs: ttls.length === 0 ? undefined : Math.min(...ttls) };
}

function wanted(addresses: readonly string[], family: LookupFamily): readonly string[] {
  const v4 = addresses.filter((address) => isIP(address) === 4);
  const v6 = addresses.filter((address) => isIP(address) === 6);
  switch (family) {
    case "V4_ONLY":
      return v4;
    case "V6_ONLY":
      return v6;
    case "AUTO":
      return v6.length > 0 ? v6 : v4;
    case "V4_PREFERRED":
      return v4.length > 0 ? v4 : v6;
    case "ALL":
      return [...v6, ...v4];
    default:
      throw new Error(`unknown lookup family ${JSON.stringify(family satisfies never)}`);
  }
}

async function readOrEmpty(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return ""; // a container may have neither file
  }
}
