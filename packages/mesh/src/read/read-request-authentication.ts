import { wrongToldHeader } from "@heddle/traffic";
import type { JwksUri, JwtKeys, JwtRule, RequestAuthentication } from "../model/request-authentication.ts";
import type { Field } from "./field.ts";
import { readMetadata } from "./metadata.ts";
import { readTarget } from "./read-policy-target.ts";
import { readTimeout } from "./read-timeout.ts";

/** As Istio's. */
const DEFAULT_TIMEOUT_MS = 5000;

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Reads `RequestAuthentication` (heddle.dev/v1), whose fields are those of Istio's. */
export function readRequestAuthentication(document: Field): RequestAuthentication {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { namespace, name, createdAtMs } = readMetadata(metadata, "subdomain");
  const fields = spec.object("selector", "targetRefs", "jwtRules");
  const rules = fields.jwtRules.items().map(readRule);
  if (rules.length === 0) fields.jwtRules.warn("is empty: the policy has no effect");
  return {
    kind: "request-authentication",
    namespace,
    name,
    createdAtMs,
    target: readTarget(fields.selector, fields.targetRefs, namespace),
    rules,
    origin: document.origin,
  };
}

function readRule(rule: Field): JwtRule {
  const fields = rule.object(
    "issuer",
    "audiences",
    "jwksUri",
    "jwks",
    "fromHeaders",
    "fromParams",
    "fromCookies",
    "outputPayloadToHeader",
    "outputClaimToHeaders",
    "forwardOriginalToken",
    "spaceDelimitedClaims",
    "timeout",
  );
  const issuer = fields.issuer.requiredText();
  return {
    issuer,
    audiences: readTexts(fields.audiences),
    keys: readKeys(fields.jwksUri, fields.jwks, issuer),
    fromHeaders: fields.fromHeaders.items().map((item) => {
      const { name, prefix } = item.object("name", "prefix");
      return { name: readHeader(name), prefix: readPrefix(prefix) };
    }),
    fromParams: readTexts(fields.fromParams),
    fromCookies: readTexts(fields.fromCookies),
    outputPayloadToHeader: fields.outputPayloadToHeader.present
      ? readToldHeader(fields.outputPayloadToHeader)
      : undefined,
    outputClaimToHeaders: fields.outputClaimToHeaders.items().map((item) => {
      const { header, claim } = item.object("header", "claim");
      return { header: readToldHeader(header), claim: claim.requiredText() };
    }),
    forwardOriginalToken: fields.forwardOriginalToken.oneOf(true, false) ?? false,
    spaceDelimitedClaims: readTexts(fields.spaceDelimitedClaims),
    timeoutMs: readTimeout(fields.timeout, DEFAULT_TIMEOUT_MS),
  };
}

function readTexts(field: Field): readonly string[] {
  return field.items().map((item) => item.requiredText());
}

function readHeader(field: Field): string {
  const name = field.requiredText();
  if (name !== "" && !TOKEN.test(name)) field.error(`found ${JSON.stringify(name)}, allowed: the name of a header`);
  return name.toLowerCase();
}

/** What the application is told by it. */
function readToldHeader(field: Field): string {
  const name = field.requiredText();
  const wrong = wrongToldHeader(name);
  if (wrong !== undefined) field.error(wrong);
  return name.toLowerCase();
}

/** Part of a header's value. RFC 9110 §5.5: no control characters. */
function readPrefix(field: Field): string {
  const prefix = field.text() ?? "";
  if (/\p{Cc}/u.test(prefix)) field.error("holds control characters");
  return prefix;
}

const NO_KEYS: JwtKeys = { type: "inline", jwks: "" };

function readKeys(uri: Field, inline: Field, issuer: string): JwtKeys {
  if (uri.present && inline.present) inline.error("stands beside jwksUri, of which only one is allowed");
  if (uri.present) return readUri(uri);
  const jwks = inline.text();
  if (!inline.present) {
    // OpenID Connect Discovery 1.0 §3: only such an issuer can be asked where its keys are.
    if (isAskable(issuer)) return { type: "discovered" };
    uri.error("is missing, and so is jwks; without both the issuer has to be an https URL, which is asked");
    return NO_KEYS;
  }
  if (jwks === undefined || !holdsKeys(jwks)) {
    // What stands there is not repeated: somebody may have put a private key in.
    inline.error('is no JSON Web Key Set (RFC 7517 §5): { "keys": [...] }');
    return NO_KEYS;
  }
  return { type: "inline", jwks };
}

function holdsKeys(text: string): boolean {
  try {
    const set = JSON.parse(text) as { readonly keys?: unknown } | null;
    return typeof set === "object" && set !== null && Array.isArray(set.keys);
  } catch {
    return false;
  }
}

function isAskable(issuer: string): boolean {
  const url = URL.parse(issuer);
  return url?.protocol === "https:" && url.username === "" && url.password === "" && !/[?#\s]/.test(issuer);
}

function readUri(field: Field): JwtKeys {
  const text = field.requiredText();
  const uri = parseJwksUri(text);
  if (uri !== undefined) return { type: "remote", uri };
  if (text !== "") field.error("is no URL of keys, allowed: http:// or https://, without user and password");
  return NO_KEYS;
}

/** Undefined: it is no such URL. */
export function parseJwksUri(text: string): JwksUri | undefined {
  const url = URL.parse(text);
  const good = url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
  if (!good) return undefined;
  const tls = url.protocol === "https:";
  const host = url.hostname.replace(/^\[|\]$/g, ""); // of an IPv6 address
  return { text, tls, host, port: url.port === "" ? (tls ? 443 : 80) : Number(url.port) };
}
