import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { ConnectionOptions } from "node:tls";
import { type Clock, err, type Inspectable, type Json, ok, type Result, type Timer } from "@heddle/base";
import { decodeDiscoveryResponse, encodeDiscoveryRequest, fromProtoJson, toProtoJson } from "@heddle/proto";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { ResourceOrigin } from "@heddle/traffic";
import { type UpdateMetrics, updateMetrics } from "./client-metrics.ts";
import type { ClientResourceType, ResourceStatus } from "./protocol/client-resources.ts";
import { ClientSession } from "./protocol/client-session.ts";
import { sotwClient } from "./protocol/client-sotw.ts";
import { restPath } from "./protocol/discovery-services.ts";
import { nackMessage } from "./protocol/nack-message.ts";
import type { DiscoveryRequest, DiscoveryResponse } from "./protocol/wire.ts";
import { GRACE_MS, RemovalGuard } from "./removal-guard.ts";
import type { ResourceKind } from "./resource/resource-type.ts";
import type { XdsNode } from "./snapshot.ts";
import type { ResourceSubscriber, ResourceUpdate } from "./subscription.ts";

/** Where a server listens. */
export interface RestEndpoint {
  readonly address: { readonly host: string; readonly port: number } | { readonly socketPath: string };
  /** Called for each connection. Left out: plaintext. */
  readonly tls?: () => ConnectionOptions;
}

export interface RestClientOptions {
  readonly type: ClientResourceType;
  /** Asked in turn; at least one. */
  readonly endpoints: readonly RestEndpoint[];
  /** The Host of requests. */
  readonly host: string;
  readonly refreshDelayMs: number;
  readonly requestTimeoutMs: number;
  readonly origin: ResourceOrigin;
  readonly node: XdsNode;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly onUpdate: (update: ResourceUpdate) => void;
  /** From 0 (included) to 1 (excluded). */
  readonly random: () => number;
}

/** As much as a very large mesh needs. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;

/**
 * Polls a REST-JSON discovery service (`ApiConfigSource.REST`): `POST /v3/discovery:clusters` with a `DiscoveryRequest` in proto
 * JSON, which is answered by a `DiscoveryResponse` or, where nothing has changed, by 304. Between one answer and the next
 * question lie one to two refresh delays, by chance. A refused response is asked for again with the version before it; REST
 * has no NACK. An answer that takes everything away is believed when it has stood for a while (`RemovalGuard`).
 */
export class RestClient implements ResourceSubscriber, Inspectable {
  readonly name = "rest-client";
  readonly #options: RestClientOptions;
  readonly #session: ClientSession<DiscoveryRequest, DiscoveryResponse>;
  readonly #metrics: UpdateMetrics | undefined;
  readonly #removals: RemovalGuard;
  #names: ReadonlySet<string> = new Set();
  #timer: Timer | undefined;
  #hangUp: (() => void) | undefined;
  #isFirst = true;
  #attempts = 0;
  #lastError = "";
  #closed = false;

  constructor(options: RestClientOptions) {
    const { node, type, clock, metrics } = options;
    this.#options = options;
    this.#session = new ClientSession(node, [type], sotwClient, clock, (update) => this.#deliver(update));
    this.#metrics = updateMetrics(metrics, type.kind);
    this.#removals = new RemovalGuard(clock, (update) => this.#release(update));
  }

  subscribe(kind: ResourceKind, names: ReadonlySet<string>): void {
    if (this.#closed) return;
    this.#names = names;
    this.#removals.want(kind, names);
    this.#session.subscribe(kind, names);
    if (names.size === 0) this.#stop();
    else if (this.#hangUp === undefined) this.#poll();
  }

  statuses(): ResourceStatus[] {
    return this.#session.statuses();
  }

  inspect(): Json {
    const { type, host, refreshDelayMs } = this.#options;
    const asking = this.#hangUp !== undefined;
    const heldBack = [...(this.#removals.heldBack.get(type.kind) ?? [])];
    return {
      kind: type.kind,
      host,
      refreshDelayMs,
      asking,
      attempts: this.#attempts,
      lastError: this.#lastError,
      heldBack,
    };
  }

  close(): void {
    this.#closed = true;
    this.#removals.closeStream();
    this.#stop();
    this.#session.close();
  }

  #stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#hangUp?.();
    this.#hangUp = undefined;
  }

  #poll(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    // Between two questions the server may have lost its data, and nothing tells; so each answer is the first of a stream.
    this.#removals.openStream();
    this.#session.openStream();
    const [request] = this.#session.takeRequests();
    if (request === undefined) return; // nothing is wanted
    const { endpoints } = this.#options;
    const endpoint = endpoints[this.#attempts++ % endpoints.length]!; // there is at least one
    const asked = this.#names;
    this.#hangUp = this.#send(endpoint, JSON.stringify(requestJson(request)), (answer) => {
      this.#hangUp = undefined;
      this.#answered(answer);
      this.#session.closeStream();
      if (this.#closed || this.#names.size === 0) return;
      // What was asked for meanwhile has not been asked yet.
      if (this.#names !== asked) this.#poll();
      else this.#timer = this.#options.clock.after(this.#delayMs(), () => this.#poll(), true);
    });
  }

  /** Envoy's: so that a mesh that starts together does not ask together for ever. */
  #delayMs(): number {
    const { refreshDelayMs, random } = this.#options;
    return refreshDelayMs * (1 + random());
  }

  #answered(answer: Result<DiscoveryResponse | "unchanged", string>): void {
    const { clock, log, type } = this.#options;
    if (!answer.ok) {
      this.#metrics?.count("failure", clock.wallNow());
      if (answer.error !== this.#lastError) log.warn("polling failed", { kind: type.kind, reason: answer.error });
      this.#lastError = answer.error;
      this.#removals.closeStream(); // what is held back waits for a server that is there
      return;
    }
    this.#lastError = "";
    if (answer.value === "unchanged") {
      this.#metrics?.count("success", clock.wallNow());
      if (this.#removals.heldBack.size > 0) this.#deliver({ kind: type.kind, ...NOTHING });
      return;
    }
    const outcome = this.#session.receive(answer.value);
    if (outcome === undefined) return; // it has no other type
    this.#metrics?.count(outcome.errors.length > 0 ? "rejected" : "success", clock.wallNow());
    if (outcome.errors.length > 0) {
      this.#lastError = nackMessage(outcome.errors);
      log.warn("rejected configuration", { type: type.kind, error: this.#lastError });
    }
    this.#deliver(outcome.update);
  }

  #deliver(received: ResourceUpdate): void {
    const before = this.#removals.heldBack.size;
    const update = this.#removals.pass(received);
    if (before === 0 && this.#removals.heldBack.size > 0)
      this.#options.log.warn("the server has come back with nothing; what it had is kept for a while", {
        kind: update.kind,
        keptMs: GRACE_MS,
      });
    const { changed, removed, absent, refreshed = [] } = update;
    const isNews = changed.size + removed.length + absent.length + refreshed.length > 0;
    if (isNews || this.#isFirst) this.#options.onUpdate({ ...update, origin: this.#options.origin });
    if (update.timedOut !== true) this.#isFirst = false;
  }

  #release(update: ResourceUpdate): void {
    const { log, onUpdate, origin } = this.#options;
    log.warn("what the server no longer has is removed", { kind: update.kind, count: update.removed.length });
    onUpdate({ ...update, origin });
  }

  /** Calls back once, unless the function that it returns is called before. */
  #send(
    endpoint: RestEndpoint,
    body: string,
    done: (answer: Result<DiscoveryResponse | "unchanged", string>) => void,
  ): () => void {
    const { type, host, requestTimeoutMs, clock } = this.#options;
    let open = true;
    const end = (answer: Result<DiscoveryResponse | "unchanged", string> | undefined): void => {
      if (!open) return;
      open = false;
      timer.cancel();
      call.destroy();
      if (answer !== undefined) done(answer);
    };
    const options = {
      ...endpoint.address,
      method: "POST",
      path: restPath(type.kind),
      agent: false, // one connection for each question: they lie far apart
      headers: { host, "content-type": "application/json", accept: "application/json" },
    } as const;
    const call = endpoint.tls === undefined ? requestHttp(options) : requestHttps({ ...options, ...endpoint.tls() });
    const timer = clock.after(requestTimeoutMs, () => end(err(`no answer within ${requestTimeoutMs} ms`)), true);
    call.on("error", (error) => end(err(error.message)));
    call.on("response", (response) => readAnswer(response, this.#options.type, end));
    call.end(body);
    return () => end(undefined);
  }
}

const NOTHING: Pick<ResourceUpdate, "changed" | "removed" | "absent"> = { changed: new Map(), removed: [], absent: [] };

type End = (answer: Result<DiscoveryResponse | "unchanged", string>) => void;

function readAnswer(response: IncomingMessage, type: ClientResourceType, end: End): void {
  const { statusCode = 0 } = response;
  if (statusCode !== 200) {
    end(statusCode === 304 ? ok("unchanged") : err(`the server answered with status ${statusCode}`));
    return;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) end(err(`the response has more than ${MAX_BODY_BYTES} bytes`));
    else chunks.push(chunk);
  });
  response.on("error", (error) => end(err(error.message)));
  response.on("close", () => end(err("the response broke off")));
  response.on("end", () => {
    if (response.complete) end(decodeAnswer(Buffer.concat(chunks), type));
  });
}

const RESPONSE = "envoy.service.discovery.v3.DiscoveryResponse";

function decodeAnswer(body: Buffer, type: ClientResourceType): Result<DiscoveryResponse, string> {
  let json: unknown;
  try {
    json = JSON.parse(body.toString("utf8"));
  } catch (error) {
    return err(`the response is no JSON: ${(error as Error).message}`);
  }
  const bytes = fromProtoJson(RESPONSE, json);
  if (!bytes.ok) {
    const issues = bytes.error.map(({ path, message }) => (path === "" ? message : `${path}: ${message}`));
    return err(`the response is no DiscoveryResponse: ${nackMessage(issues)}`);
  }
  const response = decodeDiscoveryResponse(bytes.value);
  // The path has said which type is meant.
  if (response.typeUrl === "") return ok({ ...response, typeUrl: type.typeUrl });
  if (response.typeUrl === type.typeUrl) return ok(response);
  return err(`the response is of type ${response.typeUrl}, not ${type.typeUrl}`);
}

function requestJson(request: DiscoveryRequest): Json {
  const json = toProtoJson("envoy.service.discovery.v3.DiscoveryRequest", encodeDiscoveryRequest(request));
  if (!json.ok) throw new Error(json.error); // it was encoded just now
  return json.value;
}
