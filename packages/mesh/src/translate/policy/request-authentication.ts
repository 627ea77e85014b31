import type { JsonObject } from "@heddle/base";
import type { HttpFilterConfig } from "@heddle/traffic";
import type { JwksUri, JwtRule, RequestAuthentication } from "../../model/request-authentication.ts";
import { keysClusterName } from "../names.ts";
import { PAYLOAD_KEY } from "./token-principals.ts";

/** No token is good. */
const NONE_YET = '{"keys":[]}';

const JWT_AUTHN = "envoy.filters.http.jwt_authn";

/** How long a set of keys is believed before it is fetched again; as Istio's. */
const KEYS_CACHED = "300s";

/** The JWT filter of an HTTP port; none where no policy names an issuer. */
export function requestAuthentication(policies: readonly RequestAuthentication[]): readonly HttpFilterConfig[] {
  const providers = new Map<string, JsonObject>();
  for (const { namespace, name, rules } of policies) {
    for (const [index, rule] of rules.entries()) {
      providers.set(`ns[${namespace}]-policy[${name}]-rule[${index}]`, provider(rule));
    }
  }
  if (providers.size === 0) return [];
  const config: JsonObject = {
    providers: Object.fromEntries(providers),
    rules: [{ match: { prefix: "/" }, requires: requirement([...providers.keys()]) }],
    bypassCorsPreflight: true, // a browser sends no token with it
  };
  return [
    {
      name: JWT_AUTHN,
      config: { name: JWT_AUTHN, type: "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", config },
      disabled: false,
    },
  ];
}

/** A token of one of them that is right; or of each of them either such a token or none at all. */
function requirement(providers: readonly string[]): JsonObject {
  const named = providers.map((providerName): JsonObject => ({ providerName }));
  const orMissing = named.map((one): JsonObject => ({ requiresAny: { requirements: [one, { allowMissing: {} }] } }));
  const [only] = orMissing;
  if (only !== undefined && orMissing.length === 1) return only;
  return { requiresAny: { requirements: [...named, { requiresAll: { requirements: orMissing } }] } };
}

/** Where keys are fetched from, each place once. */
export function keyUris(policies: readonly RequestAuthentication[]): readonly JwksUri[] {
  const uris = policies.flatMap(({ rules }) => rules.flatMap(({ keys }) => (keys.type === "remote" ? [keys.uri] : [])));
  return [...new Map(uris.map((uri) => [keysClusterName(uri), uri])).values()];
}

function provider(rule: JwtRule): JsonObject {
  const { issuer, audiences, keys, fromHeaders, fromParams, fromCookies } = rule;
  return {
    issuer,
    ...(audiences.length > 0 && { audiences }),
    ...(keys.type === "remote"
      ? { remoteJwks: remoteKeys(keys.uri, rule.timeoutMs) }
      : { localJwks: { inlineString: keys.type === "inline" ? keys.jwks : NONE_YET } }),
    forward: rule.forwardOriginalToken,
    ...(fromHeaders.length > 0 && {
      fromHeaders: fromHeaders.map(({ name, prefix }) => ({ name, ...(prefix !== "" && { valuePrefix: prefix }) })),
    }),
    ...(fromParams.length > 0 && { fromParams }),
    ...(fromCookies.length > 0 && { fromCookies }),
    ...(rule.outputPayloadToHeader !== undefined && { forwardPayloadHeader: rule.outputPayloadToHeader }),
    ...(rule.outputClaimToHeaders.length > 0 && {
      claimToHeaders: rule.outputClaimToHeaders.map(({ header, claim }) => ({ headerName: header, claimName: claim })),
    }),
    payloadInMetadata: PAYLOAD_KEY,
    normalizePayloadInMetadata: {
      spaceDelimitedClaims: [...new Set(["scope", "permission", ...rule.spaceDelimitedClaims])],
    },
  };
}

function remoteKeys(uri: JwksUri, timeoutMs: number): JsonObject {
  return {
    httpUri: { uri: uri.text, cluster: keysClusterName(uri), timeout: `${timeoutMs / 1000}s` },
    cacheDuration: KEYS_CACHED,
  };
}
