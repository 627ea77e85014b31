import { err, type Json, ok, type Result } from "@heddle/base";
import { decodeMessage, type JsonIssue, toProtoJson, typeNameOf, validate } from "@heddle/proto";
import { holdsInlineSecrets, type RawResource, resourceFromBytes, resourceFromJson } from "@heddle/xds";
import type { ParsedResource, ResourceIssue, ResourceParser } from "./raw-resource.ts";

const ENDPOINTS = "/envoy.config.endpoint.v3.ClusterLoadAssignment";

/** Each client gets a heartbeat twice in this time. */
const MIN_TTL_MS = 1000;

/**
 * Reads an xDS resource in proto JSON and checks it against Envoy's `validate.rules`. It is not asked whether a sidecar of
 * ours honours all of it: it may be for an Envoy, and a sidecar says so itself.
 */
export const parseResource: ResourceParser = (json: Json) =>
  checked(resourceFromJson(json), () => holdsInlineSecrets(json));

/** The same of one that is serialised already. */
export function parseBinaryResource(
  typeUrl: string,
  bytes: Uint8Array,
): Result<ParsedResource, readonly ResourceIssue[]> {
  return checked(resourceFromBytes(typeUrl, bytes), () => {
    if (typeUrl.endsWith(ENDPOINTS)) return false; // there may be many of them, and none has any
    const json = toProtoJson(typeNameOf(typeUrl), bytes);
    return json.ok && holdsInlineSecrets(json.value);
  });
}

function checked(
  resource: Result<RawResource, readonly JsonIssue[]>,
  hasSecrets: () => boolean,
): Result<ParsedResource, readonly ResourceIssue[]> {
  if (!resource.ok) return err(resource.error.map(({ path, message }: JsonIssue) => ({ path, message })));
  const { type: typeUrl, name, bytes, aliases, ttlMs } = resource.value;
  const typeName = typeNameOf(typeUrl);
  const message = decodeMessage(typeName, bytes);
  const violations = message.ok ? validate(typeName, message.value) : [message.error];
  if (violations.length > 0) return err(violations.map(splitViolation));
  if (ttlMs !== undefined && ttlMs < MIN_TTL_MS) {
    return err([{ path: "ttl", message: `found ${ttlMs} ms, allowed is at least ${MIN_TTL_MS} ms` }]);
  }
  const wrapping = { ...(aliases !== undefined && { aliases }), ...(ttlMs !== undefined && { ttlMs }) };
  const hasWrapping = aliases !== undefined || ttlMs !== undefined;
  const holdsSecrets = hasSecrets();
  return ok({ typeUrl, name, bytes, ...(hasWrapping && { wrapping }), ...(holdsSecrets && { holdsSecrets }) });
}

/** "virtual_hosts[0].domains: must have at least 1 item" */
function splitViolation(violation: string): ResourceIssue {
  const colon = violation.indexOf(": ");
  return colon < 0
    ? { path: "", message: violation }
    : { path: violation.slice(0, colon), message: violation.slice(colon + 2) };
}
