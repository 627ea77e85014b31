import type { JsonObject } from "@heddle/base";
import type { Attribute } from "../../model/authorization-policy.ts";
import type { MeshTrust } from "../mtls.ts";
import { escapeRegex, globMatcher, regexMatcher } from "./string-matchers.ts";

export type PeerAttribute = Extract<
  Attribute["type"],
  "source.principal" | "source.namespace" | "source.serviceAccount"
>;

/**
 * Matchers of the peer's verified SPIFFE ID, of which any will do. Namespaces and accounts are those of the mesh: of its own
 * trust domain and its aliases, and of no other that it is federated with.
 *
 * @param trust undefined: the mesh has no authority, so that nobody has an identity; what is asked for matches nobody.
 */
export function peerPrincipals(
  type: PeerAttribute,
  value: string,
  trust: MeshTrust | undefined,
): readonly JsonObject[] {
  const domains = trust === undefined ? undefined : [trust.trustDomain, ...(trust.aliases ?? [])];
  switch (type) {
    case "source.principal":
      return principalMatchers(value, domains ?? []).map(authenticated);
    case "source.namespace":
      return namespaceMatchers(value, domains).map(authenticated);
    case "source.serviceAccount": {
      const [namespace = "", account = ""] = value.split("/");
      if (domains === undefined) {
        return [authenticated(regexMatcher(`spiffe://[^/]+/ns/${namespace}/sa/${escapeRegex(account)}`))];
      }
      return domains.map((domain) => authenticated({ exact: `spiffe://${domain}/ns/${namespace}/sa/${account}` }));
    }
  }
}

function authenticated(principalName: JsonObject): JsonObject {
  return { authenticated: { principalName } };
}

/** Where the mesh's own trust domain stands, its aliases are meant as well. */
function principalMatchers(value: string, domains: readonly string[]): readonly JsonObject[] {
  if (value === "*") return [{ prefix: "spiffe://" }];
  // A suffix could begin within the scheme.
  if (value.startsWith("*")) return [regexMatcher(`spiffe://.*${escapeRegex(value.slice(1))}`)];
  const slash = value.indexOf("/");
  if (slash === -1) return [globMatcher(`spiffe://${value}`)];
  const [domain, path] = [value.slice(0, slash).toLowerCase(), value.slice(slash)];
  const meant = domains.includes(domain) ? domains : [domain];
  return meant.map((one) => globMatcher(`spiffe://${one}${path}`));
}

/** "*" may stand anywhere, and for no slash. */
function namespaceMatchers(value: string, domains: readonly string[] | undefined): readonly JsonObject[] {
  if (domains !== undefined && !value.includes("*")) {
    return domains.map((domain) => ({ prefix: `spiffe://${domain}/ns/${value}/sa/` }));
  }
  const namespace = value.replaceAll("*", "[^/]*");
  const domain = domains === undefined ? "[^/]+" : `(?:${domains.map(escapeRegex).join("|")})`;
  return [regexMatcher(`spiffe://${domain}/ns/${namespace}/sa/.+`)];
}
