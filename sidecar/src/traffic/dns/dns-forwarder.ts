import { callbackTimer, type WheelTimer } from "@heddle/base";
import type { Dialling } from "@heddle/net";
import type { DnsClientConfig, DnsServer } from "@heddle/traffic";
import type { DnsEnv, InternetAddress } from "./dns-env.ts";
import { type DnsQuery, parseResponse, questionOf, RCODE, withId } from "./dns-message.ts";
import type { DnsServers } from "./dns-servers.ts";
import type { DnsStats } from "./dns-stats.ts";
import { FrameReader, framed } from "./frame-reader.ts";

/** Servers and repetitions together; a client has given up long before. */
const MOST_ATTEMPTS = 6;

/**
 * Asks the name servers what was asked here, as bytes: EDNS, DNSSEC and types that nobody here knows pass as they are. What is
 * our own is the id, and a socket for each attempt, whose port the system draws: whoever invents answers has to guess both
 * (RFC 5452 §9). Waits for no more answers than `maxPendingLookups`.
 */
export class DnsForwarder {
  readonly config: DnsClientConfig;
  readonly env: DnsEnv;
  readonly stats: DnsStats;
  readonly #servers: DnsServers;
  readonly #pending = new Set<Lookup>();
  /** The server that has answered last is asked first. */
  #preferred: DnsServer | undefined = undefined;

  constructor(config: DnsClientConfig, servers: DnsServers, env: DnsEnv, stats: DnsStats) {
    this.config = config;
    this.env = env;
    this.stats = stats;
    this.#servers = servers;
  }

  get pending(): number {
    return this.#pending.size;
  }

  /**
   * `onAnswer` is called once, later: with the answer under the client's id, or with nothing where nobody has answered.
   * Undefined: too many wait already, or there is nobody to ask.
   */
  ask(
    message: Uint8Array,
    query: DnsQuery,
    byTcp: boolean,
    onAnswer: (answer: Uint8Array | undefined) => void,
  ): Lookup | undefined {
    const servers = this.#inOrder();
    if (servers.length === 0 || this.#pending.size >= this.config.maxPendingLookups) return undefined;
    const lookup = new Lookup(this, Uint8Array.from(message), query, servers, byTcp || this.config.useTcp, onAnswer);
    this.#pending.add(lookup);
    lookup.attempt();
    return lookup;
  }

  ended(lookup: Lookup, by: DnsServer | undefined): void {
    this.#pending.delete(lookup);
    if (by !== undefined) this.#preferred = by;
  }

  close(): void {
    for (const lookup of this.#pending) lookup.cancel();
  }

  #inOrder(): readonly DnsServer[] {
    const servers = this.#servers.current();
    const first = servers.findIndex(
      ({ address, port }) => address === this.#preferred?.address && port === this.#preferred.port,
    );
    return first <= 0 ? servers : [...servers.slice(first), ...servers.slice(0, first)];
  }
}

/** One question that is under way. Attempts that have been given up still listen: a late answer is an answer. */
export class Lookup {
  readonly #forwarder: DnsForwarder;
  readonly #message: Uint8Array;
  readonly #query: DnsQuery;
  readonly #question: Uint8Array;
  readonly #servers: readonly DnsServer[];
  readonly #byTcp: boolean;
  readonly #onAnswer: (answer: Uint8Array | undefined) => void;
  readonly #most: number;
  readonly #open: { close(): void }[] = [];
  readonly #timer: WheelTimer;
  #attempts = 0;
  /** Attempts of which nothing can come any more. */
  #failed = 0;
  /** A server's failure, to be passed on where no other server does better. */
  #refusal: Uint8Array | undefined = undefined;
  #done = false;

  constructor(
    forwarder: DnsForwarder,
    message: Uint8Array,
    query: DnsQuery,
    servers: readonly DnsServer[],
    byTcp: boolean,
    onAnswer: (answer: Uint8Array | undefined) => void,
  ) {
    this.#forwarder = forwarder;
    this.#message = message;
    this.#query = query;
    this.#question = questionOf(message, query);
    this.#servers = servers;
    this.#byTcp = byTcp;
    this.#onAnswer = onAnswer;
    this.#most = Math.min(MOST_ATTEMPTS, Math.max(servers.length, 1 + forwarder.config.retries));
    this.#timer = callbackTimer(() => this.#next());
  }

  /** Asks the next server. */
  attempt(): void {
    const { env, config, stats } = this.#forwarder;
    const server = this.#servers[this.#attempts % this.#servers.length]!; // at least one
    if (this.#attempts > 0) stats.externalRetries.add();
    this.#attempts++;
    const id = env.randomId();
    const target: InternetAddress = { type: "socket", address: server.address, port: server.port };
    env.wheel.start(this.#timer, config.resolverTimeoutMs);
    const message = withId(this.#message, id);
    if (this.#byTcp) this.#askByTcp(server, target, id, message);
    else this.#askByUdp(server, target, id, message);
  }

  /** The client is gone: nobody hears of it. */
  cancel(): void {
    this.#end(undefined);
  }

  #askByUdp(server: DnsServer, target: InternetAddress, id: number, message: Uint8Array): void {
    let over = false;
    const socket = this.#forwarder.env.openDatagrams(target, {
      onDatagram: (bytes) => {
        if (!over) this.#heard(bytes, id, server, fail);
      },
      onError: () => fail(),
    });
    const fail = (): void => {
      if (over) return;
      over = true;
      socket.close();
      this.#failedOne();
    };
    this.#open.push(socket);
    socket.send(message);
  }

  #askByTcp(server: DnsServer, target: InternetAddress, id: number, message: Uint8Array): void {
    const { env, config } = this.#forwarder;
    let over = false;
    const fail = (): void => {
      if (over) return;
      over = true;
      this.#failedOne();
    };
    const reader = new FrameReader();
    const dialling: Dialling = env.dial(target, config.resolverTimeoutMs, {
      onFailed: fail,
      onConnected: (connection) => {
        if (this.#done) {
          connection.destroy();
          return;
        }
        this.#open.push({ close: () => connection.destroy() });
        connection.start({
          onData: (bytes) => {
            reader.push(bytes);
            for (let frame = reader.next(); frame !== undefined && !this.#done && !over; frame = reader.next())
              this.#heard(frame, id, server, fail);
          },
          onEnd: () => connection.destroy(),
          onDrain: () => undefined,
          onClose: fail,
        });
        connection.writeBytes(framed(message));
      },
    });
    this.#open.push({ close: () => dialling.cancel() });
  }

  #heard(bytes: Uint8Array, id: number, server: DnsServer, fail: () => void): void {
    if (this.#done) return;
    const response = parseResponse(bytes, id, this.#question);
    if (response === undefined) return; // somebody's guess, or an answer to something else
    const answer = withId(bytes, this.#query.id);
    if (PASSED_OVER.has(response.rcode) && this.#servers.length > 1) {
      this.#refusal ??= answer;
      fail();
    } else {
      this.#end(answer, server);
    }
  }

  /** Nothing comes of one attempt: there may be another server, and another attempt may still be under way. */
  #failedOne(): void {
    if (this.#done) return;
    this.#failed++;
    if (this.#attempts < this.#most) this.attempt();
    else if (this.#failed >= this.#attempts) this.#end(this.#refusal);
  }

  #next(): void {
    if (this.#attempts < this.#most) this.attempt();
    else this.#end(this.#refusal);
  }

  #end(answer: Uint8Array | undefined, by?: DnsServer): void {
    if (this.#done) return;
    this.#done = true;
    this.#forwarder.env.wheel.cancel(this.#timer);
    for (const one of this.#open) one.close();
    this.#forwarder.ended(this, by);
    this.#onAnswer(answer);
  }
}

/** With these another server is asked, as resolvers do. */
const PASSED_OVER: ReadonlySet<number> = new Set([RCODE.SERVFAIL, RCODE.NOTIMP, RCODE.REFUSED]);
