import type { Clock } from "@heddle/base";
import {
  type DataResult,
  denial,
  type Exchange,
  type FilterContext,
  type HeadResult,
  type HttpFilter,
  type HttpFilterFactory,
  type LocalReply,
  ResponseFlag,
  type SideRequest,
} from "@heddle/filter";
import { HeaderMap, type RequestHead } from "@heddle/http";
import {
  compileMetadataMatcher,
  flagSource,
  fractionSource,
  type HeaderFormatContext,
  systemRandom,
} from "@heddle/traffic";
import {
  applyRequestChanges,
  applyResponseChanges,
  type CheckAttributes,
  chosenMetadata,
  compileMutationRules,
  fieldIsValid,
  type HeaderChange,
  isToken,
  type MetadataContext,
  type MutationRules,
  type RequestLimits,
} from "@heddle/traffic/ext-authz";
import { HttpExchange } from "../../http/http-exchange.ts";
import { checkedPeers, serverNameOf } from "./checked-peers.ts";
import type { AuthorizationService, BodySettings, ExtAuthzConfig, ExtAuthzRouteConfig } from "./ext-authz-config.ts";
import { ExtAuthzStats } from "./ext-authz-stats.ts";
import { GrpcAuthorizer } from "./grpc-authorization.ts";
import { HttpAuthorizer, nameMatcher } from "./http-authorization.ts";
import type { Allowed, Denied, Failed, Metadata, Verdict } from "./verdict.ts";

export function create(config: ExtAuthzConfig, context: FilterContext): HttpFilterFactory {
  const place = new ExtAuthzPlace(config, context);
  return { create: () => new ExtAuthzFilter(place) };
}

type Authorizer = GrpcAuthorizer | HttpAuthorizer;

/** One filter as configured: what all its exchanges share. */
class ExtAuthzPlace {
  readonly config: ExtAuthzConfig;
  readonly name: string;
  readonly clock: Clock;
  readonly stats: ExtAuthzStats;
  readonly rules: MutationRules | undefined;
  /** Whether a header of that name goes to the service. */
  readonly tells: (name: string) => boolean;
  readonly #authorizer: Authorizer;
  /** Of routes that ask somebody else. */
  readonly #others = new WeakMap<AuthorizationService, Authorizer>();
  readonly #enabled: (exchange: Exchange) => boolean;
  readonly #deniesAtDisable: { readonly value: boolean };

  constructor(config: ExtAuthzConfig, { name, clock, metrics, runtime }: FilterContext) {
    this.config = config;
    this.name = name;
    this.clock = clock;
    this.stats = new ExtAuthzStats(metrics, config.statPrefix);
    this.rules = config.mutationRules && compileMutationRules(config.mutationRules);
    this.tells = headersTold(config);
    this.#authorizer = makeAuthorizer(config.service);
    const share = config.enabled && fractionSource(config.enabled, runtime);
    const matches = config.enabledMetadata && compileMetadataMatcher(config.enabledMetadata);
    this.#enabled = (exchange) =>
      (share === undefined || systemRandom() % share.denominator < share.numerator) &&
      (matches === undefined || matches(exchange.metadata));
    const { value = false, runtimeKey } = config.denyAtDisable ?? {};
    this.#deniesAtDisable = flagSource(value, runtimeKey, runtime);
  }

  isEnabled(exchange: Exchange): boolean {
    return this.#enabled(exchange);
  }

  get deniesAtDisable(): boolean {
    return this.#deniesAtDisable.value;
  }

  authorizerOf(service: AuthorizationService | undefined): Authorizer {
    if (service === undefined) return this.#authorizer;
    let authorizer = this.#others.get(service);
    if (authorizer === undefined) {
      authorizer = makeAuthorizer(service);
      this.#others.set(service, authorizer);
    }
    return authorizer;
  }
}

function makeAuthorizer(service: AuthorizationService): Authorizer {
  return service.type === "grpc" ? new GrpcAuthorizer(service) : new HttpAuthorizer(service);
}

/** An HTTP service is told nothing of headers but what it needs, unless it is said (Envoy). */
function headersTold({ allowedHeaders, disallowedHeaders = [], service }: ExtAuthzConfig): (name: string) => boolean {
  const allowed = nameMatcher(allowedHeaders ?? []);
  const disallowed = nameMatcher(disallowedHeaders);
  const isAllowed =
    service.type === "http"
      ? (name: string) => name === "authorization" || allowed(name)
      : allowedHeaders === undefined
        ? () => true
        : allowed;
  // What a client says of it would be taken for ours.
  return (name) => name !== PARTIAL_BODY && !disallowed(name) && isAllowed(name);
}

const PARTIAL_BODY = "x-envoy-auth-partial-body";
const NAMESPACE = "envoy.filters.http.ext_authz";

/**
 * - "idle": nothing is asked of this exchange (any more); what comes passes.
 * - "gathering": the head waits, and the body is held back until there is enough of it to ask with.
 * - "asking": everything waits for the answer, and the client is held up where it sends more than may wait.
 */
type State = "idle" | "gathering" | "asking";

class ExtAuthzFilter implements HttpFilter {
  readonly #place: ExtAuthzPlace;
  #state: State = "idle";
  #route: ExtAuthzRouteConfig | undefined = undefined;
  #body: BodySettings | undefined = undefined;
  #startMs = 0;
  #call: { cancel(): void } | undefined = undefined;
  #responseHeaders: readonly HeaderChange[] | undefined = undefined;

  constructor(place: ExtAuthzPlace) {
    this.#place = place;
  }

  requestHead(exchange: Exchange, endStream: boolean): HeadResult {
    if (exchange.route === undefined) return "continue"; // it gets its 404, and nobody can be asked with what a route says
    this.#route = exchange.routeConfig(this.#place.name) as ExtAuthzRouteConfig | undefined;
    if (this.#route?.disabled === true) return "continue";
    if (!this.#place.isEnabled(exchange)) return this.#passDisabled(exchange);
    const { request } = exchange;
    const gathers = !endStream && request.upgrade === undefined && request.method !== "CONNECT";
    this.#body = gathers ? this.#bodySettings() : undefined;
    if (this.#body === undefined) this.#ask(exchange, undefined);
    else {
      this.#state = "gathering";
      exchange.raiseRequestBufferLimit(this.#body.maxBytes);
      exchange.askForBody();
    }
    return "pause";
  }

  requestData(exchange: Exchange, chunk: Uint8Array, endStream: boolean): DataResult {
    if (this.#state !== "gathering") return this.#state === "asking" ? "watermark" : "continue";
    const { maxBytes = 0, allowPartial = false } = this.#body ?? {};
    const size = exchange.bufferedRequest.length + chunk.length;
    if (!allowPartial && size > maxBytes) {
      this.#state = "idle";
      exchange.reply(TOO_LARGE);
      return "drop";
    }
    if (!endStream && !(allowPartial && size >= maxBytes)) return "buffer";
    this.#ask(exchange, Buffer.concat([exchange.bufferedRequest, chunk]));
    return "watermark";
  }

  requestTrailers(exchange: Exchange): HeadResult {
    if (this.#state === "gathering") this.#ask(exchange, Buffer.from(exchange.bufferedRequest));
    return this.#state === "asking" ? "pause" : "continue";
  }

  responseHead(exchange: Exchange): HeadResult {
    // Somebody else has answered the request meanwhile.
    this.#stop();
    const { response } = exchange;
    if (this.#responseHeaders !== undefined && response !== undefined)
      applyResponseChanges(response.headers, this.#responseHeaders);
    return "continue";
  }

  log(): void {
    this.#stop();
  }

  #stop(): void {
    this.#state = "idle";
    this.#call?.cancel();
    this.#call = undefined;
  }

  #bodySettings(): BodySettings | undefined {
    if (this.#route?.disableBuffering === true) return undefined;
    return this.#route?.body ?? this.#place.config.body;
  }

  #passDisabled(exchange: Exchange): HeadResult {
    const { stats, deniesAtDisable, config } = this.#place;
    stats.count("disabled", exchange);
    if (!deniesAtDisable) return "continue";
    this.#reply(exchange, { status: config.statusOnError, details: "ext_authz_error" }, "disabled");
    return "pause";
  }

  // === the question

  #ask(exchange: Exchange, body: Uint8Array | undefined): void {
    this.#state = "asking";
    this.#startMs = this.#place.clock.now();
    const authorizer = this.#place.authorizerOf(this.#route?.service);
    const request = this.#question(exchange, authorizer, body);
    this.#call = exchange.send(authorizer.cluster, request, (result) => {
      this.#call = undefined;
      if (this.#state === "asking") this.#decide(exchange, authorizer.verdict(result));
    });
  }

  #question(exchange: Exchange, authorizer: Authorizer, gathered: Uint8Array | undefined): SideRequest {
    const { request } = exchange;
    const body = gathered?.subarray(0, this.#body?.maxBytes);
    const partial = gathered === undefined ? undefined : String(body?.length !== gathered.length);
    const context = formatContextOf(exchange);
    const headers = this.#toldHeaders(request);
    if (authorizer instanceof HttpAuthorizer) {
      if (partial !== undefined) headers.push(PARTIAL_BODY, partial);
      const { method, authority: host, path } = request;
      return authorizer.request({ method, host, path, headers, body }, context);
    }
    const pseudo = [":authority", request.authority, ":path", request.path, ":method", request.method];
    pseudo.push(":scheme", request.scheme);
    const all = pseudo.flatMap((name, i) => (i % 2 === 0 && this.#place.tells(name) ? [name, pseudo[i + 1]!] : []));
    all.push(...headers);
    if (partial !== undefined) all.push(PARTIAL_BODY, partial);
    return authorizer.request(this.#attributes(exchange, all, body), context);
  }

  #toldHeaders({ headers: { fields } }: RequestHead): string[] {
    const told: string[] = [];
    for (let i = 0; i < fields.length; i += 2) if (this.#place.tells(fields[i]!)) told.push(fields[i]!, fields[i + 1]!);
    return told;
  }

  #attributes(exchange: Exchange, headers: readonly string[], body: Uint8Array | undefined): CheckAttributes {
    const { config } = this.#place;
    const { request, downstream } = exchange;
    const { includePeerCertificate, includeTlsSession, encodeRawHeaders } = config;
    const { metadataContextNamespaces, routeMetadataContextNamespaces } = config;
    const sourceService = request.headers.get("x-envoy-downstream-service-cluster") ?? "";
    const peers = { sourceService, destinationService: "", certificates: includePeerCertificate };
    return {
      ...checkedPeers(downstream, peers),
      request: {
        timeMs: exchange.startWallMs,
        id: exchange.requestId || exchange.trace.spanId,
        method: request.method,
        path: request.path,
        host: request.authority,
        scheme: request.scheme,
        size: exchange.requestBodyBytes,
        protocol: `HTTP/${request.httpVersion}`,
        headers,
        rawHeaders: encodeRawHeaders,
        ...(body !== undefined && { body }),
        rawBody: this.#body?.packAsBytes === true,
      },
      contextExtensions: this.#route === undefined ? NO_EXTENSIONS : this.#contextExtensions(exchange),
      metadata: chosenMetadata(metadataContextNamespaces, exchange.metadata, downstream.metadata),
      routeMetadata: routeMetadataOf(exchange, routeMetadataContextNamespaces),
      ...(includeTlsSession && { sni: serverNameOf(downstream) }),
    };
  }

  /** Of all levels together; what is more specific comes before what is less. */
  #contextExtensions(exchange: Exchange): Readonly<Record<string, string>> {
    const levels = exchange.routeConfigs(this.#place.name) as readonly ExtAuthzRouteConfig[];
    return Object.assign({}, ...levels.map(({ contextExtensions }) => contextExtensions)) as Record<string, string>;
  }

  // === the answer

  #decide(exchange: Exchange, verdict: Verdict): void {
    this.#state = "idle";
    this.#keepMetadata(exchange, verdict);
    switch (verdict.type) {
      case "allowed":
        this.#allow(exchange, verdict);
        return;
      case "denied":
        this.#deny(exchange, verdict);
        return;
      case "failed":
        this.#fail(exchange, verdict);
        return;
      default:
        throw new Error(`unknown verdict ${JSON.stringify(verdict satisfies never)}`);
    }
  }

  #keepMetadata(exchange: Exchange, { type, metadata }: Verdict): void {
    if (metadata.length === 0) return;
    const { config, stats } = this.#place;
    if (!config.dynamicMetadata) {
      stats.count("ignored_dynamic_metadata", exchange);
      return;
    }
    addMetadata(exchange, NAMESPACE, metadata);
    const elapsedMs = Math.floor(this.#place.clock.now() - this.#startMs);
    if (type === "allowed") addMetadata(exchange, NAMESPACE, [["ext_authz_duration", elapsedMs]]);
  }

  #allow(exchange: Exchange, verdict: Allowed): void {
    const { config, stats, rules } = this.#place;
    if (config.shadowMode) {
      stats.count("ok", exchange);
      exchange.continueRequest();
      return;
    }
    if (config.validateMutations && verdict.responseHeaders.some(isInvalid)) {
      this.#reject(exchange);
      return;
    }
    const isChanged =
      verdict.headers.length + verdict.headersToRemove.length > 0 ||
      verdict.queryParametersToSet.length + verdict.queryParametersToRemove.length > 0;
    if (isChanged) {
      const outcome = applyRequestChanges(exchange.request, verdict, rules, limitsOf(exchange));
      if (outcome === "too-large") stats.count("request_header_limits_reached", exchange);
      if (outcome !== "applied") {
        this.#reject(exchange);
        return;
      }
      if (config.clearRouteCache && this.#touchesRouting(verdict)) exchange.clearRoute();
    }
    if (verdict.responseHeaders.length > 0) this.#responseHeaders = verdict.responseHeaders;
    stats.count("ok", exchange);
    exchange.continueRequest();
  }

  #touchesRouting({ headers, headersToRemove, queryParametersToSet, queryParametersToRemove }: Allowed): boolean {
    const { clearRouteCacheHeaders: names } = this.#place.config;
    if (names.length === 0) return true;
    return (
      headers.some(({ name }) => names.includes(name)) ||
      headersToRemove.some((name) => names.includes(name)) ||
      (names.includes(":path") && queryParametersToSet.length + queryParametersToRemove.length > 0)
    );
  }

  #deny(exchange: Exchange, verdict: Denied): void {
    const { config, stats } = this.#place;
    if (config.shadowMode) {
      this.#passInShadow(exchange, "shadow_denied", verdict.status);
      return;
    }
    stats.count("denied", exchange);
    if (config.chargeClusterResponseStats) stats.chargeResponse(verdict.status, exchange);
    if (config.validateMutations && verdict.headers.some(isInvalid)) {
      this.#reject(exchange);
      return;
    }
    this.#reply(exchange, { ...this.#replyOf(verdict), status: verdict.status, details: "ext_authz_denied" }, "denied");
  }

  #fail(exchange: Exchange, verdict: Failed): void {
    const { config, stats } = this.#place;
    if (config.shadowMode) {
      this.#passInShadow(exchange, "shadow_error", verdict.status || config.statusOnError);
      return;
    }
    stats.count("error", exchange);
    if (config.failureModeAllow) {
      stats.count("failure_mode_allowed", exchange);
      if (config.failureModeAllowHeaderAdd)
        exchange.request.headers.append("x-envoy-auth-failure-mode-allowed", "true");
      exchange.continueRequest();
      return;
    }
    const status = verdict.status || config.statusOnError;
    this.#reply(exchange, { ...this.#replyOf(verdict), status, details: "ext_authz_error" }, "error");
  }

  #replyOf({ headers, body }: Denied | Failed): Pick<LocalReply, "headers" | "body" | "bytes"> {
    const { maxDeniedBodyBytes } = this.#place.config;
    const added = new HeaderMap();
    applyResponseChanges(added, headers);
    const bytes = maxDeniedBodyBytes > 0 ? body.subarray(0, maxDeniedBodyBytes) : body;
    if (bytes.length === 0) return { headers: added };
    return { headers: added, body: Buffer.from(bytes).toString(), bytes };
  }

  /** The service has asked for what cannot be, or may not. */
  #reject(exchange: Exchange): void {
    this.#place.stats.count("invalid", exchange);
    this.#reply(exchange, { status: 500, details: "ext_authz_invalid" }, "invalid");
  }

  #passInShadow(exchange: Exchange, name: "shadow_denied" | "shadow_error", status: number): void {
    this.#place.stats.count(name, exchange);
    addMetadata(exchange, `${this.#place.name}.shadow`, [
      ["check_result", name === "shadow_denied" ? "DENIED" : "ERROR"],
      ["status_code", status],
    ]);
    exchange.continueRequest();
  }

  #reply(exchange: Exchange, reply: LocalReply, rule: string): void {
    const flagged = { ...reply, flags: ResponseFlag.UnauthorizedExternalService };
    exchange.reply(denial(exchange, flagged, this.#place.name, rule));
  }
}

const TOO_LARGE: LocalReply = { status: 413, body: "Payload Too Large", details: "request_payload_too_large" };
const NO_EXTENSIONS: Readonly<Record<string, string>> = {};
const NO_METADATA: MetadataContext = new Map();

/** A field that no message may have; what belongs to framing is passed over elsewhere. */
function isInvalid({ name, value }: HeaderChange): boolean {
  return name.startsWith(":") ? !isToken(name.slice(1)) : !fieldIsValid(name, value);
}

function routeMetadataOf({ route }: Exchange, namespaces: readonly string[]): MetadataContext {
  const metadata = route?.entry.metadata;
  if (metadata === undefined || namespaces.length === 0) return NO_METADATA;
  return new Map(
    namespaces.flatMap((namespace) =>
      Object.hasOwn(metadata, namespace) ? [[namespace, Object.entries(metadata[namespace] ?? {})] as const] : [],
    ),
  );
}

function addMetadata({ metadata }: Exchange, namespace: string, entries: Metadata): void {
  let values = metadata.get(namespace);
  if (values === undefined) metadata.set(namespace, (values = new Map()));
  for (const [key, value] of entries) values.set(key, value);
}

function formatContextOf(exchange: Exchange): HeaderFormatContext | undefined {
  return exchange instanceof HttpExchange ? exchange : undefined;
}

/** What the listener allows a request to have. */
function limitsOf(exchange: Exchange): RequestLimits {
  if (!(exchange instanceof HttpExchange)) return DEFAULT_LIMITS;
  const { maxHeadersCount, maxRequestHeadersKb } = exchange.manager.config;
  return { maxHeaders: maxHeadersCount, maxBytes: maxRequestHeadersKb * 1024 };
}

/** Envoy's. */
const DEFAULT_LIMITS: RequestLimits = { maxHeaders: 100, maxBytes: 60 * 1024 };
