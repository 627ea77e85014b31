import { isIP, isIPv4 } from "node:net";
import type { DnsDomain, DnsFilterConfig, DnsServer, DnsService } from "@heddle/traffic";
import type { DnsEnv } from "./dns-env.ts";
import { DnsForwarder, type Lookup } from "./dns-forwarder.ts";
import {
  type DnsQuery,
  type DnsRecord,
  encodeAnswer,
  encodeFailure,
  MOST_MESSAGE_BYTES,
  parseQuery,
  QTYPE,
  RCODE,
  udpLimit,
} from "./dns-message.ts";
import { DnsServers } from "./dns-servers.ts";
import { DnsStats } from "./dns-stats.ts";
import { DnsTable } from "./dns-table.ts";

export type DnsTransport = "udp" | "tcp";

/** A question whose answer comes later. */
export interface PendingAnswer {
  /** Nobody waits for it any more. */
  cancel(): void;
}

/**
 * Answers questions: names of the table at once, all others by asking name servers, or not at all where there is no client
 * configuration. One for each DNS listener; its listener by TCP has the same.
 */
export class DnsResponder {
  readonly #table: DnsTable;
  readonly #forwarder: DnsForwarder | undefined;
  readonly #servers: DnsServers | undefined;
  readonly #env: DnsEnv;
  readonly #stats: DnsStats;
  #turn = 0;
  #onEmpty: (() => void) | undefined = undefined;

  constructor(config: DnsFilterConfig, own: readonly DnsServer[], env: DnsEnv) {
    this.#env = env;
    this.#stats = new DnsStats(env.metrics, config.statPrefix);
    this.#table = new DnsTable(config);
    if (config.client !== undefined) {
      const servers = new DnsServers(config.client, env.clock, env.readResolvConf, own);
      this.#forwarder = new DnsForwarder(config.client, servers, env, this.#stats);
      this.#servers = servers;
    }
  }

  get pending(): number {
    return this.#forwarder?.pending ?? 0;
  }

  /** `reply` is called at most once; undefined is returned where that has happened, or will not. The bytes are not kept. */
  answer(message: Uint8Array, transport: DnsTransport, reply: (answer: Uint8Array) => void): PendingAnswer | undefined {
    const stats = this.#stats;
    stats.queries.add();
    stats.rxBytes.record(message.length);
    const query = parseQuery(message);
    if (typeof query !== "object") {
      stats.invalidQueries.add();
      if (query !== "ignore") this.#send(encodeFailure(message, query), reply);
      return undefined;
    }
    const startedMs = this.#env.clock.now();
    stats.asked.add(query.type);
    if (query.hasAnswers) stats.withAnswers.add();
    if (query.hasAdditional) stats.withAdditional.add();
    const records = this.#lookUp(query);
    if (records !== undefined) {
      stats.knownDomainQueries.add();
      this.#answerWith(message, query, transport, RCODE.NOERROR, records, reply);
      stats.latency.record(this.#env.clock.now() - startedMs);
      return undefined;
    }
    return this.#forward(message, query, transport, startedMs, reply);
  }

  untilEmpty(): Promise<void> {
    if (this.pending === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#onEmpty = resolve));
  }

  close(): void {
    this.#forwarder?.close();
  }

  /** Undefined: it is no name of the table. */
  #lookUp({ name, type, inClass }: DnsQuery): readonly DnsRecord[] | undefined {
    if (name === undefined || !inClass) return undefined;
    const service = name.startsWith("_") ? this.#table.service(name) : undefined;
    if (service !== undefined) return type === QTYPE.SRV || type === QTYPE.ANY ? this.#targetsOf(service) : NONE;
    const domain = this.#table.find(name) ?? this.#findSearched(name);
    if (domain === undefined || this.#knowsNothing(domain)) return undefined;
    if (type !== QTYPE.A && type !== QTYPE.AAAA && type !== QTYPE.ANY) {
      // The name is there and has no such record. To ask others would bring "no such name", for all types of it.
      this.#stats.localUnsupported.add();
      return NONE;
    }
    return this.#addressesOf(domain, type);
  }

  /**
   * Where it was asked for "orders.shop", a resolver in the namespace web asks for "orders.shop.web.svc.cluster.local" first
   * (ndots:5). Name servers would say that there is no such name, and one to three questions later it would ask for one that
   * is in the table. Nobody else has that name, so it is answered at once. Not for single labels, which every namespace has.
   */
  #findSearched(name: string): DnsDomain | undefined {
    const appended = this.#servers?.firstSearched ?? "";
    if (appended === "" || !name.endsWith(`.${appended}`)) return undefined;
    const asked = name.slice(0, -1 - appended.length);
    return asked.includes(".") ? this.#table.findExact(asked) : undefined;
  }

  #addressesOf(domain: DnsDomain, type: number): readonly DnsRecord[] {
    const { cluster, answerTtlS: ttlS } = domain;
    const addresses = domain.addresses ?? (cluster === undefined ? [] : this.#endpointsOf(cluster));
    const wanted = addresses.filter((address) => type === QTYPE.ANY || isIPv4(address) === (type === QTYPE.A));
    const counters = domain.addresses === undefined ? this.#stats.cluster : this.#stats.local;
    counters.add(type, wanted.length);
    return this.#rotated(wanted).map((address) => ({ type: "address", address, ttlS }));
  }

  /** As in Envoy a cluster that is not there, or has no endpoint, leaves the question to name servers, if there are any. */
  #knowsNothing({ cluster }: DnsDomain): boolean {
    return cluster !== undefined && this.#forwarder !== undefined && this.#endpointsOf(cluster).length === 0;
  }

  /** Names that are no addresses are for nobody. */
  #endpointsOf(cluster: string): readonly string[] {
    const endpoints = this.#env.endpointsOf(cluster) ?? [];
    return [...new Set(endpoints.map(({ address }) => address))].filter((address) => isIP(address) !== 0);
  }

  #targetsOf({ targets, ttlS }: DnsService): readonly DnsRecord[] {
    const records = targets.flatMap(({ hostName, cluster, priority, weight, port }): DnsRecord[] => {
      if (hostName !== undefined) return [{ type: "srv", priority, weight, port, target: hostName, ttlS }];
      const ports = port > 0 ? [port] : (this.#env.endpointsOf(cluster ?? "") ?? []).map((endpoint) => endpoint.port);
      const distinct = [...new Set(ports)];
      return distinct.map((one) => ({ type: "srv", priority, weight, port: one, target: cluster ?? "", ttlS }));
    });
    this.#stats.local.add(QTYPE.SRV, records.length);
    return records;
  }

  /** Each answer begins with another one, since most clients take the first. */
  #rotated(addresses: readonly string[]): readonly string[] {
    if (addresses.length < 2) return addresses;
    const first = this.#turn++ % addresses.length;
    return first === 0 ? addresses : [...addresses.slice(first), ...addresses.slice(0, first)];
  }

  #forward(
    message: Uint8Array,
    query: DnsQuery,
    transport: DnsTransport,
    startedMs: number,
    reply: (answer: Uint8Array) => void,
  ): Lookup | undefined {
    const stats = this.#stats;
    const forwarder = this.#forwarder;
    if (forwarder === undefined) {
      stats.unanswered.add();
      this.#answerWith(message, query, transport, RCODE.NXDOMAIN, NONE, reply);
      return undefined;
    }
    stats.externalQueries.add(query.type);
    const question = message.slice(0, query.questionEnd);
    const lookup = forwarder.ask(message, query, transport === "tcp", (answer) => {
      stats.latency.record(this.#env.clock.now() - startedMs);
      if (answer === undefined) {
        stats.unanswered.add();
        this.#answerWith(question, query, transport, RCODE.SERVFAIL, NONE, reply);
      } else {
        stats.externallyResolved.add();
        stats.externalAnswers.add(query.type);
        // An answer that came by TCP may be too long for a client that has asked by UDP.
        if (transport === "udp" && answer.length > Math.max(udpLimit(query), query.udpPayloadBytes ?? 0))
          this.#send(truncated(question, answer), reply);
        else this.#send(answer, reply);
      }
      if (forwarder.pending === 0) this.#onEmpty?.();
    });
    if (lookup !== undefined) return lookup;
    stats.unanswered.add();
    this.#answerWith(message, query, transport, RCODE.SERVFAIL, NONE, reply);
    return undefined;
  }

  #answerWith(
    message: Uint8Array,
    query: DnsQuery,
    transport: DnsTransport,
    rcode: number,
    records: readonly DnsRecord[],
    reply: (answer: Uint8Array) => void,
  ): void {
    const mostBytes = transport === "udp" ? udpLimit(query) : MOST_MESSAGE_BYTES;
    this.#send(
      encodeAnswer(message, query, { rcode, records, recursive: this.#forwarder !== undefined, mostBytes }),
      reply,
    );
  }

  #send(answer: Uint8Array, reply: (answer: Uint8Array) => void): void {
    this.#stats.responses.add();
    this.#stats.txBytes.record(answer.length);
    reply(answer);
  }
}

/** The header of the answer with TC and without records: the client asks again by TCP. */
function truncated(question: Uint8Array, answer: Uint8Array): Uint8Array {
  const short = Uint8Array.from(question);
  short.set(answer.subarray(2, 4), 2);
  short[2] = short[2]! | 0x02; // TC; a header is there
  short.fill(0, 6, 12);
  return short;
}

const NONE: readonly DnsRecord[] = [];
