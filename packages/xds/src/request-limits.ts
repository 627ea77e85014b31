import { status } from "@grpc/grpc-js";
import { isNestedDeeper } from "@heddle/proto";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "./protocol/wire.ts";
import type { XdsNode } from "./snapshot.ts";

/** A reason to end a stream. */
export interface RequestProblem {
  readonly code: status;
  readonly details: string;
  /** Which limit or rule it is, for the counter `xds_server.refused`. */
  readonly reason: RefusalReason;
}

export type RefusalReason =
  | "malformed"
  | "identity"
  | "node"
  | "node_metadata"
  | "names"
  | "name_length"
  | "types"
  | "type_url"
  | "streams"
  | "streams_per_peer"
  | "streams_per_node"
  | "first_request"
  | "stalled";

/**
 * What clients may make the server remember, and for how long. The defaults are far above what a mesh of 100,000 clusters
 * needs and far below what would hurt; the size of a message itself is bounded by gRPC (`xdsServerOptions`).
 */
export interface XdsServerLimits {
  /** Open streams of all clients. */
  readonly maxStreams: number;
  /** Open streams from one address; a whole mesh may stand behind one (a laptop, a NAT). */
  readonly maxStreamsPerPeer: number;
  /** Open streams that say they are one node. An Envoy without ADS may have one for each cluster. */
  readonly maxStreamsPerNode: number;
  /** A stream that has not said who it is by then is ended. */
  readonly firstRequestTimeoutMs: number;
  /**
   * A client that has not taken a response whole by then is given up. There is never more than one response under way on a
   * stream, so this bounds how long one is kept for a client that does not read.
   */
  readonly stalledTimeoutMs: number;
  /** As JSON. */
  readonly maxNodeMetadataBytes: number;
  /** Fields and list items at all depths of `node.metadata`. */
  readonly maxNodeMetadataFields: number;
  /** In one request, and subscribed in all on one stream. */
  readonly maxNames: number;
  /** Of a resource name, a version, a node's id or another of its texts; in characters. */
  readonly maxNameLength: number;
  /** On one stream. */
  readonly maxTypes: number;
}

export const DEFAULT_LIMITS: XdsServerLimits = {
  maxStreams: 50_000,
  maxStreamsPerPeer: 20_000,
  maxStreamsPerNode: 2000,
  firstRequestTimeoutMs: 15_000,
  stalledTimeoutMs: 120_000,
  maxNodeMetadataBytes: 256 * 1024,
  maxNodeMetadataFields: 4096,
  maxNames: 200_000,
  maxNameLength: 4096,
  maxTypes: 32,
};

const MAX_METADATA_DEPTH = 40;

/** Of a client's error text, what is kept. */
const MAX_ERROR_LENGTH = 16_384;

/** The first request of a stream has to say which node it is (statement 4: never another node's snapshot). */
export function checkNode(
  node: XdsNode | undefined,
  limits: XdsServerLimits = DEFAULT_LIMITS,
): RequestProblem | undefined {
  if (node === undefined || node.id === "") {
    const details = "the first request of a stream must carry node.id";
    return { code: status.INVALID_ARGUMENT, reason: "node", details };
  }
  const long = nodeTexts(node).find(([, text]) => text.length > limits.maxNameLength);
  if (long !== undefined) {
    const details = `${long[0]} is longer than ${limits.maxNameLength} characters`;
    return { code: status.INVALID_ARGUMENT, reason: "node", details };
  }
  if (node.clientFeatures.length > limits.maxNodeMetadataFields) {
    const details = `node.client_features has more than ${limits.maxNodeMetadataFields} items`;
    return { code: status.RESOURCE_EXHAUSTED, reason: "node", details };
  }
  // It is sent on within other messages (CSDS), and every object or list of it is two of the 100 that protobuf writes.
  if (isNestedDeeper(node.metadata, MAX_METADATA_DEPTH)) {
    const details = `node.metadata is nested deeper than ${MAX_METADATA_DEPTH} levels`;
    return { code: status.RESOURCE_EXHAUSTED, reason: "node_metadata", details };
  }
  if (countFields(node.metadata, limits.maxNodeMetadataFields) > limits.maxNodeMetadataFields) {
    const details = `node.metadata has more than ${limits.maxNodeMetadataFields} fields`;
    return { code: status.RESOURCE_EXHAUSTED, reason: "node_metadata", details };
  }
  if (Buffer.byteLength(JSON.stringify(node.metadata)) > limits.maxNodeMetadataBytes) {
    const details = `node.metadata is larger than ${limits.maxNodeMetadataBytes} bytes`;
    return { code: status.RESOURCE_EXHAUSTED, reason: "node_metadata", details };
  }
  return undefined;
}

/**
 * @param types how many the stream has so far
 * @param names how many it has subscribed so far, of all types
 */
export function checkRequest(
  request: DiscoveryRequest | DeltaDiscoveryRequest,
  { types, names }: { readonly types: number; readonly names: number },
  limits: XdsServerLimits = DEFAULT_LIMITS,
): RequestProblem | undefined {
  const { maxNames, maxNameLength, maxTypes } = limits;
  const lists =
    "resourceNames" in request
      ? [request.resourceNames, [request.versionInfo]]
      : [
          request.resourceNamesSubscribe,
          request.resourceNamesUnsubscribe,
          [...request.initialResourceVersions.keys()],
          [...request.initialResourceVersions.values()],
        ];
  for (const list of lists) {
    if (list.length > maxNames) {
      const details = `${list.length} names in one request; ${maxNames} are allowed`;
      return { code: status.RESOURCE_EXHAUSTED, reason: "names", details };
    }
    if (list.some((name) => name.length > maxNameLength)) {
      const details = `a resource name or version is longer than ${maxNameLength} characters`;
      return { code: status.INVALID_ARGUMENT, reason: "name_length", details };
    }
  }
  if (request.typeUrl.length > maxNameLength) {
    const details = `type_url is longer than ${maxNameLength} characters`;
    return { code: status.INVALID_ARGUMENT, reason: "type_url", details };
  }
  if (types > maxTypes) {
    const details = `more than ${maxTypes} types on one stream`;
    return { code: status.RESOURCE_EXHAUSTED, reason: "types", details };
  }
  if (names > maxNames) {
    const details = `${names} names are subscribed on one stream; ${maxNames} are allowed`;
    return { code: status.RESOURCE_EXHAUSTED, reason: "names", details };
  }
  return undefined;
}

/** What is kept of the error of a NACK. */
export function boundedError<Request extends DiscoveryRequest | DeltaDiscoveryRequest>(request: Request): Request {
  const { errorDetail } = request;
  if (errorDetail === undefined || errorDetail.message.length <= MAX_ERROR_LENGTH) return request;
  return { ...request, errorDetail: { ...errorDetail, message: errorDetail.message.slice(0, MAX_ERROR_LENGTH) } };
}

function nodeTexts(node: XdsNode): readonly (readonly [string, string])[] {
  const { region, zone, subZone } = node.locality;
  return [
    ["node.id", node.id],
    ["node.cluster", node.cluster],
    ["node.locality", `${region}${zone}${subZone}`],
    ["node.user_agent_name", node.userAgentName],
    ["node.user_agent_version", node.userAgentVersion],
    ...node.clientFeatures.map((feature) => ["a feature of node.client_features", feature] as const),
  ];
}

/** Of objects and lists at all depths; counting stops above `enough`. */
function countFields(value: unknown, enough: number): number {
  let count = 0;
  const open: unknown[] = [value];
  while (open.length > 0 && count <= enough) {
    const next = open.pop();
    if (next === null || typeof next !== "object") continue;
    const parts = Object.values(next);
    count += parts.length;
    for (const part of parts) open.push(part);
  }
  return count;
}
