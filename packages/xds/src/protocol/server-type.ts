import type { EncodedResource } from "../snapshot.ts";
import type { Dependent } from "./delivery-order.ts";
import { changedBetween, findResource, type Resources, withTtl } from "./resources.ts";
import { Subscription, WILDCARD } from "./subscription.ts";
import { type TypeTraits, traitsOf } from "./type-urls.ts";

/** A resource that the client holds, as far as the server knows; without bytes where the client only claims to hold it. */
export type Sent = EncodedResource | { readonly name: string; readonly version: string; readonly bytes?: undefined };

/** A response that would be right to send now. Nothing has changed in the server's books until it is sent. */
export interface Plan {
  readonly version: string;
  readonly resources: readonly EncodedResource[];
  /** Delta: names that are gone or never were. State of the world: names that are no longer in the set. */
  readonly removed: readonly string[];
  /** The resources are the complete set. */
  readonly replaces: boolean;
  /** Once this is sent, nothing of these resources is left to send or to take away. */
  readonly complete: boolean;
  /** The client has asked for something in it and waits; otherwise the server speaks first. */
  readonly answers: boolean;
  /** Names that were asked for and are answered by a resource without body, since they do not exist (VHDS). */
  readonly missing?: readonly string[];
}

/** How long before a time to live is over a client has heard of its resource again: half of it, as go-control-plane does. */
const HEARTBEAT_SHARE = 0.5;

/** Heartbeats that are nearly due go along with one that is. */
const EARLY_SHARE = 0.3;

/** A response that the client did not take. */
export interface Rejection {
  readonly version: string;
  readonly message: string;
  /** Of the resources that were in the response. */
  readonly names: ReadonlySet<string>;
}

/** What a server knows of one type on one stream: what was asked for, what was sent, and what came of it. */
export class ServerType {
  readonly traits: TypeTraits;
  readonly subscription: Subscription;
  /** By name, what the client holds if it took everything it was sent. */
  readonly sent: Map<string, Sent> = new Map();
  /** Names (or "*") asked for since the last response: they are answered even if nothing has changed. */
  readonly asked: Set<string> = new Set();
  /** Names to send again although they have not changed, since something that refers to them was updated. */
  readonly again: Set<string> = new Set();
  /** By name, what belongs to updates under way and comes on another stream of the node, which has to send it again. */
  readonly elsewhere: Map<string, Dependent> = new Map();
  /** Names that were dropped while a response was under way: the client may have taken them all the same. */
  readonly #limbo: Set<string> = new Set();
  requests = 0;
  /** The first request of the type still waits for its answer. */
  unanswered = false;
  /** State of the world: the latest request crossed a response on its way; nothing is answered until the verdict on that. */
  stale = false;
  /** State of the world: the version that the first request on this stream said it holds. */
  claimedVersion = "";
  /** Of the latest response. */
  nonce = "";
  sentVersion = "";
  sentAtMs = 0;
  /** The latest response, until it has been accepted or rejected. */
  outstanding: Plan | undefined;
  ackedVersion = "";
  rejected: Rejection | undefined;
  /** By name, when the client last heard of a resource that has a time to live. */
  readonly #heardAtMs: Map<string, number> = new Map();
  /** Of these the client holds what it wants, and nothing that is not in them: later ones need only be compared to them. */
  #settled: Resources | undefined;

  constructor(typeUrl: string) {
    this.traits = traitsOf(typeUrl);
    this.subscription = new Subscription(this.traits.complete);
  }

  /** Nothing can be due: the same resources were compared before and nothing has been asked since. */
  isSettled(resources: Resources): boolean {
    return this.#settled === resources && !this.unanswered && this.asked.size === 0 && this.again.size === 0;
  }

  settle(resources: Resources): void {
    this.#settled = resources;
  }

  unsettle(): void {
    this.#settled = undefined;
  }

  /** Books a response as sent: from now on the client holds what is in it, unless it says otherwise. */
  commit(plan: Plan, resources: Resources, nonce: string, nowMs: number): void {
    if (plan.replaces) this.sent.clear();
    for (const resource of plan.resources) {
      this.sent.set(resource.name, resource);
      if (resource.ttlMs !== undefined) this.#heardAtMs.set(resource.name, nowMs);
    }
    for (const name of plan.removed) this.sent.delete(name);
    this.#settled = plan.complete ? resources : undefined;
    this.asked.clear();
    if (plan.complete) this.again.clear();
    else for (const { name } of plan.resources) this.again.delete(name);
    this.unanswered = false;
    this.nonce = nonce;
    this.sentVersion = plan.version;
    this.sentAtMs = nowMs;
    this.outstanding = plan;
  }

  /**
   * Takes the client's verdict on the latest response. A rejection stands until a response with any of the same names has
   * been accepted; the protocol does not say which of them was wrong.
   */
  conclude(error: { readonly message: string } | undefined): void {
    const plan = this.outstanding;
    this.outstanding = undefined;
    this.#limbo.clear();
    if (error !== undefined) {
      const names = plan === undefined ? this.rejected?.names : new Set(namesOf(plan));
      this.rejected = { version: this.sentVersion, message: error.message, names: names ?? new Set() };
    } else if (plan !== undefined) {
      this.ackedVersion = plan.version;
      const rejected = this.rejected?.names;
      const isMended = rejected?.size === 0 || plan.replaces || namesOf(plan).some((name) => rejected?.has(name));
      if (isMended) this.rejected = undefined;
    }
  }

  /** When the first heartbeat is due; infinity when none ever is. */
  heartbeatDue(resources: Resources): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const resource of this.#mortal(resources)) dueMs = Math.min(dueMs, this.#dueMs(resource, HEARTBEAT_SHARE));
    return dueMs;
  }

  /** Books heartbeats as sent, of everything that is due or nearly so. Returns it. */
  beat(resources: Resources, nonce: string, nowMs: number): readonly EncodedResource[] {
    const due = this.#mortal(resources).filter((resource) => this.#dueMs(resource, EARLY_SHARE) <= nowMs);
    for (const name of this.#heardAtMs.keys()) if (!resources.has(name)) this.#heardAtMs.delete(name);
    for (const { name } of due) this.#heardAtMs.set(name, nowMs);
    this.nonce = nonce;
    return due;
  }

  /**
   * What the client may hold that has a time to live, as it is now. Also of a response that it rejected: a client may have
   * taken its good resources, and passes over the heartbeat of what it did not take.
   */
  #mortal(resources: Resources): EncodedResource[] {
    return withTtl(resources).filter(({ name, version }) => this.sent.get(name)?.version === version);
  }

  #dueMs({ name, ttlMs = 0 }: EncodedResource, share: number): number {
    // What came on an earlier stream has been ageing since nobody knows when.
    return (this.#heardAtMs.get(name) ?? Number.NEGATIVE_INFINITY) + ttlMs * share;
  }

  /** Notes the rejection of a response that was not the latest. */
  rejectEarlier(error: { readonly message: string }): void {
    this.rejected = { version: "", message: error.message, names: this.rejected?.names ?? new Set() };
  }

  /** Forgets what was sent of names that are no longer asked for: asked for again, they are sent again. */
  forgetUnwanted(): void {
    for (const [name, sent] of this.sent) {
      if (this.wants(sent)) continue;
      this.sent.delete(name);
      if (this.outstanding !== undefined) this.#limbo.add(name);
    }
    for (const name of this.asked) if (!this.subscription.wants(name)) this.asked.delete(name);
  }

  /** Whether the client asked for it, by its name or by another that it answers to. */
  wants(resource: Sent): boolean {
    if (this.subscription.wants(resource.name)) return true;
    // Of what the client claims to hold nobody knows the other names, which is how a type with such names is asked for.
    if (resource.bytes === undefined) return this.traits.namedByEnvelope === true;
    return resource.aliases?.some((alias) => this.subscription.names.has(alias)) === true;
  }

  /** Whether the client waits for it. */
  isAsked({ name, aliases }: EncodedResource): boolean {
    if (this.asked.size === 0) return false;
    if (this.asked.has(name) || aliases?.some((alias) => this.asked.has(alias)) === true) return true;
    const collection = this.subscription.collectionOf(name);
    return collection !== undefined && this.asked.has(collection);
  }

  /** The wildcard has begun: what the client may have taken in passing is settled with the rest, sent or removed. */
  claimLimbo(): void {
    for (const name of this.#limbo) if (!this.sent.has(name)) this.sent.set(name, { name, version: "" });
  }

  /** Resources that were asked for and differ from what the client holds, or have to be sent anyway. */
  changes(resources: Resources): EncodedResource[] {
    const changes = new Set<EncodedResource>();
    for (const candidate of this.#candidates(resources)) {
      const resource = findResource(resources, candidate);
      if (resource === undefined || !this.wants(resource)) continue;
      const { name } = resource;
      const isNews = this.sent.get(name)?.version !== resource.version;
      if (isNews || this.isAsked(resource) || this.again.has(name)) changes.add(resource);
    }
    return [...changes];
  }

  /** Names that the client holds and that no longer exist. */
  gone(resources: Resources): string[] {
    const candidates = this.#settled === undefined ? this.sent.keys() : changedBetween(this.#settled, resources);
    const gone: string[] = [];
    for (const name of candidates) if (this.sent.has(name) && !resources.has(name)) gone.push(name);
    return gone;
  }

  /** Every name that may have to be sent: few when it is known what the resources were when all was sent. */
  #candidates(resources: Resources): Iterable<string> {
    if (this.#settled !== undefined) {
      const changed = changedBetween(this.#settled, resources);
      if (this.asked.size === 0 && this.again.size === 0) return changed;
      return new Set([...changed, ...this.asked, ...this.again]);
    }
    return this.subscription.isOpen ? resources.keys() : this.subscription.names;
  }
}

/** Only what the client has asked for: what is pushed beside it may have to wait. A complete set stays one. */
export function answersOnly(plan: Plan, type: ServerType): Plan {
  const { asked, unanswered } = type;
  if (plan.replaces || unanswered || asked.has(WILDCARD)) return plan;
  return {
    ...plan,
    resources: plan.resources.filter((resource) => type.isAsked(resource)),
    removed: plan.removed.filter((name) => asked.has(name)),
    complete: false,
  };
}

function namesOf(plan: Plan): string[] {
  return [...plan.resources.map(({ name }) => name), ...plan.removed];
}
