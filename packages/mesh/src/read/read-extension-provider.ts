import { isIP } from "node:net";
import type { ExtensionProvider, HttpQuestions, ProviderBody, ProviderServer } from "../model/extension-provider.ts";
import { ROOT_NAMESPACE } from "../model/policy-target.ts";
import type { Field } from "./field.ts";
import { readMetadata } from "./metadata.ts";
import { readTimeout } from "./read-timeout.ts";

/** As Istio's. */
const DEFAULT_TIMEOUT_MS = 600_000;
const DEFAULT_STATUS_ON_ERROR = 403;
const MAX_BODY_BYTES = 1024 * 1024;

const COMMON = [
  "service",
  "port",
  "timeout",
  "failOpen",
  "statusOnError",
  "includeRequestBodyInCheck",
  "clearRouteCache",
] as const;

/** Reads `ExtensionProvider` (heddle.dev/v1): one of `envoyExtAuthzGrpc` and `envoyExtAuthzHttp`, with Istio's fields. */
export function readExtensionProvider(document: Field): ExtensionProvider {
  const { metadata, spec } = document.object("apiVersion", "kind", "metadata", "spec", "status");
  const { namespace, name } = readMetadata(metadata, "subdomain");
  // Whoever may say where requests of others are shown may read them.
  if (namespace !== ROOT_NAMESPACE)
    metadata.error(`found the namespace "${namespace}", allowed: "${ROOT_NAMESPACE}", since it is for the whole mesh`);
  const { envoyExtAuthzGrpc, envoyExtAuthzHttp } = spec.object("envoyExtAuthzGrpc", "envoyExtAuthzHttp");
  if (envoyExtAuthzGrpc.present === envoyExtAuthzHttp.present)
    spec.error("needs one of envoyExtAuthzGrpc and envoyExtAuthzHttp, and no more");
  const common = { kind: "extension-provider", namespace, name, origin: document.origin } as const;
  if (!envoyExtAuthzGrpc.present && !envoyExtAuthzHttp.present) return { ...common, ...NOBODY };
  if (!envoyExtAuthzHttp.present)
    return { ...common, ...readCommon(envoyExtAuthzGrpc.object(...COMMON)), asks: { type: "grpc" } };
  const fields = envoyExtAuthzHttp.object(
    ...COMMON,
    "pathPrefix",
    "includeRequestHeadersInCheck",
    "includeAdditionalHeadersInCheck",
    "headersToUpstreamOnAllow",
    "headersToDownstreamOnAllow",
    "headersToDownstreamOnDeny",
  );
  return { ...common, ...readCommon(fields), asks: { type: "http", ...readQuestions(fields) } };
}

/** There is an error, so nobody gets it. */
const NOBODY = {
  server: { type: "host", host: "", port: 1 },
  timeoutMs: DEFAULT_TIMEOUT_MS,
  failOpen: false,
  statusOnError: DEFAULT_STATUS_ON_ERROR,
  body: undefined,
  clearRouteCache: false,
  asks: { type: "grpc" },
} as const;

function readCommon(
  fields: Readonly<Record<(typeof COMMON)[number], Field>>,
): Pick<ExtensionProvider, "server" | "timeoutMs" | "failOpen" | "statusOnError" | "body" | "clearRouteCache"> {
  return {
    server: readServer(fields.service, fields.port),
    timeoutMs: readTimeout(fields.timeout, DEFAULT_TIMEOUT_MS),
    failOpen: fields.failOpen.oneOf(true, false) ?? false,
    statusOnError: readStatus(fields.statusOnError),
    body: readBody(fields.includeRequestBodyInCheck),
    clearRouteCache: fields.clearRouteCache.oneOf(true, false) ?? false,
  };
}

/** As Istio's: "name.namespace.svc.cluster.local", or with "namespace/" before a name in DNS, which chooses nothing here. */
function readServer(service: Field, port: Field): ProviderServer {
  const text = service.requiredText().toLowerCase();
  if (!port.present) port.error("is missing");
  const number = port.integer(1, 65_535) ?? 1;
  const host = text.slice(text.indexOf("/") + 1);
  const match = /^([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\.cluster\.local)?$/.exec(host);
  if (match !== null) return { type: "service", name: match[1] ?? "", namespace: match[2] ?? "", port: number };
  if (host !== "" && isIP(host) === 0 && !HOST.test(host))
    service.error(
      `found "${text}", allowed: "NAME.NAMESPACE.svc.cluster.local" of a service of the mesh, a name in DNS, an IP address`,
    );
  return { type: "host", host, port: number };
}

const HOST = /^(?=.{1,253}$)[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?)*$/;

/** The values of `envoy.type.v3.StatusCode` in between, but for its 100: of another one the whole listener would be refused. */
function isStatus(code: number): boolean {
  return STATUSES.some(([first, last]) => code >= first && code <= last) && !NO_STATUSES.has(code);
}

const STATUSES = [
  [200, 208],
  [226, 226],
  [300, 308],
  [400, 417],
  [421, 431],
  [500, 511],
] as const;
const NO_STATUSES: ReadonlySet<number> = new Set([306, 425, 427, 430, 509]);

/** Istio writes it as text. */
function readStatus(field: Field): number {
  const status = typeof field.value === "number" ? field.value : Number(field.text() ?? DEFAULT_STATUS_ON_ERROR);
  if (Number.isInteger(status) && isStatus(status)) return status;
  field.error(`found ${JSON.stringify(field.value)}, allowed: a status of HTTP that Envoy has a name for, 200 to 511`);
  return DEFAULT_STATUS_ON_ERROR;
}

function readBody(field: Field): ProviderBody | undefined {
  if (!field.present) return undefined;
  const { maxRequestBytes, allowPartialMessage, packAsBytes } = field.object(
    "maxRequestBytes",
    "allowPartialMessage",
    "packAsBytes",
  );
  if (!maxRequestBytes.present) maxRequestBytes.error("is missing");
  return {
    maxRequestBytes: maxRequestBytes.integer(1, MAX_BODY_BYTES) ?? 1,
    allowPartialMessage: allowPartialMessage.oneOf(true, false) ?? false,
    packAsBytes: packAsBytes.oneOf(true, false) ?? false,
  };
}

function readQuestions(fields: Readonly<Record<keyof HttpQuestions, Field>>): HttpQuestions {
  const pathPrefix = fields.pathPrefix.text() ?? "";
  if (pathPrefix !== "" && !PATH.test(pathPrefix))
    fields.pathPrefix.error(
      `found ${JSON.stringify(pathPrefix)}, allowed: what begins with "/" and may stand in a target`,
    );
  const added = fields.includeAdditionalHeadersInCheck;
  const headers = added.texts();
  for (const [name, value] of Object.entries(headers))
    if (!TOKEN.test(name) || /[^\t\x20-\x7e]/.test(value))
      added.error(`holds ${JSON.stringify(name)}, which is no header`);
    else if (Math.max(name.length, value.length) > MAX_TEXT_BYTES)
      added.error(`holds a header whose name or value is longer than ${MAX_TEXT_BYTES} bytes`);
  return {
    pathPrefix,
    includeRequestHeadersInCheck: readNames(fields.includeRequestHeadersInCheck),
    includeAdditionalHeadersInCheck: headers,
    headersToUpstreamOnAllow: readNames(fields.headersToUpstreamOnAllow),
    headersToDownstreamOnAllow: readNames(fields.headersToDownstreamOnAllow),
    headersToDownstreamOnDeny: readNames(fields.headersToDownstreamOnDeny),
  };
}

/** Envoy's of a `HeaderValue`: a sidecar refuses the whole listener for a longer one. */
const MAX_TEXT_BYTES = 16_384;
const PATH = /^\/[\x21\x22\x24-\x7e]*$/;
/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const NAME = /^(?:\*|\*?[!#$%&'+\-.^_`|~0-9A-Za-z]+|[!#$%&'+\-.^_`|~0-9A-Za-z]+\*)$/;

function readNames(field: Field): readonly string[] {
  return field.items().map((item) => {
    const name = item.requiredText();
    if (name !== "" && !NAME.test(name)) item.error(`found ${JSON.stringify(name)}, allowed: "name", "begin*", "*end"`);
    return name.toLowerCase();
  });
}
