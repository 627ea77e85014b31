import { err, type Json, ok, type Result } from "@heddle/base";
import { encodeMessage, fieldOf, isKnownType, messageFromJson, typeNameOf, typeUrlOf, validate } from "@heddle/proto";
import type { ParsedResource, ResourceIssue, ResourceParser } from "./raw-resource.ts";

/** The types that are served, and the field that names a resource of each. */
const NAME_FIELD: ReadonlyMap<string, string> = new Map([
  ["envoy.config.listener.v3.Listener", "name"],
  ["envoy.config.route.v3.RouteConfiguration", "name"],
  ["envoy.config.cluster.v3.Cluster", "name"],
  ["envoy.config.endpoint.v3.ClusterLoadAssignment", "clusterName"],
]);

/**
 * Reads an xDS resource in proto JSON and checks it against Envoy's `validate.rules`. It is not asked whether a sidecar of
 * ours honours all of it: it may be for an Envoy, and a sidecar says so itself.
 */
export const parseResource: ResourceParser = (json: Json): Result<ParsedResource, readonly ResourceIssue[]> => {
  const { "@type": typeUrl, ...fields } = (json ?? {}) as { readonly [field: string]: Json };
  if (typeof typeUrl !== "string") return err([{ path: "@type", message: "is missing" }]);
  const typeName = typeNameOf(typeUrl);
  const nameField = NAME_FIELD.get(typeName);
  if (nameField === undefined || !isKnownType(typeName)) {
    const allowed = [...NAME_FIELD.keys()].map(typeUrlOf).join(", ");
    return err([{ path: "@type", message: `found "${typeUrl}", allowed: ${allowed}` }]);
  }
  const message = messageFromJson(typeName, fields);
  if (!message.ok) return message;
  const violations = validate(typeName, message.value);
  if (violations.length > 0) return err(violations.map(splitViolation));
  const name = fieldOf(message.value, nameField);
  return ok({
    typeUrl: typeUrlOf(typeName),
    name: typeof name === "string" ? name : "",
    bytes: encodeMessage(typeName, message.value),
  });
};

/** "virtual_hosts[0].domains: must have at least 1 item" */
function splitViolation(violation: string): ResourceIssue {
  const colon = violation.indexOf(": ");
  return colon < 0
    ? { path: "", message: violation }
    : { path: violation.slice(0, colon), message: violation.slice(colon + 2) };
}
