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
  #searched = "";
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
    if (this.#configured) return this.#config.servers;
    this.#readAgain();
    return this.#known;
  }

  /**
   * What resolvers of this machine append first to names of few dots, lower case; "" where they append nothing, or where the
   * configuration names the servers, and may answer for other machines.
   */
  get firstSearched(): string {
    if (this.#configured) return "";
    this.#readAgain();
    return this.#searched;
  }

  get #configured(): boolean {
    return this.#config.servers.length > 0 && !this.#config.serversAsFallback;
  }

  #readAgain(): void {
    const now = this.#clock.now();
    if (now - this.#readAtMs < BELIEVED_MS) return;
    this.#readAtMs = now;
    const { nameservers, search } = parseResolvConf(this.#read());
    const found = nameservers.map((address) => ({ address, port: DNS_PORT }));
    const { servers } = this.#config;
    const all = found.length > 0 ? found : servers.length > 0 ? servers : LOCAL;
    this.#known = all.filter((server) => !this.#own.has(keyOf(server)));
    this.#searched = search[0]?.toLowerCase() ?? "";
  }
}

function keyOf({ address, port }: DnsServer): string {
  return `${address} ${port}`;
}
