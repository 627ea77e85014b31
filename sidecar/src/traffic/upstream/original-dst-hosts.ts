import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { callbackTimer, failure, formatIp, isLoopback, parseIp, type WheelTimer } from "@heddle/base";
import type { DownstreamInfo } from "@heddle/filter";
import type { RequestHead } from "@heddle/http";
import { formatHostPort } from "@heddle/net";
import { Endpoint, type OriginalDstDiscovery, type Pick } from "@heddle/traffic";
import type { UpstreamEnv } from "./upstream-env.ts";

/** Who asks for an endpoint; an exchange is one. */
export interface Asker {
  readonly downstream: DownstreamInfo;
  /** Left out: it has none. */
  readonly hasMetadata?: boolean;
  /** Dynamic metadata of the request, by namespace and key. Asked for only where it has some. */
  readonly metadata?: Metadata;
}

type Metadata = ReadonlyMap<string, ReadonlyMap<string, unknown>>;

export interface OriginalDstEvents {
  /** What should have named the endpoint is no IP address and port, or names ourselves. */
  onInvalid(): void;
  /** Nobody is sent there any more. */
  onForgotten(endpoint: Endpoint): void;
}

/**
 * The endpoints of a cluster of type ORIGINAL_DST: where clients have meant to go. As in Envoy one that nobody was sent to
 * for a `cleanup_interval` is forgotten with its idle connections, at the end of the next one at the latest.
 *
 * What is meant for the very socket that has taken it is refused: dialled, it would come back for ever. (Envoy dials it.)
 */
export class OriginalDstHosts {
  readonly #discovery: OriginalDstDiscovery;
  readonly #name: string;
  readonly #env: TimerEnv;
  readonly #events: OriginalDstEvents;
  readonly #hosts = new Map<string, Host>();
  readonly #timer: WheelTimer;
  #closed = false;

  constructor(discovery: OriginalDstDiscovery, name: string, env: TimerEnv, events: OriginalDstEvents) {
    this.#discovery = discovery;
    this.#name = name;
    this.#env = env;
    this.#events = events;
    this.#timer = callbackTimer(() => this.#cleanUp());
  }

  get endpoints(): readonly Endpoint[] {
    return [...this.#hosts.values()].map(({ endpoint }) => endpoint);
  }

  has(endpoint: Endpoint): boolean {
    return this.#hosts.get(endpoint.key)?.endpoint === endpoint;
  }

  /** Undefined: nobody's connection asks. */
  pick(request: RequestHead, asker: Asker | undefined): Pick {
    const downstream = asker?.downstream;
    const destination = this.#destination(request, asker);
    if (destination === undefined) return this.#none("no original destination is known");
    const { upstreamPortOverride } = this.#discovery;
    const port = upstreamPortOverride ?? destination.port;
    if (port === listenPortOf(downstream) && isOwnAddress(destination.address)) {
      this.#events.onInvalid();
      return this.#none(`${formatHostPort(destination.address, port)} is where the connection was taken`);
    }
    return this.#host(destination.address, port);
  }

  /** Nobody asks any more. */
  close(): void {
    this.#closed = true;
    this.#env.wheel.cancel(this.#timer);
  }

  // In Envoy's order: metadata, of the request before that of the connection, then a header, then the connection. What cannot be
  // read is counted and passed over.
  #destination(request: RequestHead, asker: Asker | undefined): Destination | undefined {
    const { metadataKey, httpHeaderName } = this.#discovery;
    const downstream = asker?.downstream;
    let found: Destination | undefined;
    if (metadataKey !== undefined) {
      const ofRequest = asker?.hasMetadata === true ? asker.metadata : undefined;
      found = this.#parsed(valueAt(ofRequest, metadataKey) ?? valueAt(downstream?.metadata, metadataKey));
    }
    if (found === undefined && httpHeaderName !== undefined)
      found = this.#parsed(httpHeaderName === ":authority" ? request.authority : request.headers.get(httpHeaderName));
    if (found !== undefined || downstream?.restored === undefined) return found;
    return { address: downstream.localAddress, port: downstream.localPort };
  }

  #parsed(told: unknown): Destination | undefined {
    if (told === undefined || told === "") return undefined;
    const destination = typeof told === "string" ? parseDestination(told) : undefined;
    if (destination === undefined) this.#events.onInvalid();
    return destination;
  }

  #host(address: string, port: number): Pick {
    const key = formatHostPort(address, port);
    const known = this.#hosts.get(key);
    if (known !== undefined) {
      known.used = true;
      return known.endpoint.pick;
    }
    if (this.#hosts.size >= MAX_HOSTS) this.#forget(({ endpoint }) => isQuiet(endpoint));
    if (this.#hosts.size >= MAX_HOSTS) return this.#none(`it has ${MAX_HOSTS} endpoints in use`);
    const endpoint = new Endpoint({
      address: { type: "socket", address, port },
      hostname: "",
      healthStatus: "UNKNOWN",
      loadBalancingWeight: 1,
      metadata: {},
    });
    if (this.#hosts.size === 0 && !this.#closed) this.#startTimer();
    this.#hosts.set(key, { endpoint, used: true });
    return endpoint.pick;
  }

  #none(why: string): Pick {
    const detail = `cluster "${this.#name}": ${why}`;
    return { type: "fail", failure: failure("no-healthy-upstream", "upstream", detail) };
  }

  #startTimer(): void {
    this.#env.wheel.start(this.#timer, this.#discovery.cleanupIntervalMs);
  }

  #cleanUp(): void {
    this.#forget(({ used, endpoint }) => !used && isQuiet(endpoint));
    for (const host of this.#hosts.values()) host.used = false;
    if (this.#hosts.size > 0 && !this.#closed) this.#startTimer();
  }

  #forget(isForgotten: (host: Host) => boolean): void {
    for (const [key, host] of this.#hosts) {
      if (!isForgotten(host)) continue;
      this.#hosts.delete(key);
      this.#events.onForgotten(host.endpoint);
    }
  }
}

type TimerEnv = { readonly wheel: UpstreamEnv["wheel"] };

interface Host {
  readonly endpoint: Endpoint;
  /** Since the last look. */
  used: boolean;
}

interface Destination {
  readonly address: string;
  readonly port: number;
}

/** Who sends clients to ever new addresses (by a header, by a scan) must not fill the memory. */
const MAX_HOSTS = 10_000;

/** Nothing runs to it. Idle connections of a pool are no reason to keep it. */
function isQuiet({ activeRequests }: Endpoint): boolean {
  return activeRequests === 0;
}

/** "10.0.0.1:80", "[2001:db8::1]:80". */
function parseDestination(text: string): Destination | undefined {
  const [, v6, v4, digits = ""] = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const address = v6 ?? v4 ?? "";
  const port = Number(digits);
  if (isIP(address) !== (v6 === undefined ? 4 : 6) || port === 0 || port > 65_535) return undefined;
  const words = parseIp(address);
  return words && { address: formatIp(words), port };
}

function valueAt(
  metadata: Metadata | undefined,
  { namespace, path }: NonNullable<OriginalDstDiscovery["metadataKey"]>,
): unknown {
  const [first = "", ...rest] = path;
  let value: unknown = metadata?.get(namespace)?.get(first);
  for (const key of rest) {
    if (value instanceof Map) value = value.get(key);
    else if (typeof value === "object" && value !== null && Object.hasOwn(value, key))
      value = (value as { readonly [key: string]: unknown })[key];
    else return undefined;
  }
  return value;
}

/** Of the socket that has taken the connection. */
function listenPortOf(downstream: DownstreamInfo | undefined): number | undefined {
  return downstream?.restored?.listenPort ?? downstream?.direct?.localPort ?? downstream?.localPort;
}

/** Asked only where the port is the listener's own, which is rare. */
function isOwnAddress(address: string): boolean {
  const words = parseIp(address);
  if (words === undefined) return false;
  if (isLoopback(words) || address === "0.0.0.0" || address === "::") return true;
  return Object.values(networkInterfaces()).some((all) => all?.some((one) => parsedText(one.address) === address));
}

function parsedText(address: string): string {
  const words = parseIp(address);
  return words === undefined ? address : formatIp(words);
}
