import { status } from "@grpc/grpc-js";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "./protocol/wire.ts";
import type { XdsNode } from "./snapshot.ts";

/** A reason to end a stream. */
export interface RequestProblem {
  readonly code: status;
  readonly details: string;
}

/*
 * What one client may make the server remember. The figures are far above what a mesh of 100,000 clusters needs and far
 * below what would hurt; the size of a message itself is bounded by gRPC (`xdsServerOptions`).
 */
const MAX_NAMES = 200_000;
const MAX_NAME_LENGTH = 4096;
const MAX_TYPES = 32;
const MAX_METADATA_BYTES = 256 * 1024;

/** The first request of a stream has to say which node it is (statement 4: never another node's snapshot). */
export function checkNode(node: XdsNode | undefined): RequestProblem | undefined {
  if (node === undefined || node.id === "") {
    return { code: status.INVALID_ARGUMENT, details: "the first request of a stream must carry node.id" };
  }
  if (node.id.length > MAX_NAME_LENGTH) {
    return { code: status.INVALID_ARGUMENT, details: `node.id is longer than ${MAX_NAME_LENGTH} characters` };
  }
  if (Buffer.byteLength(JSON.stringify(node.metadata)) > MAX_METADATA_BYTES) {
    return { code: status.RESOURCE_EXHAUSTED, details: `node.metadata is larger than ${MAX_METADATA_BYTES} bytes` };
  }
  return undefined;
}

/** `types`: how many the stream has so far. */
export function checkRequest(
  request: DiscoveryRequest | DeltaDiscoveryRequest,
  types: number,
): RequestProblem | undefined {
  const lists =
    "resourceNames" in request
      ? [request.resourceNames]
      : [request.resourceNamesSubscribe, request.resourceNamesUnsubscribe, [...request.initialResourceVersions.keys()]];
  for (const names of lists) {
    if (names.length > MAX_NAMES) {
      return {
        code: status.RESOURCE_EXHAUSTED,
        details: `${names.length} names in one request; ${MAX_NAMES} are allowed`,
      };
    }
    if (names.some((name) => name.length > MAX_NAME_LENGTH)) {
      return { code: status.INVALID_ARGUMENT, details: `a resource name is longer than ${MAX_NAME_LENGTH} characters` };
    }
  }
  if (types > MAX_TYPES)
    return { code: status.RESOURCE_EXHAUSTED, details: `more than ${MAX_TYPES} types on one stream` };
  return undefined;
}
