import type { LocalReply } from "@heddle/filter";
import { HeaderMap, type RequestHead } from "@heddle/http";
import {
  type HttpConnectionManagerConfig,
  normalizeTarget,
  type PathNormalizationOptions,
  portStart,
} from "@heddle/traffic";
import { readForwarded } from "./forwarded-headers.ts";
import type { HttpExchange } from "./http-exchange.ts";

/** What is done to each request before filters and routes see it, decided when configuration changes. */
export class RequestPreparation {
  readonly config: HttpConnectionManagerConfig;
  /** Undefined: paths stay as they are. */
  readonly normalization: PathNormalizationOptions | undefined;
  /** Undefined: names with underscores are as good as others. */
  readonly underscores: "REJECT_REQUEST" | "DROP_HEADER" | undefined;

  constructor(config: HttpConnectionManagerConfig) {
    this.config = config;
    const { normalizePath, mergeSlashes, pathWithEscapedSlashesAction } = config;
    const wanted = normalizePath || mergeSlashes || pathWithEscapedSlashesAction !== "KEEP_UNCHANGED";
    const { headersWithUnderscoresAction: underscores } = config;
    this.underscores = underscores === "ALLOW" ? undefined : underscores;
    this.normalization = wanted ? { normalizePath, mergeSlashes, pathWithEscapedSlashesAction } : undefined;
  }
}

/**
 * Header names, version, path, host, forwarding headers, request id, in Envoy's order. Returns the answer for a request that goes no
 * further.
 */
export function prepareRequest(
  head: RequestHead,
  { config, normalization, underscores }: RequestPreparation,
  exchange: HttpExchange,
): LocalReply | undefined {
  if (underscores !== undefined) {
    for (let name = underscored(head.headers); name !== undefined; name = underscored(head.headers)) {
      if (underscores === "REJECT_REQUEST") return UNEXPECTED_UNDERSCORE;
      head.headers.remove(name);
    }
  }
  if (head.httpVersion === "1.0") {
    if (!config.acceptHttp10) return VERSION_TOO_LOW;
    if (head.authority === "") head.authority = config.defaultHostForHttp10;
    if (head.authority === "") return NO_HOST;
  }
  if (config.stripPort !== "none") stripPort(head, config.stripPort, exchange.downstream.localPort);
  if (normalization !== undefined && head.path.startsWith("/")) {
    const normalized = normalizeTarget(head.path, normalization);
    if (normalized.type === "reject") return BAD_PATH;
    if (normalized.type === "redirect") return redirectTo(normalized.target);
    if (normalized.type === "changed") head.path = normalized.target;
  }
  exchange.downstream = readForwarded(head, config, exchange.downstream);
  exchange.requestId = requestId(head.headers, config, exchange);
  if (config.via !== "") head.headers.append("via", config.via);
  return undefined;
}

/** The first name with an underscore. */
function underscored({ fields }: HeaderMap): string | undefined {
  for (let i = 0; i < fields.length; i += 2) if (fields[i]!.includes("_")) return fields[i];
  return undefined;
}

/** At the edge a client's id is replaced, so that nobody outside chooses the ids by which we find requests. */
function requestId(headers: HeaderMap, config: HttpConnectionManagerConfig, { manager }: HttpExchange): string {
  const given = headers.get("x-request-id");
  const keep = given !== undefined && given !== "" && (!config.useRemoteAddress || config.preserveExternalRequestId);
  if (keep) return given;
  if (!config.generateRequestId) return given ?? "";
  const id = manager.env.randomHex.uuid();
  headers.set("x-request-id", id);
  return id;
}

/** `strip_matching_host_port` removes the listener's own port, `strip_any_host_port` any. Never of CONNECT's target. */
function stripPort(head: RequestHead, which: "matching" | "any", localPort: number): void {
  if (head.method === "CONNECT") return;
  const at = portStart(head.authority);
  if (at === -1) return;
  if (which === "any" || head.authority.slice(at + 1) === String(localPort))
    head.authority = head.authority.slice(0, at);
}

function redirectTo(target: string): LocalReply {
  return { status: 307, details: "path_normalization_failed", headers: new HeaderMap(["location", target]) };
}

const VERSION_TOO_LOW: LocalReply = { status: 426, details: "low_version" };
const UNEXPECTED_UNDERSCORE: LocalReply = { status: 400, details: "http1.unexpected_underscore" };
const NO_HOST: LocalReply = { status: 400, details: "missing_host_header" };
const BAD_PATH: LocalReply = { status: 400, details: "path_normalization_failed" };
