import { findResource, type Resources, versionOf } from "./resources.ts";
import type { Plan, ServerType } from "./server-type.ts";
import { WILDCARD } from "./subscription.ts";
import type { DeltaDiscoveryRequest } from "./wire.ts";
import { canonicalName, isCollection } from "./xdstp-name.ts";

/*
 * The delta variant, server's side. Each resource has its own version; a response holds what differs from what the client
 * has, and the names that are gone.
 */

/** Takes in a request. A nonce that is not the latest changes nothing about the subscription in it. */
export function takeDeltaRequest(type: ServerType, request: DeltaDiscoveryRequest): void {
  type.requests += 1;
  if (request.responseNonce !== "") {
    if (request.responseNonce === type.nonce) type.conclude(request.errorDetail);
    else if (request.errorDetail !== undefined) type.rejectEarlier(request.errorDetail);
  }
  const first = type.requests === 1;
  if (!first && request.resourceNamesSubscribe.length + request.resourceNamesUnsubscribe.length === 0) return;
  if (first) {
    for (const [written, version] of request.initialResourceVersions) {
      const name = canonicalName(written);
      type.sent.set(name, { name, version });
    }
  }
  const hadAll = type.subscription.wildcard;
  const dropped = type.subscription.change(request.resourceNamesSubscribe, request.resourceNamesUnsubscribe);
  for (const name of request.resourceNamesSubscribe.map(canonicalName)) {
    // What the client says it holds is compared; everything else it names is answered, whatever it may have.
    if (name !== WILDCARD && !(first && type.sent.has(name))) type.asked.add(name);
  }
  // Still in the wildcard: the client has to be told what the name is now, or that it is not.
  if (type.subscription.wildcard) for (const name of dropped) type.asked.add(name);
  if (type.subscription.wildcard && !hadAll) {
    type.claimLimbo();
    if (type.sent.size === 0) type.unanswered = true;
  }
  type.forgetUnwanted();
  type.unsettle();
}

/** What is due for that type, if anything. `removals`: whether resources that are gone may be taken away now. */
export function planDelta(type: ServerType, resources: Resources, removals: boolean): Plan | undefined {
  if (type.isSettled(resources)) return undefined;
  const changes = type.changes(resources);
  const gone = type.gone(resources);
  const removed = removals ? gone : gone.filter((name) => type.asked.has(name));
  const missing: string[] = [];
  let collections = false;
  for (const name of type.asked) {
    if (isCollection(name)) collections = true;
    else if (findResource(resources, name) !== undefined || type.sent.has(name)) continue;
    // An Envoy holds the request that asked for a virtual host until a resource comes, be it without body.
    else if (type.traits.namedByEnvelope === true) missing.push(name);
    else removed.push(name);
  }
  // An empty set is an answer too: without it a client waits for its first one until a timeout.
  const isEmpty = changes.length === 0 && removed.length === 0 && missing.length === 0;
  if (isEmpty && !type.unanswered && !collections) {
    type.again.clear();
    if (gone.length === 0) type.settle(resources);
    return undefined;
  }
  return {
    version: versionOf(resources),
    resources: changes,
    removed,
    replaces: false,
    complete: removals || gone.length === 0,
    answers: type.unanswered || type.asked.size > 0,
    ...(missing.length > 0 && { missing }),
  };
}
