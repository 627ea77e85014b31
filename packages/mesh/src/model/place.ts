import type { EndpointHints, EndpointSlice } from "./endpoint-slice.ts";
import type { Service } from "./service.ts";
import type { Workload } from "./workload.ts";

/** Where a caller is. "": nobody says, or it makes no difference. */
export interface Place {
  readonly zone: string;
  /** The name of its Node. */
  readonly node: string;
}

export const ANYWHERE: Place = { zone: "", node: "" };

/** What of a caller's place makes a difference to whom it finds behind some service. */
export interface Sensitivity {
  readonly zone: boolean;
  readonly node: boolean;
}

/** @param slices those of the service. */
export function sensitivityOf({ prefers, isNodeLocal }: Service, slices: readonly EndpointSlice[]): Sensitivity {
  const hinted = slices.map(hintsIn);
  return {
    zone: prefers !== undefined || hinted.some(({ zone }) => zone),
    node: isNodeLocal === true || prefers === "same-node" || hinted.some(({ node }) => node),
  };
}

function hintsIn(slice: EndpointSlice): Sensitivity {
  let found = inSlice.get(slice);
  if (found === undefined) {
    const { endpoints } = slice;
    found = {
      zone: endpoints.some(({ hints }) => hints !== undefined && hints.zones.length > 0),
      node: endpoints.some(({ hints }) => hints !== undefined && hints.nodes.length > 0),
    };
    inSlice.set(slice, found);
  }
  return found;
}

/** Looked through once: every world asks it of all slices. */
const inSlice = new WeakMap<EndpointSlice, Sensitivity>();

/**
 * What of a place makes a difference to callers of one service, so that callers of many places share what is made for them: a
 * node or a zone that no endpoint is at, or is for, is like any other such.
 */
export function relevantPlace(
  service: Service,
  slices: readonly EndpointSlice[],
  workloads: readonly Workload[],
  { zone, node }: Place,
): Place {
  const sensitive = sensitivityOf(service, slices);
  const endpoints = slices.flatMap((slice) => slice.endpoints);
  const isNode = (name: string | undefined, hints?: EndpointHints): boolean =>
    name === node || hints?.nodes.includes(node) === true;
  const isZone = (name: string, hints?: EndpointHints): boolean =>
    name === zone || hints?.zones.includes(zone) === true;
  const hasNode =
    endpoints.some((one) => isNode(one.node, one.hints)) || workloads.some((workload) => isNode(workload.node));
  const hasZone =
    endpoints.some((one) => isZone(one.locality.zone, one.hints)) ||
    workloads.some((workload) => isZone(workload.locality.zone));
  const elsewhere = service.isNodeLocal === true ? NO_NODE : "";
  return {
    zone: sensitive.zone && zone !== "" && hasZone ? zone : "",
    node: !sensitive.node || node === "" ? "" : hasNode ? node : elsewhere,
  };
}

/** As no Node is called. */
const NO_NODE = "/";
