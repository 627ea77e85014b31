import { createHash } from "node:crypto";
import type { EncodedResource } from "../snapshot.ts";
import { Subscription } from "./subscription.ts";
import { type TypeTraits, traitsOf } from "./type-urls.ts";

/** The resources of one type of a snapshot, by name. Its identity stands for its content. */
export type Resources = ReadonlyMap<string, EncodedResource>;

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
  /** The client has asked for something in it and waits; otherwise the server speaks first. */
  readonly answers: boolean;
}

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
  /** Names that were dropped while a response was under way: the client may have taken them all the same. */
  readonly #limbo: Set<string> = new Set();
  requests = 0;
  responses = 0;
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
  /** The resources that were last compared, and came out equal to what was sent. */
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
  commit(plan: Plan, nonce: string, nowMs: number): void {
    if (plan.replaces) this.sent.clear();
    for (const resource of plan.resources) this.sent.set(resource.name, resource);
    for (const name of plan.removed) this.sent.delete(name);
    this.asked.clear();
    this.again.clear();
    this.unanswered = false;
    this.responses += 1;
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
      const names = new Set(plan?.resources.map(({ name }) => name));
      this.rejected = { version: this.sentVersion, message: error.message, names };
    } else if (plan !== undefined) {
      this.ackedVersion = plan.version;
      const rejected = this.rejected?.names;
      if (plan.replaces || plan.resources.some(({ name }) => rejected?.has(name))) this.rejected = undefined;
      if (plan.removed.some((name) => rejected?.has(name))) this.rejected = undefined;
    }
  }

  /** Notes the rejection of a response that was not the latest. */
  rejectEarlier(error: { readonly message: string }): void {
    this.rejected = { version: "", message: error.message, names: this.rejected?.names ?? new Set() };
  }

  /** Forgets what was sent of names that are no longer asked for: asked for again, they are sent again. */
  forgetUnwanted(): void {
    for (const name of this.sent.keys()) {
      if (this.subscription.wants(name)) continue;
      this.sent.delete(name);
      if (this.outstanding !== undefined) this.#limbo.add(name);
    }
    for (const name of this.asked) if (!this.subscription.wants(name)) this.asked.delete(name);
  }

  /** The wildcard has begun: what the client may have taken in passing is settled with the rest, sent or removed. */
  claimLimbo(): void {
    for (const name of this.#limbo) if (!this.sent.has(name)) this.sent.set(name, { name, version: "" });
  }

  /** Resources that were asked for and differ from what the client holds, or have to be sent anyway. */
  changes(resources: Resources): EncodedResource[] {
    const changes: EncodedResource[] = [];
    const consider = (resource: EncodedResource): void => {
      const { name, version } = resource;
      if (this.sent.get(name)?.version !== version || this.asked.has(name) || this.again.has(name)) {
        changes.push(resource);
      }
    };
    if (this.subscription.wildcard) {
      for (const resource of resources.values()) consider(resource);
      return changes;
    }
    for (const name of this.subscription.names) {
      const resource = resources.get(name);
      if (resource !== undefined) consider(resource);
    }
    return changes;
  }

  /** Names that the client holds and that no longer exist. */
  gone(resources: Resources): string[] {
    const gone: string[] = [];
    for (const name of this.sent.keys()) if (!resources.has(name)) gone.push(name);
    return gone;
  }
}

const versions = new WeakMap<Resources, string>();

/**
 * The version of all resources of a type: a hash of their names and versions, so that replicas agree without talking.
 * Computed once for each map, however many clients are served from it.
 */
export function versionOf(resources: Resources): string {
  let version = versions.get(resources);
  if (version === undefined) {
    const hash = createHash("sha256");
    for (const name of [...resources.keys()].sort()) hash.update(`${name}\0${resources.get(name)?.version}\n`);
    version = hash.digest("base64url").slice(0, 16);
    versions.set(resources, version);
  }
  return version;
}
