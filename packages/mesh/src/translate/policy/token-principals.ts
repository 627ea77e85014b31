import type { JsonObject } from "@heddle/base";
import { globMatcher } from "./string-matchers.ts";

/* Principals by what a verified token says: jwt_authn has left its payload in the request's metadata. */

const JWT_AUTHN = "envoy.filters.http.jwt_authn";

/** The key there (`payload_in_metadata`), of whatever issuer. */
export const PAYLOAD_KEY = "payload";

/** A claim that is a text, or a list of texts of which one will do. */
export function claimPrincipal(path: readonly string[], value: string): JsonObject {
  const text = { stringMatch: globMatcher(value) };
  return payload(path, { orMatch: { valueMatchers: [text, { listMatch: { oneOf: text } }] } });
}

/** A claim that is a text. */
export function textClaimPrincipal(claim: string, value: string): JsonObject {
  return payload([claim], { stringMatch: globMatcher(value) });
}

/**
 * "<issuer>/<subject>". The two are claims of their own, and either may hold slashes: each slash of the value may be the one
 * between them, and matchers of all these readings together match what the two joined by a slash would.
 */
export function requestPrincipals(value: string): readonly JsonObject[] {
  if (value === "*") return [issuerAndSubject("*", "*")];
  const [begin, end] = [value.startsWith("*"), value.endsWith("*")];
  const text = begin ? value.slice(1) : end ? value.slice(0, -1) : value;
  const readings: JsonObject[] = [];
  // All of it stands before the slash, or behind it.
  if (end) readings.push(issuerAndSubject(value, "*"));
  if (begin) readings.push(issuerAndSubject("*", value));
  for (let slash = text.indexOf("/"); slash !== -1; slash = text.indexOf("/", slash + 1)) {
    const [issuer, subject] = [text.slice(0, slash), text.slice(slash + 1)];
    // Neither is ever empty, so that what stands on its other side says nothing by itself.
    if ((issuer === "" && !begin) || (subject === "" && !end)) continue;
    readings.push(issuerAndSubject(begin ? `*${issuer}` : issuer, end ? `${subject}*` : subject));
  }
  return readings;
}

function issuerAndSubject(issuer: string, subject: string): JsonObject {
  return { andIds: { ids: [textClaimPrincipal("iss", issuer), textClaimPrincipal("sub", subject)] } };
}

function payload(path: readonly string[], value: JsonObject): JsonObject {
  const keys = [PAYLOAD_KEY, ...path].map((key) => ({ key }));
  return { metadata: { filter: JWT_AUTHN, path: keys, value } };
}
