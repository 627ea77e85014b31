import { type Failure, failure } from "@heddle/base";
import { type LocalReply, ResponseFlag } from "@heddle/filter";
import { HeaderMap, type RequestHead } from "@heddle/http";
import {
  compileHeaderMutations,
  type EarlyHeaderMutation,
  type HeaderMutation,
  type HttpConnectionManagerConfig,
  normalizeTarget,
  type PathNormalizationOptions,
  portStart,
} from "@heddle/traffic";
import { Forwarding } from "./forwarded-headers.ts";
import type { HttpExchange } from "./http-exchange.ts";

/** What is done to each request before filters and routes see it, decided when configuration changes. */
export class RequestPreparation {
  readonly config: HttpConnectionManagerConfig;
  /** How clients reach this manager. */
  readonly scheme: "http" | "https";
  readonly forwarding: Forwarding;
  /** Undefined: paths stay as they are. */
  readonly normalization: PathNormalizationOptions | undefined;
  /** Undefined: names with underscores are as good as others. */
  readonly underscores: "REJECT_REQUEST" | "DROP_HEADER" | undefined;
  /** Host names stay as they are. */
  readonly keepsHost: boolean;
  /** No hop before this one could have taken https off, so nobody may ask for it here (Envoy `validate_scheme`). */
  readonly refusesOtherScheme: boolean;
  /** Undefined: none. */
  readonly earlyMutations: readonly HeaderMutation[] | undefined;

  /** `makeId` gives new request ids. */
  constructor(config: HttpConnectionManagerConfig, scheme: "http" | "https", makeId: () => string) {
    this.config = config;
    this.scheme = scheme;
    this.forwarding = new Forwarding(config, makeId);
    const { normalizePath, mergeSlashes, pathWithEscapedSlashesAction } = config;
    const wanted = normalizePath || mergeSlashes || pathWithEscapedSlashesAction !== "KEEP_UNCHANGED";
    const { headersWithUnderscoresAction: underscores, manners } = config;
    this.underscores = underscores === "ALLOW" ? undefined : underscores;
    this.normalization = wanted ? { normalizePath, mergeSlashes, pathWithEscapedSlashesAction } : undefined;
    this.keepsHost = config.stripPort === "none" && !manners.stripTrailingHostDot;
    this.refusesOtherScheme = config.useRemoteAddress && config.xffNumTrustedHops === 0;
    this.earlyMutations =
      manners.earlyHeaderMutations.length === 0 ? undefined : manners.earlyHeaderMutations.flatMap(compileMutation);
  }
}

/**
 * Header names, version, path, host, forwarding headers, request id, in Envoy's order. Returns the answer for a request that goes no
 * further.
 */
export function prepareRequest(
  head: RequestHead,
  preparation: RequestPreparation,
  exchange: HttpExchange,
): LocalReply | undefined {
  const { config, normalization, underscores, scheme } = preparation;
  if (underscores !== undefined) {
    for (let name = underscored(head.headers); name !== undefined; name = underscored(head.headers)) {
      if (underscores === "REJECT_REQUEST") return rejectUnderscore(head, exchange);
      if (head.httpVersion === "2") exchange.manager.http2Stats.droppedHeadersWithUnderscores.add();
      head.headers.remove(name);
    }
  }
  if (head.scheme !== scheme && head.scheme === "https" && preparation.refusesOtherScheme && head.httpVersion !== "2") {
    return HTTPS_IN_PLAINTEXT; // the scheme of HTTP/2 is taken as it is said, as in Envoy (`Forwarding`)
  }
  if (head.httpVersion === "1.0") {
    if (!config.acceptHttp10) return VERSION_TOO_LOW;
    if (head.authority === "") head.authority = config.defaultHostForHttp10;
    if (head.authority === "") return NO_HOST;
  }
  if (head.path.charCodeAt(0) !== SLASH && head.path.includes("://")) {
    exchange.manager.stats.rqNonRelativePath.add();
    return ABSOLUTE_PATH;
  }
  if (normalization !== undefined && head.path.startsWith("/")) {
    const refusal = normalize(head, normalization, exchange);
    if (refusal !== undefined) return refusal;
  }
  if (!preparation.keepsHost) normalizeHost(head, config, exchange);
  if (preparation.earlyMutations !== undefined) {
    for (const mutation of preparation.earlyMutations) mutation.apply(head.headers, exchange);
  }
  const refusedStatus = preparation.forwarding.apply(exchange, scheme);
  if (refusedStatus !== undefined) {
    exchange.manager.stats.rqRejectedViaIpDetection.add();
    return { status: refusedStatus, details: "rejecting_because_detection_failed" };
  }
  return undefined;
}

/** The first name with an underscore. */
function underscored({ fields }: HeaderMap): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i]!.includes("_")) return fields[i];
  return undefined;
}

/** HTTP/2 resets the stream instead (Envoy `headers_with_underscores_action`). */
function rejectUnderscore(head: RequestHead, exchange: HttpExchange): LocalReply {
  if (head.httpVersion === "2") {
    exchange.manager.http2Stats.requestsRejectedWithUnderscores.add();
    exchange.cutOff(HTTP2_UNDERSCORE);
  }
  return UNEXPECTED_UNDERSCORE;
}

function normalize(
  head: RequestHead,
  options: PathNormalizationOptions,
  { manager }: HttpExchange,
): LocalReply | undefined {
  const normalized = normalizeTarget(head.path, options);
  switch (normalized.type) {
    case "unchanged":
      return undefined;
    case "changed":
      head.path = normalized.target;
      return undefined;
    case "redirect":
      // A gRPC client follows no redirect.
      if (head.headers.get("content-type")?.startsWith("application/grpc") !== true) {
        manager.stats.rqRedirectedNormalized.add();
        return redirectTo(head, normalized.target);
      }
      break;
    case "reject":
      break;
    default:
      throw new Error(`unknown outcome ${JSON.stringify(normalized satisfies never)}`);
  }
  manager.stats.rqFailedNormalization.add();
  return BAD_PATH;
}

/**
 * `strip_trailing_host_dot`, then the port: `strip_matching_host_port` removes the listener's own, `strip_any_host_port`
 * any. The target of CONNECT gets its port back when it is sent on.
 */
function normalizeHost(
  head: RequestHead,
  { manners, stripPort }: HttpConnectionManagerConfig,
  exchange: HttpExchange,
): void {
  const written = head.authority;
  let at = portStart(written);
  if (manners.stripTrailingHostDot) {
    const host = at === -1 ? written : written.slice(0, at);
    if (host.endsWith(".")) {
      head.authority = host.slice(0, -1) + written.slice(host.length);
      if (at !== -1) at--;
    }
  }
  if (stripPort === "none" || at === -1) return;
  const port = head.authority.slice(at + 1);
  if (!/^\d+$/.test(port) || (stripPort === "matching" && Number(port) !== exchange.downstream.localPort)) return;
  head.authority = head.authority.slice(0, at);
  if (head.method === "CONNECT") exchange.connectPort = port;
}

function compileMutation(mutation: EarlyHeaderMutation): readonly HeaderMutation[] {
  return compileHeaderMutations([
    mutation.type === "remove" ? { add: [], remove: [mutation.header] } : { add: [mutation.option], remove: [] },
  ]);
}

/** A path that begins with two slashes would be taken for the name of another host. */
function redirectTo({ scheme, authority }: RequestHead, target: string): LocalReply {
  const location = /^\/[/\\]/.test(target) ? `${scheme}://${authority}${target}` : target;
  return { status: 307, details: "path_normalization_failed", headers: new HeaderMap(["location", location]) };
}

const SLASH = 0x2f;
/** Envoy's codec says these, as it says of a message that it cannot read. */
const { DownstreamProtocolError } = ResponseFlag;
const VERSION_TOO_LOW = byCodec(426, "low_version", "Upgrade Required");
const UNEXPECTED_UNDERSCORE = byCodec(400, "http1.unexpected_underscore", "Bad Request");
const HTTP2_UNDERSCORE: Failure = {
  ...failure("bad-request", "downstream", "a header's name has an underscore"),
  code: "http2.unexpected_underscore",
};
const HTTPS_IN_PLAINTEXT = byCodec(403, "http1.https_url_on_plaintext_connection", "Forbidden");
const NO_HOST: LocalReply = { status: 400, details: "missing_host_header" };
const ABSOLUTE_PATH: LocalReply = { status: 404, details: "absolute_path_rejected" };
const BAD_PATH: LocalReply = { status: 400, details: "path_normalization_failed" };

function byCodec(status: number, details: string, body: string): LocalReply {
  return { status, details, body, flags: DownstreamProtocolError };
}
