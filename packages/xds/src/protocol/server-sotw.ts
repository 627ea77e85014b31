import type { EncodedResource } from "../snapshot.ts";
import { type Resources, versionOf } from "./resources.ts";
import type { Plan, ServerType } from "./server-type.ts";
import { WILDCARD } from "./subscription.ts";
import type { DiscoveryRequest } from "./wire.ts";

/*
 * The state-of-the-world variant, server's side. A response of LDS or CDS is the complete set that the client asked for;
 * one of the other types holds what changed, since there absence means nothing.
 */

/**
 * Takes in a request. One with a nonce that is no longer the latest crossed a response on its way and is not answered; the
 * client's verdict on that response will carry the list as it is by then. But what it drops is noted, or a name that is
 * dropped and added again in between would never be sent again.
 */
export function takeSotwRequest(type: ServerType, request: DiscoveryRequest): void {
  type.requests += 1;
  // Before the first response a nonce can only be of an earlier stream, where it meant something; here it means nothing.
  const verdict = type.nonce !== "" && request.responseNonce !== "";
  type.stale = verdict && request.responseNonce !== type.nonce;
  if (verdict && !type.stale) type.conclude(request.errorDetail);
  else if (type.stale && request.errorDetail !== undefined) type.rejectEarlier(request.errorDetail);
  if (type.requests === 1) type.unanswered = true;
  // Only the first request speaks of what an earlier stream brought; after a second one that may be dropped and wanted anew.
  type.claimedVersion = type.requests === 1 ? request.versionInfo : "";
  for (const name of type.subscription.replace(request.resourceNames)) type.asked.add(name);
  type.forgetUnwanted();
  if (type.asked.size > 0) type.unsettle();
}

/** What is due for that type, if anything. `removals`: whether resources that are gone may be taken away now. */
export function planSotw(type: ServerType, resources: Resources, removals: boolean): Plan | undefined {
  return type.traits.complete ? planComplete(type, resources, removals) : planPartial(type, resources);
}

function planComplete(type: ServerType, resources: Resources, removals: boolean): Plan | undefined {
  if (type.isSettled(resources)) return undefined;
  if (type.unanswered && holdsAlready(type, resources)) {
    for (const resource of resources.values()) type.sent.set(resource.name, resource);
    type.ackedVersion = type.claimedVersion;
    type.sentVersion = type.claimedVersion;
    type.unanswered = false;
    type.asked.clear();
  }
  const answers = type.unanswered || type.asked.size > 0;
  const gone = type.gone(resources);
  if (!answers && type.changes(resources).length === 0 && (gone.length === 0 || !removals)) {
    if (gone.length === 0) type.settle(resources);
    return undefined;
  }
  const set = wanted(type, resources);
  const kept = removals ? [] : gone.flatMap((name) => stillHeld(type, name));
  return {
    version: setVersion(type, resources, kept.length),
    resources: [...set, ...kept],
    removed: removals ? gone : [],
    replaces: true,
    complete: removals || gone.length === 0,
    answers,
  };
}

function planPartial(type: ServerType, resources: Resources): Plan | undefined {
  if (type.isSettled(resources)) return undefined;
  // What is gone is not told in this variant; should it come back, even unchanged, it is sent.
  for (const name of type.gone(resources)) type.sent.delete(name);
  const changes = type.changes(resources);
  if (changes.length === 0) {
    // Names that do not exist are remembered by the subscription: they are sent when they come.
    type.unanswered = false;
    type.asked.clear();
    type.again.clear();
    type.settle(resources);
    return undefined;
  }
  const answers = changes.some((resource) => type.isAsked(resource)) || type.asked.has(WILDCARD);
  return { version: versionOf(resources), resources: changes, removed: [], replaces: false, complete: true, answers };
}

/**
 * On a new stream a client says which version it accepted last. It may be left unanswered only where the subscription is
 * known to be the same, and a version stands for a set only under the wildcard: with names, a client may have dropped one
 * and asked for it again between two streams.
 */
function holdsAlready(type: ServerType, resources: Resources): boolean {
  const { wildcard, names } = type.subscription;
  return wildcard && names.size === 0 && type.claimedVersion === versionOf(resources);
}

/**
 * The snapshot's own version only for a set that is all of the snapshot. A client that comes back with that version is left
 * unanswered, so nothing less (names) and nothing more (kept back from removal) may carry it.
 */
function setVersion(type: ServerType, resources: Resources, kept: number): string {
  const version = versionOf(resources);
  if (kept > 0) return `${version}+kept`;
  return type.subscription.wildcard ? version : `${version}+named`;
}

function wanted(type: ServerType, resources: Resources): EncodedResource[] {
  if (type.subscription.wildcard) return [...resources.values()];
  if (type.subscription.isOpen) return [...resources.values()].filter(({ name }) => type.subscription.wants(name));
  const set: EncodedResource[] = [];
  for (const name of type.subscription.names) {
    const resource = resources.get(name);
    if (resource !== undefined) set.push(resource);
  }
  return set;
}

function stillHeld(type: ServerType, name: string): EncodedResource[] {
  const held = type.sent.get(name);
  return held?.bytes === undefined ? [] : [held];
}
