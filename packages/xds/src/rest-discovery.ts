import { createHash } from "node:crypto";
import { decodeDiscoveryRequest, encodeMessage, messageFromJson, messageToJson } from "@heddle/proto";
import type { Counter, Log, MetricScope } from "@heddle/telemetry";
import { typeOfRestPath } from "./protocol/discovery-services.ts";
import { findResource, type Resources, versionOf } from "./protocol/resources.ts";
import { Subscription } from "./protocol/subscription.ts";
import { shortTypeName, type TypeTraits } from "./protocol/type-urls.ts";
import type { DiscoveryRequest } from "./protocol/wire.ts";
import { checkNode, checkRequest, DEFAULT_LIMITS, type XdsServerLimits } from "./request-limits.ts";
import type { EncodedResource, Snapshot, SnapshotSource } from "./snapshot.ts";

/*
 * REST-JSON discovery (xds_protocol.rst, "REST-JSON polling subscriptions"): `POST /v3/discovery:clusters` with a
 * `DiscoveryRequest` in proto JSON is answered by a `DiscoveryResponse`, or by 304 where the client has that version. No
 * socket: a request in, an answer out. Nothing is kept between two polls.
 */

export interface RestDiscoveryOptions {
  readonly source: SnapshotSource;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** Sent as `control_plane.identifier`. */
  readonly identifier: string;
  readonly limits?: Partial<XdsServerLimits>;
}

export interface RestRequest {
  readonly method: string;
  /** With its query, which is not looked at. */
  readonly path: string;
  /** "application/json", perhaps with parameters. */
  readonly contentType: string | undefined;
  readonly body: string;
}

export interface RestAnswer {
  readonly status: 200 | 304 | 400 | 404 | 405 | 413 | 415 | 500 | 503;
  /** JSON for 200, a sentence for an error, empty for 304. */
  readonly body: string;
}

const REQUEST = "envoy.service.discovery.v3.DiscoveryRequest";

export class RestDiscovery {
  readonly #options: RestDiscoveryOptions;
  readonly #limits: XdsServerLimits;
  readonly #requests: Map<number, Counter> = new Map();

  constructor(options: RestDiscoveryOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
  }

  /** Never throws: whatever somebody sends ends in an answer to him. */
  answer(request: RestRequest): RestAnswer {
    const answer = this.#answerOrFail(request);
    let counter = this.#requests.get(answer.status);
    if (counter === undefined) {
      const scope = this.#options.metrics.scope("xds_server");
      counter = scope.counter("rest_requests", { code: String(answer.status) });
      this.#requests.set(answer.status, counter);
    }
    counter.add();
    return answer;
  }

  #answerOrFail(request: RestRequest): RestAnswer {
    try {
      return this.#answer(request);
    } catch (error) {
      this.#options.log.error("a poll over REST failed", { path: request.path.slice(0, 200), error });
      return refusal(500, "the poll failed; the control plane's log says why");
    }
  }

  #answer({ method, path, contentType, body }: RestRequest): RestAnswer {
    const traits = typeOfRestPath(path.split("?", 1)[0] ?? "");
    if (traits === undefined) return refusal(404, `found ${path}, allowed: /v3/discovery:listeners and its like`);
    if (method !== "POST") return refusal(405, `found ${method}, allowed: POST`);
    if (!/^application\/json\s*(;|$)/i.test(contentType ?? "")) {
      return refusal(415, `found content-type ${contentType ?? "none"}, allowed: application/json`);
    }
    const request = readRequest(body);
    if ("status" in request) return request;
    const { typeUrl, node } = request;
    if (typeUrl !== "" && typeUrl !== traits.typeUrl) return refusal(400, `type_url: ${path} has no ${typeUrl}`);
    const problem = checkNode(node, this.#limits) ?? checkRequest(request, { types: 1, names: 0 }, this.#limits);
    if (problem !== undefined || node === undefined) return refusal(400, problem?.details ?? "node is missing");
    if (request.errorDetail !== undefined) {
      const error = request.errorDetail.message.slice(0, 4096);
      this.#options.log.warn("xDS response rejected", { node: node.id, type: shortTypeName(traits.typeUrl), error });
    }
    return this.#discover({ ...request, node }, traits);
  }

  #discover(request: DiscoveryRequest & { readonly node: object }, traits: TypeTraits): RestAnswer {
    const { typeUrl } = traits;
    const watch = this.#options.source.watch(request.node, () => undefined);
    try {
      const names = request.resourceNames.filter((name) => name !== "*");
      const missing = names.filter((name) => find(watch.current, typeUrl, name) === undefined);
      if (missing.length > 0 && watch.current !== undefined) watch.request(typeUrl, missing);
      if (watch.current === undefined) return refusal(503, "the control plane has not read its configuration yet");
      const resources = watch.current.resources.get(typeUrl) ?? NOTHING;
      const { version, list } = select(resources, request.resourceNames, traits);
      if (version === request.versionInfo) return { status: 304, body: "" };
      return { status: 200, body: responseJson(version, list, typeUrl, this.#options.identifier) };
    } finally {
      watch.close();
    }
  }
}

const NOTHING: Resources = new Map();

function find(snapshot: Snapshot | undefined, typeUrl: string, name: string): EncodedResource | undefined {
  const resources = snapshot?.resources.get(typeUrl);
  return resources && findResource(resources, name);
}

/** What is asked for, with a version that stands for exactly this: the set's, whatever else the snapshot has. */
function select(resources: Resources, names: readonly string[], { complete }: TypeTraits) {
  const subscription = new Subscription(complete);
  subscription.replace(names);
  if (subscription.wildcard) return { version: versionOf(resources), list: [...resources.values()] };
  const list = new Map<string, EncodedResource>();
  if (subscription.isOpen) {
    for (const resource of resources.values()) if (subscription.wants(resource.name)) list.set(resource.name, resource);
  }
  for (const name of subscription.names) {
    const resource = findResource(resources, name);
    if (resource !== undefined) list.set(resource.name, resource);
  }
  const hash = createHash("sha256");
  for (const name of [...list.keys()].sort()) hash.update(`${name}\0${list.get(name)?.version}\n`);
  return { version: hash.digest("base64url").slice(0, 16), list: [...list.values()] };
}

/** Fields that are younger than our descriptors are passed over, as on a stream. */
function readRequest(body: string): DiscoveryRequest | RestAnswer {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    return refusal(400, `the body is no JSON: ${(error as Error).message}`);
  }
  const message = messageFromJson(REQUEST, json, () => undefined);
  if (!message.ok) {
    const issues = message.error
      .slice(0, 20)
      .map(({ path, message: text }) => (path === "" ? text : `${path}: ${text}`));
    return refusal(400, `the body is no DiscoveryRequest: ${issues.join("; ")}`);
  }
  return decodeDiscoveryRequest(encodeMessage(REQUEST, message.value));
}

const texts = new WeakMap<EncodedResource, string>();

/** A `DiscoveryResponse` in proto JSON. Each resource is written once, however many clients poll it. */
function responseJson(version: string, list: readonly EncodedResource[], typeUrl: string, identifier: string): string {
  const head = JSON.stringify({
    versionInfo: version,
    typeUrl,
    ...(identifier !== "" && { controlPlane: { identifier } }),
  });
  return `${head.slice(0, -1)},"resources":[${list.map((resource) => resourceJson(typeUrl, resource)).join(",")}]}`;
}

function resourceJson(typeUrl: string, resource: EncodedResource): string {
  let text = texts.get(resource);
  if (text === undefined) {
    text = JSON.stringify(messageToJson("google.protobuf.Any", { type_url: typeUrl, value: resource.bytes }));
    texts.set(resource, text);
  }
  return text;
}

function refusal(status: RestAnswer["status"], sentence: string): RestAnswer {
  return { status, body: sentence };
}
