import type { Clock } from "@heddle/base";
import { addressKey, Endpoint } from "./endpoint.ts";
import type { EndpointConfig, EndpointsConfig, LocalityEndpoints } from "./endpoints-config.ts";

/** A cluster's endpoints at one moment. Immutable; the next one is built against it. */
export interface EndpointSet {
  readonly config: EndpointsConfig;
  /** By `Endpoint.key`. An address that stands in several localities counts in the first. */
  readonly byKey: ReadonlyMap<string, Endpoint>;
  /** By priority, 0 first; a priority that nobody uses is empty. */
  readonly priorities: readonly PriorityEndpoints[];
  /** All of them have the same: so pickers need not look through ten thousand for it. */
  readonly equalWeights: boolean;
}

export interface PriorityEndpoints {
  readonly localities: readonly LocalityMembers[];
  readonly total: number;
  readonly healthy: number;
  readonly degraded: number;
}

export interface LocalityMembers {
  /** "region/zone/subZone". */
  readonly name: string;
  readonly locality: LocalityEndpoints["locality"];
  /** Undefined: none was given, so localities count by the number of their endpoints. */
  readonly weight: number | undefined;
  readonly all: readonly Endpoint[];
  readonly healthy: readonly Endpoint[];
  readonly degraded: readonly Endpoint[];
}

/**
 * Builds the next set. An address that `previous` knows keeps its `Endpoint`, whose `config` is brought up to date; the
 * others are made.
 */
export function buildEndpointSet(config: EndpointsConfig, previous?: EndpointSet): EndpointSet {
  return new EndpointSetBuilder(config, previous).finish();
}

/**
 * The same in slices, for what must not stand still while ten thousand endpoints come:
 *
 *     const builder = new EndpointSetBuilder(config, previous);
 *     if (builder.step(1, clock)) use(builder.finish());   // else again, next turn
 *
 * Until `finish`, which is quick then, nothing of `previous` has changed.
 */
export class EndpointSetBuilder {
  readonly previous: EndpointSet | undefined;
  readonly #config: EndpointsConfig;
  readonly #byKey = new Map<string, Endpoint>();
  readonly #localities: LocalityMembers[][] = [];
  /** How many are of `previous`. */
  #kept = 0;
  /** Of those, where something else is said of them now. */
  readonly #changed: Endpoint[] = [];
  readonly #changedConfigs: EndpointConfig[] = [];
  #compared: { readonly one: Metadata; readonly other: Metadata; readonly isSame: boolean } | undefined = undefined;
  #weight: number | undefined = undefined;
  #equalWeights = true;
  /** Of `previous`, and not in this set: their owner drains them. Known once only `finish` is left. */
  readonly removed: Endpoint[] = [];
  /** Where the search for those has come to. Undefined: it has not begun. */
  #candidates: Iterator<Endpoint> | undefined = undefined;
  #locality = 0;
  #open = { all: [] as Endpoint[], healthy: [] as Endpoint[], degraded: [] as Endpoint[] };
  #row = 0;

  constructor(config: EndpointsConfig, previous?: EndpointSet) {
    this.#config = config;
    this.previous = previous;
  }

  /** Goes on for at most about `budgetMs`. True when only `finish` is left. */
  step(budgetMs: number, clock: Clock): boolean {
    const until = clock.now() + budgetMs;
    while (!this.#build(ENDPOINTS_PER_LOOK)) if (clock.now() >= until) return false;
    return true;
  }

  /** Does what is left, and brings the endpoints that stay up to date. */
  finish(): EndpointSet {
    while (!this.#build(Number.POSITIVE_INFINITY));
    const [changed, configs] = [this.#changed, this.#changedConfigs];
    for (let i = 0; i < changed.length; i++) changed[i]!.config = configs[i]!; // as many, pushed together
    const priorities = Array.from(this.#localities, (members) => countPriority(members ?? []));
    return { config: this.#config, byKey: this.#byKey, priorities, equalWeights: this.#equalWeights };
  }

  /** Looks at no more than that many endpoints. True when there are no more. */
  #build(most: number): boolean {
    let left = most;
    for (;;) {
      const locality = this.#config.localities[this.#locality];
      if (locality === undefined) return this.#findRemoved(left);
      const { endpoints } = locality;
      for (; this.#row < endpoints.length && left > 0; left -= 1) this.#take(endpoints[this.#row++]!); // below the length
      if (this.#row < endpoints.length) return false;
      this.#close(locality);
      left -= 1; // a thousand localities without endpoints are work too
    }
  }

  #findRemoved(most: number): boolean {
    const before = this.previous?.byKey;
    if (before === undefined || this.#kept === before.size) return true; // mostly
    this.#candidates ??= before.values();
    for (let left = most; left > 0; left -= 1) {
      const { done, value: endpoint } = this.#candidates.next();
      if (done === true) return true;
      if (!this.#byKey.has(endpoint.key)) this.removed.push(endpoint);
    }
    return false;
  }

  #close({ locality, loadBalancingWeight: weight, priority }: LocalityEndpoints): void {
    const name = `${locality.region}/${locality.zone}/${locality.subZone}`;
    (this.#localities[priority] ??= []).push({ name, locality, weight, ...this.#open });
    this.#open = { all: [], healthy: [], degraded: [] };
    this.#locality += 1;
    this.#row = 0;
  }

  /** Mostly nothing else is said of it, and then `finish` has nothing to do: ten thousand would take it 1 ms. */
  #keep(endpoint: Endpoint, config: EndpointConfig): void {
    this.#kept += 1;
    if (this.#saysTheSame(endpoint.config, config))
      endpoint.config = config; // so that the one before can be let go
    else {
      this.#changed.push(endpoint);
      this.#changedConfigs.push(config);
    }
  }

  /** Of the same address. */
  #saysTheSame(one: EndpointConfig, other: EndpointConfig): boolean {
    return (
      one.healthStatus === other.healthStatus &&
      one.loadBalancingWeight === other.loadBalancingWeight &&
      one.hostname === other.hostname &&
      this.#isSameMetadata(one.metadata, other.metadata)
    );
  }

  /** Endpoints with equal metadata share one object where they have come together, so mostly these two have just been compared. */
  #isSameMetadata(one: Metadata, other: Metadata): boolean {
    const last = this.#compared;
    if (last?.one === one && last.other === other) return last.isSame;
    const isSame = JSON.stringify(one) === JSON.stringify(other); // their keys are in order
    this.#compared = { one, other, isSame };
    return isSame;
  }

  #take(config: EndpointConfig): void {
    const key = addressKey(config.address);
    if (this.#byKey.has(key)) return;
    let endpoint = this.previous?.byKey.get(key);
    if (endpoint === undefined) endpoint = new Endpoint(config, key);
    else this.#keep(endpoint, config);
    this.#weight ??= config.loadBalancingWeight;
    if (config.loadBalancingWeight !== this.#weight) this.#equalWeights = false;
    this.#byKey.set(key, endpoint);
    this.#open.all.push(endpoint);
    const health = healthOf(config);
    if (health === "healthy") this.#open.healthy.push(endpoint);
    else if (health === "degraded") this.#open.degraded.push(endpoint);
  }
}

type Metadata = EndpointConfig["metadata"];

/** Between two looks at the clock. */
const ENDPOINTS_PER_LOOK = 64;

/** UNKNOWN counts as healthy: nobody checks, so nobody has found fault (Envoy, `EdsHealth`). */
function healthOf({ healthStatus }: EndpointConfig): "healthy" | "degraded" | "unhealthy" {
  switch (healthStatus) {
    case "UNKNOWN":
    case "HEALTHY":
      return "healthy";
    case "DEGRADED":
      return "degraded";
    case "UNHEALTHY":
    case "DRAINING":
    case "TIMEOUT":
      return "unhealthy";
    default:
      throw new Error(`unknown health status ${JSON.stringify(healthStatus satisfies never)}`);
  }
}

function countPriority(localities: readonly LocalityMembers[]): PriorityEndpoints {
  return {
    localities,
    total: sum(localities, ({ all }) => all.length),
    healthy: sum(localities, ({ healthy }) => healthy.length),
    degraded: sum(localities, ({ degraded }) => degraded.length),
  };
}

function sum<T>(list: readonly T[], value: (item: T) => number): number {
  return list.reduce((total, item) => total + value(item), 0);
}
