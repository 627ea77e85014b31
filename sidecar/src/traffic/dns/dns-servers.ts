import type { Clock } from "@heddle/base";
import { parseResolvConf } from "@heddle/net";
import type { DnsClientConfig, DnsServer } from "@heddle/traffic";

/** How long what resolv.conf said is believed. */
const BELIEVED_MS = 5000;
const DNS_PORT = 53;
/** resolv.conf(5): what is asked where it names nobody. */
const LOCAL: readonly DnsServer[] = [{ address: "127.0.0.1", port: DNS_PORT }];

/** Whom a filter asks what it does not know itself: the servers of its configuration, else those of resolv.conf. */
export class DnsServers {
  readonly #config: DnsClientConfig;
  readonly #clock: Clock;
  readonly #read: () => string;
  readonly #own: ReadonlySet<string>;
  #known: readonly DnsServer[] = [];
  #readAtMs = Number.NEGATIVE_INFINITY;

  /** @param own where the filter itself listens: to ask there would never end. */
  constructor(config: DnsClientConfig, clock: Clock, readResolvConf: () => string, own: readonly DnsServer[]) {
    this.#config = config;
    this.#clock = clock;
    this.#read = readResolvConf;
    this.#own = new Set(own.map(keyOf));
  }

  /** In the order in which they are asked. The file is read at most every 5 s, so a change counts soon. */
  current(): readonly DnsServer[] {
    const { servers, serversAsFallback } = this.#config;
    if (servers.length > 0 && !serversAsFallback) return servers;
    const now = this.#clock.now();
    if (now - this.#readAtMs >= BELIEVED_MS) {
      this.#readAtMs = now;
      const found = parseResolvConf(this.#read()).nameservers.map((address) => ({ address, port: DNS_PORT }));
      const all = found.length > 0 ? found : servers.length > 0 ? servers : LOCAL;
      this.#known = all.filter((server) => !this.#own.has(keyOf(server)));
    }
    return this.#known;
  }
}

function keyOf({ address, port }: DnsServer): string {
  return `${address} ${port}`;
}
