import { Metadata, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { Clock, Result, Timer } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { LinePace } from "./line-pace.ts";
import type { NodeStreams } from "./node-streams.ts";
import { takesTtl } from "./protocol/client-features.ts";
import type { Dependent } from "./protocol/delivery-order.ts";
import type {
  ServerResourceStatus,
  ServerResponse,
  ServerSession,
  ServerTypeStatus,
  ServerVariant,
} from "./protocol/server-session.ts";
import { shortTypeName, typeUrlOfKind } from "./protocol/type-urls.ts";
import type { DeltaDiscoveryRequest, DiscoveryRequest } from "./protocol/wire.ts";
import {
  boundedError,
  checkNode,
  checkRequest,
  type RefusalReason,
  type RequestProblem,
  type XdsServerLimits,
} from "./request-limits.ts";
import type { ServerMetrics } from "./server-metrics.ts";
import type { SnapshotSource, SnapshotWatch, XdsNode } from "./snapshot.ts";
import { statusDetails } from "./status-details.ts";
import type { StreamCounts } from "./stream-counts.ts";
import { nodeKey, type TransportPeer } from "./transport-peer.ts";

export type XdsRequest = DiscoveryRequest | DeltaDiscoveryRequest;

/** One variant of the protocol on the wire. */
export interface WireVariant<Request extends XdsRequest> {
  readonly makeSession: () => ServerSession<Request>;
  readonly variant: ServerVariant<Request>;
  /** Throws on bytes that are no such message. */
  readonly decode: (bytes: Uint8Array) => Request;
  readonly encode: (response: ServerResponse, controlPlaneIdentifier: string) => Buffer;
}

/** What a stream needs of the server that it belongs to. */
export interface StreamContext {
  readonly source: SnapshotSource;
  readonly log: Log;
  readonly metrics: ServerMetrics;
  readonly clock: Clock;
  readonly identifier: string;
  readonly limits: XdsServerLimits;
  /** Secrets go over streams alone whose client has shown who it is. */
  readonly secretsNeedIdentity: boolean;
  readonly counts: StreamCounts;
  /** Of the log's lines about refused streams. */
  readonly refusals: LinePace;
  readonly nodeStreams: NodeStreams<OpenStream>;
  /** The node became known, a verdict came, a response went out, or the stream ended. */
  readonly onChange: () => void;
  readonly onEnd: (stream: OpenStream) => void;
}

/** A stream of any variant, as the server keeps it. */
export interface OpenStream {
  /** Undefined until the first request. */
  readonly node: XdsNode | undefined;
  readonly variant: "sotw" | "delta";
  readonly openedAtMs: number;
  readonly peer: string;
  status(): ServerTypeStatus[];
  resources(): ServerResourceStatus[];
  close(code: status, details: string): void;
  /** Something that these belong to has been updated on another stream of the node. */
  sendAgain(dependents: readonly Dependent[]): void;
}

/**
 * One xDS stream of the server: requests from the call into the session, responses from the session into the call. At most
 * one response is being written; the next is made when it has left, from the snapshot of that moment.
 */
export class ServerStream<Request extends XdsRequest> implements OpenStream {
  readonly variant: "sotw" | "delta";
  readonly openedAtMs: number;
  readonly peer: string;
  readonly #call: ServerDuplexStream<Buffer, Buffer>;
  readonly #wire: WireVariant<Request>;
  readonly #session: ServerSession<Request>;
  /** The one type of a stream that is not aggregated; empty on an aggregated one. */
  readonly #onlyTypeUrl: string;
  readonly #context: StreamContext;
  /** Undefined: the transport shows nobody. */
  readonly #transportPeer: TransportPeer | undefined;
  #node: XdsNode | undefined;
  #watch: SnapshotWatch | undefined;
  /** A response is being made or written. */
  #busy = false;
  #ended = false;
  #hold: Timer | undefined;
  /** Until the first request has come, and then while a response is being written. */
  #patience: Timer | undefined;
  /** Of what the client has shown. */
  #expiry: Timer | undefined;

  /** @param transportPeer undefined: a transport that shows nobody */
  constructor(
    call: ServerDuplexStream<Buffer, Buffer>,
    wire: WireVariant<Request>,
    onlyTypeUrl: string,
    transportPeer: Result<TransportPeer, string> | undefined,
    context: StreamContext,
  ) {
    this.#call = call;
    this.#wire = wire;
    this.#session = wire.makeSession();
    this.#onlyTypeUrl = onlyTypeUrl;
    this.#context = context;
    this.#transportPeer = transportPeer?.ok === true ? transportPeer.value : undefined;
    this.variant = wire.variant.name;
    this.openedAtMs = context.clock.wallNow();
    this.peer = call.getPeer();
    // At once: until there is something to send, this is all that tells a client that somebody is there.
    call.sendMetadata(new Metadata());
    call.on("data", (bytes: Buffer) => this.#receive(bytes));
    call.on("end", () => this.close(status.OK, ""));
    call.on("cancelled", () => this.#end("cancelled"));
    call.on("error", (error) => this.#end(error.message));
    const problem = context.counts.open(this.peer) ?? this.#identityProblem(transportPeer);
    if (problem !== undefined) {
      this.#refuse(problem);
      return;
    }
    const { firstRequestTimeoutMs } = context.limits;
    this.#giveUpAfter(firstRequestTimeoutMs, "first_request", `no request came in ${firstRequestTimeoutMs} ms`);
    this.#endAtExpiry();
  }

  get ended(): boolean {
    return this.#ended;
  }

  get node(): XdsNode | undefined {
    return this.#node;
  }

  status(): ServerTypeStatus[] {
    return this.#session.status();
  }

  resources(): ServerResourceStatus[] {
    return this.#session.resources();
  }

  /** Ends the call with that status; OK ends it as complete. */
  close(code: status, details: string): void {
    if (this.#ended) return;
    if (code === status.OK) this.#call.end();
    else this.#call.emit("error", { code, details: statusDetails(details) });
    this.#end(details);
  }

  #identityProblem(transportPeer: Result<TransportPeer, string> | undefined): RequestProblem | undefined {
    if (transportPeer?.ok === false)
      return { code: status.UNAUTHENTICATED, reason: "identity", details: transportPeer.error };
    if (transportPeer !== undefined || !this.#context.secretsNeedIdentity || !this.#isOfSecrets) return undefined;
    const details = "secrets are served over mutual TLS alone";
    return { code: status.PERMISSION_DENIED, reason: "identity", details };
  }

  get #isOfSecrets(): boolean {
    return this.#onlyTypeUrl === typeUrlOfKind("secret");
  }

  /** A client that has renewed what it shows comes back with that at once. */
  #endAtExpiry(): void {
    if (this.#transportPeer === undefined || this.#ended) return;
    const { clock } = this.#context;
    const leftMs = this.#transportPeer.notAfterMs - clock.wallNow();
    if (leftMs <= 0) this.close(status.UNAVAILABLE, "the certificate of the connection has ended");
    // A clock may have been set, and a timer be shorter than it was asked to be.
    else this.#expiry = this.#context.clock.after(leftMs + 1, () => this.#endAtExpiry(), true);
  }

  #receive(bytes: Buffer): void {
    if (this.#ended) return;
    let request: Request;
    try {
      request = this.#wire.decode(bytes);
    } catch {
      this.#refuse(invalid("malformed", "the message is no discovery request"));
      return;
    }
    this.#context.metrics.requests.add();
    const typeUrl = request.typeUrl === "" ? this.#onlyTypeUrl : request.typeUrl;
    const problem = this.#introduce(request) ?? this.#check(request, typeUrl);
    if (problem !== undefined) this.#refuse(problem);
    else this.#take({ ...boundedError(request), typeUrl });
  }

  #check(request: Request, typeUrl: string): RequestProblem | undefined {
    const { typeCount, nameCount } = this.#session;
    const problem = checkRequest(request, { types: typeCount, names: nameCount }, this.#context.limits);
    if (problem !== undefined) return problem;
    if (typeUrl === "") return invalid("type_url", "type_url is empty");
    if (this.#onlyTypeUrl === "" || typeUrl === this.#onlyTypeUrl) return undefined;
    return invalid("type_url", `this service has no ${typeUrl}`);
  }

  /** The first request says who the client is; whatever a later one says about it is not read. */
  #introduce(request: Request): RequestProblem | undefined {
    if (this.#node !== undefined) return undefined;
    const problem = checkNode(request.node, this.#context.limits);
    if (problem !== undefined || request.node === undefined) return problem;
    this.#patience?.cancel();
    const identity = this.#transportPeer?.identity;
    const node = identity === undefined ? request.node : { ...request.node, identity };
    this.#node = node;
    this.#context.nodeStreams.add(nodeKey(node), this);
    const tooMany = this.#context.counts.introduce(nodeKey(node));
    if (tooMany !== undefined) return tooMany;
    this.#session.withTtl = takesTtl(node.clientFeatures, this.variant);
    this.#watch = this.#context.source.watch(node, () => this.#pump());
    if (this.#watch.denied !== undefined) return denial(this.#watch.denied);
    this.#context.log.info("xDS client connected", { node: node.id, peer: this.peer, variant: this.variant });
    this.#context.onChange();
    return undefined;
  }

  #take(request: Request): void {
    const elsewhere = this.#session.take(request);
    if (elsewhere.length > 0) this.#sendElsewhere(elsewhere);
    const { errorDetail, typeUrl } = request;
    if (errorDetail !== undefined) {
      this.#context.metrics.rejections(typeUrl).add();
      this.#context.log.warn("xDS response rejected", {
        node: this.#node?.id,
        type: shortTypeName(typeUrl),
        nonce: request.responseNonce,
        error: errorDetail.message.slice(0, 4096),
      });
    }
    if (request.responseNonce !== "") this.#context.onChange();
    this.#pump();
  }

  #sendElsewhere(dependents: readonly Dependent[]): void {
    if (this.#node === undefined) return;
    for (const stream of this.#context.nodeStreams.others(nodeKey(this.#node), this)) stream.sendAgain(dependents);
  }

  sendAgain(dependents: readonly Dependent[]): void {
    if (this.#session.sendAgain(dependents)) this.#pump();
  }

  /** Writes the next response, if one is due and the last one has left. */
  #pump(): void {
    if (this.#busy || this.#ended || this.#watch === undefined) return;
    if (this.#watch.denied !== undefined) {
      this.#refuse(denial(this.#watch.denied));
      return;
    }
    this.#hold?.cancel();
    this.#hold = undefined;
    // The source may call back from within; what it says then is read below.
    this.#busy = true;
    this.#requestMissing(this.#watch);
    this.#busy = false;
    const nowMs = this.#context.clock.now();
    const step = this.#session.next(this.#watch.current, nowMs);
    if (step.step === "hold") {
      this.#hold = this.#context.clock.after(step.untilMs - nowMs, () => this.#pump(), true);
    } else if (step.step === "send") {
      this.#write(step.response);
    }
  }

  /** Before a name is answered as absent, the source may have it made; what it makes at once is in the answer. */
  #requestMissing(watch: SnapshotWatch): void {
    if (watch.current === undefined) return;
    for (const { typeUrl, names } of this.#session.missing(watch.current)) watch.request(typeUrl, names);
  }

  #write(response: ServerResponse): void {
    this.#busy = true;
    this.#context.metrics.responses(response.typeUrl).add();
    this.#context.metrics.resources(response.typeUrl).add(response.resources.length);
    const { stalledTimeoutMs } = this.#context.limits;
    this.#giveUpAfter(stalledTimeoutMs, "stalled", `a response was not taken in ${stalledTimeoutMs} ms`);
    this.#call.write(this.#wire.encode(response, this.#context.identifier), () => {
      this.#busy = false;
      this.#patience?.cancel();
      this.#pump();
    });
    this.#context.onChange();
  }

  #giveUpAfter(ms: number, reason: RefusalReason, details: string): void {
    this.#patience = this.#context.clock.after(
      ms,
      () => this.#refuse({ code: status.DEADLINE_EXCEEDED, reason, details }),
      true,
    );
  }

  #refuse({ code, details, reason }: RequestProblem): void {
    this.#context.metrics.refused(reason).add();
    if (this.#context.refusals.take())
      this.#context.log.warn("xDS stream refused", { node: this.#node?.id, peer: this.peer, details });
    this.close(code, details);
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#hold?.cancel();
    this.#patience?.cancel();
    this.#expiry?.cancel();
    this.#watch?.close();
    this.#context.counts.close(this.peer, this.#node && nodeKey(this.#node));
    if (this.#node !== undefined) this.#context.nodeStreams.delete(nodeKey(this.#node), this);
    if (this.#node !== undefined) {
      this.#context.log.info("xDS client disconnected", { node: this.#node.id, peer: this.peer, reason });
    }
    this.#context.onEnd(this);
  }
}

function denial(details: string): RequestProblem {
  return { code: status.PERMISSION_DENIED, reason: "identity", details };
}

function invalid(reason: RefusalReason, details: string): RequestProblem {
  return { code: status.INVALID_ARGUMENT, reason, details };
}
