import { isJsonObject, type Json, type JsonObject } from "@heddle/base";
import type { Exchange } from "@heddle/filter";
import type { JwtProviderConfig } from "./jwt-config.ts";
import type { AcceptedToken } from "./jwt-evaluation.ts";
import type { JwtStatus } from "./jwt-status.ts";
import { removeTokens } from "./token-locations.ts";

/** Envoy's, whatever the filter is called. */
export const JWT_METADATA = "envoy.filters.http.jwt_authn";

/** Tells the upstream, the filters behind and the log what the tokens say that have been found good. */
export function forwardClaims(exchange: Exchange, accepted: readonly AcceptedToken[]): void {
  const { request } = exchange;
  let clearsRoute = false;
  for (const { provider, jwt, location } of accepted) {
    const { config } = provider;
    for (const header of ownHeaders(config)) request.headers.remove(header);
    if (config.forwardPayloadHeader !== "")
      request.headers.append(
        config.forwardPayloadHeader,
        config.padsPayload ? padded(jwt.encodedPayload) : jwt.encodedPayload,
      );
    let addsClaims = false;
    for (const { header, path } of config.claimHeaders) {
      const value = headerValueOf(claimAt(jwt.payload, path));
      if (value === "") continue;
      request.headers.append(header, value);
      addsClaims = true;
    }
    if (!config.forward) removeTokens(request, location);
    if (config.headerInMetadata !== "") setMetadata(exchange, config.headerInMetadata, jwt.header);
    if (config.payloadInMetadata !== "")
      setMetadata(exchange, config.payloadInMetadata, normalized(jwt.payload, config));
    clearsRoute ||= config.clearRouteCache && (addsClaims || config.payloadInMetadata !== "");
  }
  if (clearsRoute) exchange.clearRoute();
}

/** `failed_status_in_metadata` */
export function noteFailure(
  exchange: Exchange,
  { failedStatusInMetadata }: JwtProviderConfig,
  status: JwtStatus,
): void {
  if (failedStatusInMetadata === "") return;
  setMetadata(exchange, failedStatusInMetadata, { code: String(status.code), message: status.text });
}

/** The fields that say what a provider's tokens say. Nobody else may write them. */
export function ownHeaders({ forwardPayloadHeader, claimHeaders }: JwtProviderConfig): readonly string[] {
  const headers = claimHeaders.map(({ header }) => header);
  return forwardPayloadHeader === "" ? headers : [forwardPayloadHeader, ...headers];
}

function setMetadata({ metadata }: Exchange, key: string, value: Json): void {
  const known = metadata.get(JWT_METADATA);
  if (known === undefined) metadata.set(JWT_METADATA, new Map([[key, value]]));
  else known.set(key, value);
}

function claimAt(payload: JsonObject, path: readonly string[]): Json | undefined {
  let claim: Json | undefined = payload;
  for (const name of path) claim = isJsonObject(claim) && Object.hasOwn(claim, name) ? claim[name] : undefined;
  return claim;
}

/**
 * A claim as a field's value, as bytes. "": it has none (nothing, null, or text that no field can hold: a token that has been signed
 * may be a foreign hand's all the same). Lists and objects are their JSON in base64, as in Envoy.
 */
function headerValueOf(claim: Json | undefined): string {
  if (claim === undefined || claim === null) return "";
  if (typeof claim === "number") return numberText(claim);
  if (typeof claim === "boolean") return String(claim);
  if (typeof claim !== "string") return Buffer.from(JSON.stringify(claim)).toString("base64");
  const value = Buffer.from(claim).toString("latin1").trim();
  return FIELD_VALUE.test(value) ? value : "";
}

/** RFC 9110 §5.5 */
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** As Envoy writes them: whole numbers in full, others with six places. */
function numberText(value: number): string {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 64 ? BigInt(value).toString() : value.toFixed(6);
}

function padded(text: string): string {
  return text.padEnd(Math.ceil(text.length / 4) * 4, "=");
}

function normalized(payload: JsonObject, { spaceDelimitedClaims }: JwtProviderConfig): JsonObject {
  const lists = spaceDelimitedClaims.flatMap((name) => {
    const claim = Object.hasOwn(payload, name) ? payload[name] : undefined;
    return typeof claim === "string" ? [[name, claim.split(" ").filter(Boolean)] as const] : [];
  });
  return lists.length === 0 ? payload : Object.fromEntries([...Object.entries(payload), ...lists]);
}
