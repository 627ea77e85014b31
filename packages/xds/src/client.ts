import { type ClientDuplexStream, connectivityState, type StatusObject } from "@grpc/grpc-js";
import { Backoff, type Clock, type Inspectable, type Json, type Timer } from "@heddle/base";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { ResourceOrigin } from "@heddle/traffic";
import { asIs } from "./byte-method.ts";
import { ClientMetrics } from "./client-metrics.ts";
import { type ClientWire, clientWire, type ReceivedResponse } from "./client-wire.ts";
import type { XdsChannel, XdsDial } from "./dial.ts";
import { KeepalivePace } from "./keepalive-pace.ts";
import { PrimaryWatch } from "./primary-watch.ts";
import type { ClientResourceType, ResourceStatus } from "./protocol/client-resources.ts";
import { nackMessage } from "./protocol/nack-message.ts";
import { WILDCARD } from "./protocol/subscription.ts";
import { shortTypeName } from "./protocol/type-urls.ts";
import { RejectionLimit } from "./rejection-limit.ts";
import { GRACE_MS, RemovalGuard } from "./removal-guard.ts";
import { type RateLimit, RequestPacer } from "./request-pacer.ts";
import type { ResourceKind } from "./resource/resource-type.ts";
import { ServerChoice } from "./server-choice.ts";
import type { XdsNode } from "./snapshot.ts";
import type { ResourceSubscriber, ResourceUpdate } from "./subscription.ts";

export { UpdateMetrics, updateMetrics } from "./client-metrics.ts";
export { type XdsChannel, type XdsDial, type XdsDialOptions, xdsDial } from "./dial.ts";
export { type LoadReading, LoadReportClient, type LoadReportClientOptions } from "./load/load-report-client.ts";
export { CLIENT_FEATURES } from "./protocol/client-features.ts";
export type { ClientResourceType, ResourceStatus } from "./protocol/client-resources.ts";
export type { ReportedIdentity, ReportedState, ResourceReport, SidecarHealth, SidecarReport } from "./report.ts";
export { ReportClient, type ReportClientOptions } from "./report-client.ts";
export { RestClient, type RestClientOptions, type RestEndpoint } from "./rest-client.ts";

export interface XdsClientOptions {
  /** Makes a new connection to the control plane; called for each attempt. Failing to connect shows on its streams. */
  readonly dial: XdsDial;
  /** Other control planes, asked in this order while those before them do not answer. Left out: none. */
  readonly fallbacks?: readonly XdsDial[];
  readonly node: XdsNode;
  readonly variant: "sotw" | "delta";
  /** The kind whose own service is called. Left out: the aggregated one. */
  readonly service?: ResourceKind;
  /** What updates say they come from. Left out: the aggregated stream. */
  readonly origin?: ResourceOrigin;
  /** Left out: requests go out at once. */
  readonly rateLimit?: RateLimit;
  /** One for each kind that will be subscribed. */
  readonly types: readonly ClientResourceType[];
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /**
   * What was accepted, removed, or does not exist. Called before the response that brought it is acknowledged; `subscribe`
   * may be called from within.
   */
  readonly onUpdate: (update: ResourceUpdate) => void;
  /** The connection, or what `statuses()` says of a resource, has changed. */
  readonly onStatus?: (status: XdsClientStatus) => void;
  /** A connection is up: other streams to the same control plane may be opened on it. It ends with the xDS stream. */
  readonly onConnected?: (channel: XdsChannel) => void;
  /** For the jitter of reconnecting: from 0 (included) to 1 (excluded). */
  readonly random?: () => number;
}

export interface XdsClientStatus {
  /** idle: nothing is subscribed yet. connected: the control plane has answered. waiting: for the next attempt. */
  readonly state: "idle" | "connecting" | "connected" | "waiting" | "closed";
  /** Wall clock, of the last change of `state`. */
  readonly sinceMs: number;
  /** Since the last connection that answered. */
  readonly attempts: number;
  /** Which of the control planes is called, from 0. */
  readonly server: number;
  /** Why the last stream ended; empty if none has. */
  readonly lastError: string;
  /** `control_plane.identifier` of the last response. */
  readonly controlPlane: string;
}

/** Before jitter: each wait is random from 0 to these, so that a mesh that lost its control plane does not return at once. */
const BACKOFF = { baseMs: 200, maxMs: 10_000 };

/** A connection that is not up by then is given up and dialled anew. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Thrown by a dial that lacks something which is about to come, as at each start; whoever brings it calls `redial`. */
export class DialTooEarly extends Error {}

/**
 * Keeps an xDS stream to a control plane, aggregated or of one kind: subscribes, accepts and rejects, reconnects for ever, and
 * keeps what it holds through all of it. It dials when something is first subscribed.
 */
export class XdsClient implements ResourceSubscriber, Inspectable {
  readonly name = "xds-client";
  readonly #options: XdsClientOptions;
  readonly #wire: ClientWire;
  readonly #backoff: Backoff;
  readonly #metrics: ClientMetrics;
  readonly #dials: readonly XdsDial[];
  readonly #choice: ServerChoice;
  readonly #pace = new KeepalivePace();
  readonly #pacer: RequestPacer | undefined;
  readonly #answeredKinds: Set<ResourceKind> = new Set();
  /** Kinds that are wanted whole. */
  readonly #wildcards: Set<ResourceKind> = new Set();
  readonly #rejectionLimit: RejectionLimit;
  readonly #removals: RemovalGuard;
  /** By type URL, what was last said in the log. */
  readonly #lastRejections: Map<string, string> = new Map();
  #channel: XdsChannel | undefined;
  #stream: ClientDuplexStream<Buffer, Buffer> | undefined;
  #retry: Timer | undefined;
  #connectTimeout: Timer | undefined;
  /** Nothing is read until then. */
  #pause: Timer | undefined;
  /** While a control plane is used that is not the first. */
  #primaryWatch: PrimaryWatch | undefined;
  /** While a new connection is made that shall take the place of the one that is up. */
  #successor: PrimaryWatch | undefined;
  /** The control plane whose versions are held. */
  #versionsOf = 0;
  /** Whether the stream has had a response, and when it last had one. */
  #responded = false;
  #respondedMs = 0;
  #status: XdsClientStatus;

  constructor(options: XdsClientOptions) {
    const { variant, service, node, types, clock, metrics, random, dial, fallbacks = [], rateLimit } = options;
    this.#options = options;
    this.#dials = [dial, ...fallbacks];
    this.#choice = new ServerChoice(this.#dials.length);
    this.#wire = clientWire({ variant, service, node, types, clock, onTimeout: (update) => this.#deliver(update) });
    this.#backoff = new Backoff(BACKOFF, random);
    this.#metrics = new ClientMetrics(metrics, service);
    this.#pacer = rateLimit && this.#makePacer(rateLimit);
    this.#rejectionLimit = new RejectionLimit(clock);
    this.#removals = new RemovalGuard(clock, (update) => this.#release(update));
    this.#status = { state: "idle", sinceMs: clock.wallNow(), attempts: 0, lastError: "", controlPlane: "", server: 0 };
  }

  get status(): XdsClientStatus {
    return this.#status;
  }

  subscribe(kind: ResourceKind, names: ReadonlySet<string>): void {
    this.#wire.subscribe(kind, names);
    this.#removals.want(kind, names);
    if (names.has(WILDCARD)) this.#wildcards.add(kind);
    else this.#wildcards.delete(kind);
    if (this.#status.state === "idle" && this.#wire.wantsAnything) this.#connect();
    else this.#flush();
  }

  /** Adds and takes away single names of a kind, at a cost that does not grow with what else is subscribed. */
  adjust(kind: ResourceKind, add: readonly string[], drop: readonly string[]): void {
    this.#wire.adjust(kind, add, drop);
    this.#removals.drop(kind, drop);
    if (this.#status.state === "idle" && this.#wire.wantsAnything) this.#connect();
    else this.#flush();
  }

  /**
   * What connections are made with has changed (the certificate that they show, say): where the client waits for its next
   * attempt it makes it now, and a stream that is up moves to a new connection, which is there before the old one ends.
   */
  redial(): void {
    const { state } = this.#status;
    if (state === "waiting") {
      this.#retry?.cancel();
      this.#connect();
    } else if (state === "connected") this.#moveToNewConnection();
  }

  /** Every resource that is wanted or held. */
  statuses(): ResourceStatus[] {
    return this.#wire.statuses();
  }

  inspect(): Json {
    const { state, sinceMs, attempts, lastError, controlPlane, server } = this.#status;
    return {
      state,
      server,
      since: new Date(sinceMs).toISOString(),
      attempts,
      lastError,
      controlPlane,
      variant: this.#options.variant,
      heldBack: Object.fromEntries([...this.#removals.heldBack].map(([kind, names]) => [kind, [...names]])),
      resources: this.statuses().map((resource) => ({
        type: resource.kind,
        name: resource.name,
        state: resource.state,
        version: resource.version,
        errors: resource.errors,
        rejectedVersion: resource.rejectedVersion,
        unhonoured: resource.unhonoured.map(({ path, note }) => ({ path, note })),
        updatedAt: resource.updatedAtMs === undefined ? null : new Date(resource.updatedAtMs).toISOString(),
      })),
    };
  }

  /** Ends the stream and the connection. What was accepted stays with whoever was told. */
  close(): void {
    if (this.#status.state === "closed") return;
    this.#hangUp();
    this.#wire.close();
    this.#retry?.cancel();
    this.#setStatus({ state: "closed" });
  }

  #connect(): void {
    this.#retry = undefined;
    const { index } = this.#choice;
    this.#setStatus({ state: "connecting", attempts: this.#status.attempts + 1, server: index });
    this.#metrics.attempts.add();
    this.#responded = false;
    try {
      this.#channel = this.#dials[index]!(this.#pace.intervalMs); // the choice is one of them
    } catch (error) {
      const reason = `it cannot be dialled: ${error instanceof Error ? error.message : String(error)}`;
      this.#failed(reason, error instanceof DialTooEarly);
      return;
    }
    this.#openStream(this.#channel, index);
  }

  #openStream(channel: XdsChannel, server: number): void {
    this.#channel = channel;
    this.#responded = false;
    let stream: ClientDuplexStream<Buffer, Buffer>;
    try {
      stream = channel.makeBidiStreamRequest<Buffer, Buffer>(this.#wire.path, asIs, asIs);
    } catch (error) {
      this.#failed(`no stream can be opened: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    this.#stream = stream;
    // Every end of a stream comes as a status; an error that is not listened to would end the process.
    stream.on("error", () => undefined);
    stream.on("status", (status: StatusObject) => this.#lost(stream, describe(status)));
    stream.on("metadata", () => this.#answered(stream, channel));
    stream.on("data", (bytes: Buffer) => this.#receive(stream, channel, bytes));
    this.#connectTimeout = this.#options.clock.after(
      CONNECT_TIMEOUT_MS,
      () => this.#checkConnected(stream, channel),
      true,
    );
    this.#respondedMs = this.#options.clock.now();
    this.#removals.openStream();
    this.#wire.openStream(server !== this.#versionsOf);
    this.#flush();
  }

  #checkConnected(stream: ClientDuplexStream<Buffer, Buffer>, channel: XdsChannel): void {
    // A control plane that is still gathering its configuration says nothing on a connection that is up.
    if (channel.getChannel().getConnectivityState(false) === connectivityState.READY) return;
    this.#lost(stream, `no connection after ${CONNECT_TIMEOUT_MS} ms`);
  }

  /** The first sign of life of a stream. */
  #answered(stream: ClientDuplexStream<Buffer, Buffer>, channel: XdsChannel): void {
    if (stream !== this.#stream || this.#status.state === "connected") return;
    this.#connectTimeout?.cancel();
    this.#metrics.connected.set(1);
    this.#options.log.info("connected to the control plane", { attempts: this.#status.attempts });
    this.#setStatus({ state: "connected", attempts: 0 });
    this.#options.onConnected?.(channel);
    if (this.#choice.index > 0) this.#watchBetterServers();
  }

  /** Goes back to a control plane that stands before this one as soon as it can be reached. */
  #watchBetterServers(): void {
    this.#primaryWatch?.close();
    this.#primaryWatch = new PrimaryWatch({
      dials: this.#dials.slice(0, this.#choice.index).map((dial) => () => dial(this.#pace.intervalMs)),
      clock: this.#options.clock,
      random: this.#options.random,
      onReachable: (channel, index) => {
        this.#hangUp();
        this.#choice.choose(index);
        this.#options.log.info("a control plane that is preferred is back", { server: index });
        this.#setStatus({ state: "connecting", attempts: 1, server: index });
        this.#openStream(channel, index);
      },
    });
  }

  #moveToNewConnection(): void {
    const { index } = this.#choice;
    const { clock, random, log } = this.#options;
    this.#successor?.close(); // it may have been dialled with what has changed since
    this.#successor = new PrimaryWatch({
      dials: [() => this.#dials[index]!(this.#pace.intervalMs)], // the choice is one of them
      clock,
      random,
      onReachable: (channel) => {
        this.#hangUp();
        log.debug("the stream moves to a new connection", { server: index });
        this.#setStatus({ state: "connecting", attempts: 1, server: index });
        this.#openStream(channel, index);
      },
    });
  }

  #receive(stream: ClientDuplexStream<Buffer, Buffer>, channel: XdsChannel, bytes: Buffer): void {
    if (stream !== this.#stream) return;
    this.#answered(stream, channel);
    let received: ReceivedResponse;
    try {
      received = this.#wire.receive(bytes);
    } catch (error) {
      this.#lost(stream, `the control plane sent what is no discovery response: ${String(error)}`);
      return;
    }
    // Only now: a control plane that accepts streams and refuses what is asked on them must not be asked ten times a second
    // (gRFC A57).
    this.#backoff.reset();
    this.#responded = true;
    this.#respondedMs = this.#options.clock.now();
    this.#versionsOf = this.#status.server;
    const { outcome, typeUrl, controlPlane } = received;
    if (outcome === undefined) return;
    this.#metrics.received(typeUrl, outcome.errors.length > 0, this.#options.clock.wallNow());
    if (outcome.errors.length > 0) this.#rejected(stream, received, nackMessage(outcome.errors));
    else this.#lastRejections.delete(typeUrl);
    this.#deliver(outcome.update);
    this.#setStatus({ controlPlane });
    if (outcome.missed === true) this.#lost(stream, "what the control plane keeps alive has expired here");
  }

  #rejected(stream: ClientDuplexStream<Buffer, Buffer>, received: ReceivedResponse, error: string): void {
    const { typeUrl, nonce, controlPlane } = received;
    const fields = { type: shortTypeName(typeUrl), nonce, controlPlane, error };
    // A control plane that sends the same again and again is reported once.
    if (this.#lastRejections.get(typeUrl) === error) this.#options.log.debug("rejected configuration again", fields);
    else this.#options.log.warn("rejected configuration", fields);
    this.#lastRejections.set(typeUrl, error);
    const pauseMs = this.#rejectionLimit.rejected();
    if (pauseMs === 0) return;
    this.#metrics.rateLimitEnforced.add();
    stream.pause();
    this.#pause?.cancel();
    this.#pause = this.#options.clock.after(pauseMs, () => stream.resume(), true);
  }

  #deliver(received: ResourceUpdate): void {
    const before = this.#removals.heldBack.size;
    const update = this.#removals.pass(received);
    const { kind, changed, removed, absent, refreshed } = update;
    if (before === 0 && this.#removals.heldBack.size > 0) this.#reportHeldBack(kind);
    // The first answer of a kind is news even if it holds nothing: whoever waits with starting knows that there is nothing.
    const isFirst = !this.#answeredKinds.has(kind);
    this.#answeredKinds.add(kind);
    if (isFirst || changed.size > 0 || removed.length > 0 || absent.length > 0 || (refreshed?.length ?? 0) > 0)
      this.#tell(update);
    this.#flush();
  }

  #reportHeldBack(kind: ResourceKind): void {
    this.#metrics.returnedEmpty.add();
    this.#options.log.warn("the control plane has come back with nothing; what it had is kept for a while", {
      kind,
      keptMs: GRACE_MS,
    });
  }

  #release(update: ResourceUpdate): void {
    this.#options.log.warn("what the control plane no longer has is removed", {
      kind: update.kind,
      count: update.removed.length,
    });
    this.#tell(update);
    this.#flush();
  }

  #tell(update: ResourceUpdate): void {
    const { origin, onUpdate } = this.#options;
    onUpdate(origin === undefined ? update : { ...update, origin });
  }

  #flush(): void {
    // What may not go yet is not taken: a session gathers what is wanted, and asks for all of it with its next request.
    if (this.#stream === undefined || this.#pacer?.isWaiting === true) return;
    const requests = this.#wire.takeRequests();
    if (this.#pacer !== undefined) this.#pacer.push(requests);
    else for (const request of requests) this.#stream.write(request);
  }

  /** While requests wait nothing more is read: each response would only make one more of them. */
  #makePacer(rateLimit: RateLimit): RequestPacer {
    const send = (request: Buffer): void => void this.#stream?.write(request);
    return new RequestPacer(rateLimit, this.#options.clock, send, (count) => {
      this.#metrics.waiting(count);
      if (count > 0) this.#stream?.pause();
      else {
        this.#stream?.resume();
        this.#flush();
      }
    });
  }

  /** Whether anything is wanted that nobody has ever answered. */
  #lacksSomething(): boolean {
    for (const kind of this.#wildcards) if (!this.#answeredKinds.has(kind)) return true;
    return this.#wire.statuses().some(({ state }) => state === "REQUESTED");
  }

  /** The stream is gone. What it brought keeps serving. */
  #lost(stream: ClientDuplexStream<Buffer, Buffer>, reason: string): void {
    if (stream === this.#stream) this.#failed(reason);
  }

  /** It is tried again, here or elsewhere. `isExpected`: it was no attempt yet, and is nobody's fault. */
  #failed(reason: string, isExpected = false): void {
    const wasConnected = this.#status.state === "connected";
    this.#metrics.lost(this.#options.clock.wallNow());
    if (wasConnected) this.#pace.ended(this.#options.clock.now() - this.#respondedMs);
    this.#hangUp();
    const waitMs = this.#nextServer() ? this.#backoff.nextMs() : 0;
    const fields = { reason, retryInMs: Math.round(waitMs), attempts: this.#status.attempts };
    // While a control plane is away every attempt fails alike; the first word of it is enough.
    if (isExpected) this.#options.log.debug("the control plane is not called yet", fields);
    else if (wasConnected || this.#status.attempts === 1) this.#options.log.warn("lost the control plane", fields);
    else this.#options.log.debug("the control plane is still away", fields);
    this.#retry = this.#options.clock.after(waitMs, () => this.#connect(), true);
    this.#setStatus({ state: "waiting", lastError: reason, ...(isExpected && { attempts: 0 }) });
  }

  /** Chooses whom to call next. False: at once. */
  #nextServer(): boolean {
    if (!this.#responded) return this.#choice.unanswered(this.#dials.length > 1 && this.#lacksSomething());
    this.#choice.beginAnew();
    return true;
  }

  #hangUp(): void {
    this.#primaryWatch?.close();
    this.#primaryWatch = undefined;
    this.#successor?.close();
    this.#successor = undefined;
    this.#connectTimeout?.cancel();
    this.#connectTimeout = undefined;
    this.#pause?.cancel();
    this.#removals.closeStream();
    const stream = this.#stream;
    this.#stream = undefined;
    this.#pacer?.clear(); // nothing is taken any more in its place
    if (stream !== undefined) this.#wire.closeStream();
    stream?.cancel();
    this.#channel?.close();
    this.#channel = undefined;
    this.#metrics.connected.set(0);
  }

  #setStatus(change: Partial<XdsClientStatus>): void {
    const moved = change.state !== undefined && change.state !== this.#status.state;
    this.#status = { ...this.#status, ...change, ...(moved && { sinceMs: this.#options.clock.wallNow() }) };
    this.#options.onStatus?.(this.#status);
  }
}

function describe(status: StatusObject): string {
  return status.details === ""
    ? `the stream ended with code ${status.code}`
    : `${status.details} (code ${status.code})`;
}
