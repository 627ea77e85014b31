import type { EndpointHints } from "../model/endpoint-slice.ts";
import type { Place } from "../model/place.ts";
import type { Service } from "../model/service.ts";

/** One endpoint of a service, as far as it matters who is close to it. */
export interface Placed {
  readonly zone: string;
  readonly node: string;
  readonly hints: EndpointHints | undefined;
}

/**
 * The priority of each of the endpoints of one port to a caller at a place, from 0, without gaps; undefined: the caller does not
 * get it. Who is close is told by kube-proxy's rules (KEP-2433, KEP-3015): hints count where all endpoints have them and one is for
 * the caller's node, or zone; else all are alike. Where a Service prefers, and nobody has made hints of that (its workloads are
 * not in slices, say), they are those which Kubernetes would make: each endpoint is for its own zone, and node.
 *
 * Unlike kube-proxy's, those that are not close are still there, at a lower priority: they are used when the others are found
 * to be bad.
 */
export function prioritiesFor(service: Service, endpoints: readonly Placed[], { zone, node }: Place): Priorities {
  if (service.isNodeLocal === true) return endpoints.map((one) => (node === "" || one.node === node ? 0 : undefined));
  const hints = hintsOf(service, endpoints);
  const preferences = [
    preferred(hints, node, ({ nodes }) => nodes),
    preferred(hints, zone, ({ zones }) => zones),
  ].filter((one) => one !== undefined);
  const ranks = endpoints.map((_, index) => {
    const rank = preferences.findIndex((is) => is[index]);
    return rank === -1 ? preferences.length : rank;
  });
  const used = [...new Set(ranks)].sort((a, b) => a - b);
  return ranks.map((rank) => used.indexOf(rank));
}

type Priorities = readonly (number | undefined)[];

/** Whether each is for that place; undefined: not all say whom they are for, or none is for it. */
function preferred(
  hints: readonly (EndpointHints | undefined)[],
  place: string,
  namesOf: (hints: EndpointHints) => readonly string[],
): readonly boolean[] | undefined {
  if (place === "" || !hints.every((one) => one !== undefined && namesOf(one).length > 0)) return undefined;
  const are = hints.map((one) => one !== undefined && namesOf(one).includes(place));
  return are.includes(true) ? are : undefined;
}

function hintsOf({ prefers }: Service, endpoints: readonly Placed[]): readonly (EndpointHints | undefined)[] {
  const made = endpoints.map(({ hints }) => hints);
  if (prefers === undefined || made.some((hints) => hints !== undefined)) return made;
  const known = (name: string): readonly string[] => (name === "" ? [] : [name]);
  return endpoints.map(({ zone, node }) => ({
    zones: known(zone),
    nodes: prefers === "same-node" ? known(node) : [],
  }));
}
