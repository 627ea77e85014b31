import { HeaderMap } from "@heddle/http";
import type { Exchange, LocalReply } from "./exchange.ts";

/** By this a caller asks who denies it. */
export const EXPLAIN_HEADER = "x-heddle-explain";
/** The answer to it. */
export const DENIED_BY_HEADER = "x-heddle-denied-by";

/**
 * A denial that names its rule to callers that may know: a request from inside (Envoy's `internal_address_config`) or over mTLS
 * from a workload with a SPIFFE ID, which asks by `x-heddle-explain: denial`, is answered with
 * `x-heddle-denied-by: <filter>/<rule>`. To others the reply is what it was: rules are not told to who tries them out.
 *
 * For every filter that authorizes. The rule goes into `reply.details` too, which the access log shows.
 */
export function denial(exchange: Exchange, reply: LocalReply, filter: string, rule: string): LocalReply {
  if (exchange.request.headers.joined(EXPLAIN_HEADER) !== "denial" || !isTrusted(exchange)) return reply;
  const headers = reply.headers?.clone() ?? new HeaderMap();
  headers.set(DENIED_BY_HEADER, `${inHeader(filter)}/${inHeader(rule)}`);
  return { ...reply, headers };
}

/** Whether the caller is one of ours: from inside, or a workload that has shown who it is. */
function isTrusted({ request, downstream }: Exchange): boolean {
  // What a client says of it is taken out before filters see the request.
  if (request.headers.get("x-envoy-internal") === "true") return true;
  const { tls } = downstream.connection ?? downstream;
  return tls?.peerVerified === true && tls.peer?.uriSans.some((uri) => uri.startsWith("spiffe://")) === true;
}

/** Names of rules are a user's: nothing in them ends the field, and they do not grow without bound. */
function inHeader(name: string): string {
  return name.slice(0, MAX_NAME).replace(/[^\x21-\x7e]/g, "_");
}

const MAX_NAME = 256;
