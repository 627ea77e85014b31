import type { EncodedResource, Snapshot } from "../snapshot.ts";
import { type Dependent, deliveryRank, dependentsOf, goesLast, isReferrer, isTarget } from "./delivery-order.ts";
import { findResource, type Resources } from "./resources.ts";
import { planDelta, takeDeltaRequest } from "./server-delta.ts";
import { planSotw, takeSotwRequest } from "./server-sotw.ts";
import { answersOnly, type Plan, ServerType } from "./server-type.ts";
import { WILDCARD } from "./subscription.ts";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "./wire.ts";
import { isCollection } from "./xdstp-name.ts";

/** How one variant of the protocol reads requests and decides what is due. */
export interface ServerVariant<Request> {
  readonly name: "sotw" | "delta";
  readonly take: (type: ServerType, request: Request) => void;
  readonly plan: (type: ServerType, resources: Resources, removals: boolean) => Plan | undefined;
}

export const sotwServer: ServerVariant<DiscoveryRequest> = { name: "sotw", take: takeSotwRequest, plan: planSotw };
export const deltaServer: ServerVariant<DeltaDiscoveryRequest> = {
  name: "delta",
  take: takeDeltaRequest,
  plan: planDelta,
};

/** A response to send, before it is bytes. */
export interface ServerResponse {
  readonly typeUrl: string;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly EncodedResource[];
  /** Only the delta variant tells them. */
  readonly removed: readonly string[];
  /** Heartbeats, and names that do not exist where that is how to say so. Left out: none. */
  readonly bodiless?: readonly BodilessResource[];
  /** The client can be told of times to live. */
  readonly withTtl?: boolean;
}

/** A resource without its content: a heartbeat if it has a time to live, otherwise one that does not exist. */
export interface BodilessResource {
  readonly name: string;
  readonly version: string;
  readonly aliases?: readonly string[];
  readonly ttlMs?: number;
}

export type ServerStep =
  | { readonly step: "send"; readonly response: ServerResponse }
  /** Something is due and waits for the client's verdict on what it was sent, but no longer than until then. */
  | { readonly step: "hold"; readonly untilMs: number }
  | { readonly step: "idle" };

/** One type of a session, as status shows it. */
export interface ServerTypeStatus {
  readonly typeUrl: string;
  readonly subscribed: "all" | number;
  /** How many resources the client holds, as far as the server knows. */
  readonly resources: number;
  readonly ackedVersion: string;
  readonly sentVersion: string;
  readonly outstanding: boolean;
  readonly rejected: { readonly version: string; readonly message: string } | undefined;
}

/** One resource as it stands with the client of a session, as far as its server knows (CSDS, `ConfigStatus`). */
export interface ServerResourceStatus {
  readonly typeUrl: string;
  readonly name: string;
  /** "" where the client has none. */
  readonly version: string;
  /** SYNCED: accepted. STALE: sent, and not answered yet. ERROR: rejected. NOT_SENT: asked for, and there is none. */
  readonly state: "SYNCED" | "STALE" | "ERROR" | "NOT_SENT";
  /** Undefined where the client said itself that it has it. */
  readonly content: Uint8Array | undefined;
  readonly rejected: { readonly version: string; readonly message: string } | undefined;
}

/** How long a push waits for the verdict on an earlier response. A client that never answers is served all the same. */
const HOLD_MS = 5000;

const NOTHING: Resources = new Map();
const IDLE: ServerStep = { step: "idle" };
const NO_DEPENDENTS: readonly Dependent[] = [];

/**
 * One xDS stream as its server sees it: no socket, no clock, no queue. Requests are handed in; whoever owns the stream
 * asks for the next response whenever it could write one. What is due is decided at that moment from the newest snapshot,
 * so a slow client gets fewer and newer responses, and nothing piles up.
 *
 * What a client asked for is answered at once. What the server pushes by itself waits while the type's last response is
 * without verdict, so that there is one response of a type under way; listeners and routes also wait for the verdict on
 * clusters and endpoints, and clusters and endpoints are taken away only when no listener or route is under way.
 */
export class ServerSession<Request extends DiscoveryRequest | DeltaDiscoveryRequest> {
  readonly variant: ServerVariant<Request>;
  readonly #types: Map<string, ServerType> = new Map();
  /** The same types in the order of delivery. */
  #ordered: readonly ServerType[] = [];
  #nonces = 0;
  /** The client can be told of times to live (`takesTtl`): known once it has said who it is. */
  withTtl = false;

  constructor(variant: ServerVariant<Request>) {
    this.variant = variant;
  }

  get typeCount(): number {
    return this.#types.size;
  }

  /** Subscribed by name, of all types. */
  get nameCount(): number {
    let count = 0;
    for (const { subscription } of this.#ordered) count += subscription.names.size;
    return count;
  }

  /**
   * Takes in a request, whose type URL has been settled. Returns what other streams of the node have to send again: endpoints
   * that do not come on this one, once their cluster's update has its verdict; before, they could overtake it.
   */
  take(request: Request): readonly Dependent[] {
    const type = this.#type(request.typeUrl);
    this.variant.take(type, request);
    // Of a rejected response a client may have taken what is good.
    if (type.elsewhere.size === 0 || type.outstanding !== undefined) return NO_DEPENDENTS;
    const dependents = [...type.elsewhere.values()];
    type.elsewhere.clear();
    return dependents;
  }

  /** Books as due, changed or not, what this stream carries of these. Whether that is any. */
  sendAgain(dependents: readonly Dependent[]): boolean {
    let any = false;
    for (const { typeUrl, name } of dependents) {
      const type = this.#types.get(typeUrl);
      if (type === undefined || type.requests === 0 || !type.subscription.wants(name)) continue;
      type.again.add(name);
      any = true;
    }
    return any;
  }

  /** What to send now. A response that is returned counts as sent. */
  next(snapshot: Snapshot | undefined, nowMs: number): ServerStep {
    if (snapshot === undefined) return IDLE;
    // As it is after each response that has left, and after each ACK.
    if (!this.withTtl && this.#isSettled(snapshot)) return IDLE;
    const due = this.#due(snapshot, nowMs);
    let untilMs = this.#removalsHeldUntil(snapshot, nowMs);
    for (const { type, plan } of due) {
      const until = this.#pushHeldUntil(type);
      if (until <= nowMs) return this.#send(type, plan, snapshot, nowMs);
      if (plan.answers && !type.stale) return this.#send(type, answersOnly(plan, type), snapshot, nowMs);
      untilMs = Math.min(untilMs, until);
    }
    const beatMs = this.#heartbeatDue(snapshot);
    if (beatMs <= nowMs) return this.#beat(snapshot, nowMs);
    untilMs = Math.min(untilMs, beatMs);
    return untilMs === Number.POSITIVE_INFINITY ? IDLE : { step: "hold", untilMs };
  }

  /** Nothing can be due, of any type. */
  #isSettled({ resources }: Snapshot): boolean {
    for (const type of this.#ordered)
      if (type.requests > 0 && !type.isSettled(resources.get(type.traits.typeUrl) ?? NOTHING)) return false;
    return true;
  }

  /** Names that were asked for since the last response and that the snapshot does not have. */
  missing(snapshot: Snapshot): { readonly typeUrl: string; readonly names: readonly string[] }[] {
    const missing: { readonly typeUrl: string; readonly names: readonly string[] }[] = [];
    for (const { traits, asked } of this.#ordered) {
      if (asked.size === 0) continue;
      const { typeUrl } = traits;
      const resources = snapshot.resources.get(typeUrl) ?? NOTHING;
      const names = [...asked].filter(
        (name) => name !== WILDCARD && !isCollection(name) && findResource(resources, name) === undefined,
      );
      if (names.length > 0) missing.push({ typeUrl, names });
    }
    return missing;
  }

  status(): ServerTypeStatus[] {
    return this.#ordered.filter((type) => type.requests > 0).map(statusOf);
  }

  /** Everything that the client holds, is being sent, or has asked for by name. */
  resources(): ServerResourceStatus[] {
    return this.#ordered.filter((type) => type.requests > 0).flatMap(resourcesOf);
  }

  /** Everything that would be right to send, answers first, then in the order of delivery. */
  #due(snapshot: Snapshot, nowMs: number): readonly { readonly type: ServerType; readonly plan: Plan }[] {
    const due: { type: ServerType; plan: Plan }[] = [];
    let referrersUnderWay = false;
    // Backwards, since whether clusters may go depends on the listeners and routes.
    for (const type of this.#ordered.toReversed()) {
      if (type.requests === 0) continue;
      const resources = snapshot.resources.get(type.traits.typeUrl) ?? NOTHING;
      const plan = this.variant.plan(type, resources, !(goesLast(type.traits.typeUrl) && referrersUnderWay));
      if (isReferrer(type.traits.typeUrl) && (plan !== undefined || isWaiting(type, nowMs))) referrersUnderWay = true;
      if (plan !== undefined) due.push({ type, plan });
    }
    due.reverse();
    return [...due.filter(({ plan }) => plan.answers), ...due.filter(({ plan }) => !plan.answers)];
  }

  #pushHeldUntil(type: ServerType): number {
    let until = verdictDue(type);
    if (!isReferrer(type.traits.typeUrl)) return until;
    for (const other of this.#ordered) if (isTarget(other.traits.typeUrl)) until = Math.max(until, verdictDue(other));
    return until;
  }

  /** When clusters and endpoints that are gone may be taken away at the latest; infinity when none are. */
  #removalsHeldUntil(snapshot: Snapshot, nowMs: number): number {
    let until = 0;
    for (const type of this.#ordered) if (isReferrer(type.traits.typeUrl)) until = Math.max(until, verdictDue(type));
    if (until <= nowMs) return Number.POSITIVE_INFINITY;
    const held = this.#ordered.some((type) => {
      const resources = snapshot.resources.get(type.traits.typeUrl) ?? NOTHING;
      return goesLast(type.traits.typeUrl) && !type.isSettled(resources) && type.gone(resources).length > 0;
    });
    return held ? until : Number.POSITIVE_INFINITY;
  }

  #send(type: ServerType, plan: Plan, snapshot: Snapshot, nowMs: number): ServerStep {
    const { typeUrl } = type.traits;
    // What it holds from an earlier stream is not known by name in the state of the world.
    const mayHoldAny = type.nonce === "" && type.claimedVersion !== "";
    for (const resource of plan.resources) {
      const before = type.sent.get(resource.name);
      if (before?.version === resource.version) continue;
      for (const dependent of dependentsOf(typeUrl, resource)) {
        const carrier = this.#type(dependent.typeUrl);
        carrier.again.add(dependent.name);
        if (carrier.requests === 0 && (before !== undefined || mayHoldAny))
          type.elsewhere.set(dependent.name, dependent);
      }
    }
    this.#boundAgain(snapshot);
    const nonce = String((this.#nonces += 1));
    type.commit(plan, snapshot.resources.get(typeUrl) ?? NOTHING, nonce, nowMs);
    const { version, resources, removed, missing = [] } = plan;
    const bodiless = missing.map((name) => ({ name, aliases: [name], version: "" }));
    const { withTtl } = this;
    return { step: "send", response: { typeUrl, version, nonce, resources, removed, bodiless, withTtl } };
  }

  #heartbeatDue(snapshot: Snapshot): number {
    let dueMs = Number.POSITIVE_INFINITY;
    if (!this.withTtl) return dueMs;
    for (const type of this.#ordered) {
      const resources = snapshot.resources.get(type.traits.typeUrl);
      if (resources !== undefined && type.requests > 0) dueMs = Math.min(dueMs, heartbeatDue(type, resources));
    }
    return dueMs;
  }

  /** Tells a client that what has a time to live goes on. Nothing changes by it, and its verdict says nothing. */
  #beat(snapshot: Snapshot, nowMs: number): ServerStep {
    for (const type of this.#ordered) {
      const { typeUrl } = type.traits;
      const resources = snapshot.resources.get(typeUrl);
      if (resources === undefined || type.requests === 0 || heartbeatDue(type, resources) > nowMs) continue;
      const nonce = String((this.#nonces += 1));
      const bodiless = type.beat(resources, nonce, nowMs);
      const version = type.sentVersion;
      return {
        step: "send",
        response: { typeUrl, version, nonce, resources: [], removed: [], bodiless, withTtl: true },
      };
    }
    return IDLE;
  }

  /** A client may never ask for a type that its resources refer to, or never give a verdict; what would be sent again is then kept small. */
  #boundAgain(snapshot: Snapshot): void {
    for (const type of this.#ordered) {
      const resources = snapshot.resources.get(type.traits.typeUrl) ?? NOTHING;
      if (type.elsewhere.size > resources.size) {
        for (const [name, { typeUrl }] of type.elsewhere)
          if (snapshot.resources.get(typeUrl)?.has(name) !== true) type.elsewhere.delete(name);
      }
      if (type.again.size <= resources.size) continue;
      for (const name of type.again) if (!resources.has(name)) type.again.delete(name);
    }
  }

  #type(typeUrl: string): ServerType {
    let type = this.#types.get(typeUrl);
    if (type === undefined) {
      type = new ServerType(typeUrl);
      this.#types.set(typeUrl, type);
      this.#ordered = [...this.#types.values()].sort(byRank);
    }
    return type;
  }
}

function byRank(a: ServerType, b: ServerType): number {
  return deliveryRank(a.traits.typeUrl) - deliveryRank(b.traits.typeUrl);
}

/** When a push need no longer wait for that type's verdict; 0 when there is none to wait for. */
function verdictDue(type: ServerType): number {
  return type.outstanding === undefined ? 0 : type.sentAtMs + HOLD_MS;
}

/** A verdict is waited for as pushes wait for it: a heartbeat in between would take its nonce away. */
function heartbeatDue(type: ServerType, resources: Resources): number {
  return Math.max(type.heartbeatDue(resources), verdictDue(type));
}

function isWaiting(type: ServerType, nowMs: number): boolean {
  return verdictDue(type) > nowMs;
}

function statusOf(type: ServerType): ServerTypeStatus {
  const { typeUrl } = type.traits;
  const { wildcard, names } = type.subscription;
  const { ackedVersion, sentVersion, rejected } = type;
  return {
    typeUrl,
    subscribed: wildcard ? "all" : names.size,
    resources: type.sent.size,
    ackedVersion,
    sentVersion,
    outstanding: type.outstanding !== undefined,
    rejected: rejected && { version: rejected.version, message: rejected.message },
  };
}

function resourcesOf(type: ServerType): ServerResourceStatus[] {
  const { traits, sent, subscription, outstanding, rejected } = type;
  const { typeUrl } = traits;
  const underWay = new Set(outstanding?.resources.map(({ name }) => name));
  const held = [...sent.values()].map(({ name, version, bytes }): ServerResourceStatus => {
    const why = rejected?.names.has(name) ? { version: rejected.version, message: rejected.message } : undefined;
    const state = underWay.has(name) ? "STALE" : why === undefined ? "SYNCED" : "ERROR";
    return { typeUrl, name, version, state, content: bytes, rejected: why };
  });
  const missing = [...subscription.names].filter((name) => !sent.has(name));
  return [
    ...held,
    ...missing.map((name): ServerResourceStatus => {
      return { typeUrl, name, version: "", state: "NOT_SENT", content: undefined, rejected: undefined };
    }),
  ];
}
