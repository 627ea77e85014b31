import { Cidr, type JsonObject } from "@heddle/base";
import type { Attribute, Criterion } from "../../model/authorization-policy.ts";
import type { MeshTrust } from "../mtls.ts";
import { peerPrincipals } from "./peer-principals.ts";
import { globMatcher, pathMatcher } from "./string-matchers.ts";
import { claimPrincipal, requestPrincipals, textClaimPrincipal } from "./token-principals.ts";

/* What a policy asks of an attribute, as `envoy.config.rbac.v3.Permission` (of what is done) or `Principal` (of who does it). */

export function isPermission({ type }: Attribute): boolean {
  switch (type) {
    case "destination.ip":
    case "destination.port":
    case "connection.sni":
    case "request.host":
    case "request.method":
    case "request.path":
      return true;
    default:
      return false;
  }
}

/** A `Permission` or a `Principal`: see `isPermission`. */
export function criterionMatcher(criterion: Criterion, trust: MeshTrust | undefined): JsonObject {
  const { attribute, values, notValues } = criterion;
  const words = isPermission(attribute) ? PERMISSION : PRINCIPAL;
  const anyOf = (some: readonly string[]): JsonObject =>
    words.or(some.flatMap((value) => matchers(attribute, value, trust)));
  return words.and([
    ...(values.length > 0 ? [anyOf(values)] : []),
    ...(notValues.length > 0 ? [words.not(anyOf(notValues))] : []),
  ]);
}

/** The two languages differ in the names of their fields. */
export interface Words {
  readonly and: (all: readonly JsonObject[]) => JsonObject;
  readonly or: (some: readonly JsonObject[]) => JsonObject;
  readonly not: (one: JsonObject) => JsonObject;
}

export const PERMISSION: Words = {
  and: (rules) => joined(rules, { andRules: { rules } }, { any: true }),
  or: (rules) => joined(rules, { orRules: { rules } }, { notRule: { any: true } }),
  not: (notRule) => ({ notRule }),
};

export const PRINCIPAL: Words = {
  and: (ids) => joined(ids, { andIds: { ids } }, { any: true }),
  or: (ids) => joined(ids, { orIds: { ids } }, { notId: { any: true } }),
  not: (notId) => ({ notId }),
};

/** The lists of the protos hold one at least: all of none is everything, and any of none nothing. */
function joined(parts: readonly JsonObject[], many: JsonObject, none: JsonObject): JsonObject {
  return parts.length > 1 ? many : (parts[0] ?? none);
}

/** Of which any will do. */
function matchers(attribute: Attribute, value: string, trust: MeshTrust | undefined): readonly JsonObject[] {
  switch (attribute.type) {
    case "source.principal":
    case "source.namespace":
    case "source.serviceAccount":
      return peerPrincipals(attribute.type, value, trust);
    case "source.ip":
      return [{ directRemoteIp: block(value) }];
    case "remote.ip":
      return [{ remoteIp: block(value) }];
    case "destination.ip":
      return [{ destinationIp: block(value) }];
    case "destination.port":
      return [{ destinationPort: Number(value) }];
    case "connection.sni":
      return [{ requestedServerName: globMatcher(value) }];
    case "request.host":
      return [{ header: header(":authority", value, { ignoreCase: true }) }];
    case "request.method":
      return [{ header: header(":method", value) }];
    case "request.path":
      return [{ urlPath: { path: pathMatcher(value) } }];
    case "request.headers":
      return [{ header: header(attribute.name, value) }];
    case "request.auth.principal":
      return requestPrincipals(value);
    case "request.auth.audiences":
      return [claimPrincipal(["aud"], value)];
    case "request.auth.presenter":
      return [textClaimPrincipal("azp", value)];
    case "request.auth.claims":
      return [claimPrincipal(attribute.path, value)];
  }
}

/** `HeaderMatcher` */
function header(name: string, value: string, options?: { readonly ignoreCase: true }): JsonObject {
  return value === "*" ? { name, presentMatch: true } : { name, stringMatch: globMatcher(value, options) };
}

/** `CidrRange` */
function block(text: string): JsonObject {
  const parsed = Cidr.parse(text);
  if (!parsed.ok) throw new Error(parsed.error); // it has been read
  const [addressPrefix = "", prefixLen = ""] = parsed.value.toString().split("/");
  return { addressPrefix, prefixLen: Number(prefixLen) };
}
