import type { Failure, Result } from "@heddle/base";
import type { SideRequest, SideResponse } from "@heddle/filter";
import { HeaderMap, RequestHead } from "@heddle/http";
import {
  compileStringMatcher,
  type HeaderFormat,
  type HeaderFormatContext,
  type StringMatcher,
  type StringMatcherConfig,
} from "@heddle/traffic";
import { FRAMING_FIELDS, type HeaderChange } from "@heddle/traffic/ext-authz";
import type { HttpAuthorization } from "./ext-authz-config.ts";
import { compileValues, formatted } from "./grpc-authorization.ts";
import { FAILED, type Metadata, type Verdict } from "./verdict.ts";

/** A denial with a page in it. */
const MAX_ANSWER_BYTES = 1024 * 1024;
const NO_LIMIT_MS = 2 ** 31 - 1;

/** What the service is told of a request. */
export interface HttpQuestion {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  /** Names and values in turn, without pseudo-headers. */
  readonly headers: readonly string[];
  readonly body: Uint8Array | undefined;
}

/** Asks a service by a request like the one that is to be allowed: 200 allows it. */
export class HttpAuthorizer {
  readonly cluster: string;
  readonly #config: HttpAuthorization;
  readonly #added: readonly (readonly [name: string, value: HeaderFormat])[];
  readonly #upstream: NameMatcher;
  readonly #upstreamAppended: NameMatcher;
  readonly #client: NameMatcher;
  readonly #clientOnSuccess: NameMatcher;
  readonly #metadata: NameMatcher;

  constructor(config: HttpAuthorization) {
    this.cluster = config.cluster;
    this.#config = config;
    this.#added = compileValues(config.headersToAdd);
    this.#upstream = nameMatcher(config.allowedUpstreamHeaders);
    this.#upstreamAppended = nameMatcher(config.allowedUpstreamHeadersToAppend);
    const denial = nameMatcher(config.allowedClientHeaders);
    // Without a list the client gets what the service has said; with one it still learns where to go and how to prove itself.
    this.#client =
      config.allowedClientHeaders.length === 0 ? () => true : (name) => ALWAYS_TO_CLIENTS.has(name) || denial(name);
    this.#clientOnSuccess = nameMatcher(config.allowedClientHeadersOnSuccess);
    this.#metadata = nameMatcher(config.dynamicMetadataFromHeaders);
  }

  request(question: HttpQuestion, context?: HeaderFormatContext): SideRequest {
    const { pathPrefix, pathOverride, timeoutMs } = this.#config;
    const headers = new HeaderMap();
    const { headers: fields, body } = question;
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i]!; // names stand at even places, values behind them
      if (!FRAMING_FIELDS.has(name)) headers.append(name, fields[i + 1]!);
    }
    for (const [name, value] of this.#added) headers.set(name, formatted(value, context));
    headers.append("content-length", String(body?.length ?? 0));
    const path = pathOverride !== "" ? pathOverride : pathPrefix + (question.path === "" ? "/" : question.path);
    return {
      head: new RequestHead(question.method, "http", question.host, path, headers),
      ...(body !== undefined && { body }),
      timeoutMs: timeoutMs > 0 ? timeoutMs : NO_LIMIT_MS,
      maxResponseBytes: MAX_ANSWER_BYTES,
    };
  }

  verdict(result: Result<SideResponse, Failure>): Verdict {
    if (!result.ok || result.value.head.status >= 500) return FAILED;
    const { head, body } = result.value;
    return head.status === 200 ? this.#allowed(head.headers) : this.#denied(head.status, head.headers, body);
  }

  #allowed(headers: HeaderMap): Verdict {
    const removed = headers.getAll(TO_REMOVE).flatMap((list) => list.split(","));
    const changes: HeaderChange[] = [];
    const appended: HeaderChange[] = [];
    const responseHeaders: HeaderChange[] = [];
    eachField(headers, (name, value) => {
      if (this.#upstream(name)) changes.push({ name, value, action: "set" });
      if (this.#upstreamAppended(name)) appended.push({ name, value, action: "add" });
      if (this.#clientOnSuccess(name)) responseHeaders.push({ name, value, action: "add" });
    });
    return {
      type: "allowed",
      headers: [...changes, ...appended],
      headersToRemove: removed.map((name) => name.trim().toLowerCase()).filter((name) => name !== ""),
      responseHeaders,
      queryParametersToSet: [],
      queryParametersToRemove: [],
      metadata: this.#metadataOf(headers),
    };
  }

  #denied(status: number, headers: HeaderMap, body: Uint8Array): Verdict {
    const told: HeaderChange[] = [];
    eachField(headers, (name, value) => {
      if (this.#client(name)) told.push({ name, value, action: "add" });
    });
    return { type: "denied", status, headers: told, body, metadata: this.#metadataOf(headers) };
  }

  #metadataOf(headers: HeaderMap): Metadata {
    const metadata: (readonly [string, unknown])[] = [];
    eachField(headers, (name, value) => {
      if (this.#metadata(name)) metadata.push([name, Buffer.from(value, "latin1").toString()]);
    });
    return metadata;
  }
}

const TO_REMOVE = "x-envoy-auth-headers-to-remove";
const ALWAYS_TO_CLIENTS: ReadonlySet<string> = new Set(["www-authenticate", "location"]);
/** Of the hop between us and the service. */
const OWN_FIELDS: ReadonlySet<string> = new Set([...FRAMING_FIELDS, TO_REMOVE, "date", "server"]);

type NameMatcher = (name: string) => boolean;

export function nameMatcher(configs: readonly StringMatcherConfig[]): NameMatcher {
  const matchers: readonly StringMatcher[] = configs.map(compileStringMatcher);
  return (name) => {
    for (const matcher of matchers) if (matcher.test(name)) return true;
    return false;
  };
}

function eachField({ fields }: HeaderMap, onField: (name: string, value: string) => void): void {
  for (let i = 0; i < fields.length; i += 2) if (!OWN_FIELDS.has(fields[i]!)) onField(fields[i]!, fields[i + 1]!);
}
