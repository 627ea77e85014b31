import { constants } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { type Clock, err, type Live, ok, type Result } from "@heddle/base";
import type { Counter, Gauge, Histogram, Log, MetricScope } from "@heddle/telemetry";
import type { TlsIdentity } from "../ca/own-svid.ts";
import type { HostPort } from "../serve/address.ts";
import { listen } from "../serve/listen.ts";
import {
  type AdmissionAnswer,
  type AdmissionRequest,
  formatAdmissionReview,
  readAdmissionReview,
  statusOf,
} from "./admission-review.ts";
import { BodyRoom, type CallFault, headFault, readReviewBody } from "./read-review-body.ts";
import { type JudgeObject, reviewConfiguration } from "./review-configuration.ts";
import { type PodReviewOptions, reviewPod } from "./review-pod.ts";
import { ReviewTurns } from "./review-turns.ts";
import { DEFAULT_WEBHOOK_LIMITS, type WebhookLimits } from "./webhook-limits.ts";
import { callTimeoutMs, type WebhookCall, webhookCall } from "./webhook-path.ts";

export interface WebhookServerOptions {
  /** What is shown to API servers, followed; undefined: nobody is let in. */
  readonly identity: Live<Pick<TlsIdentity, "certificateChain" | "privateKey"> | undefined>;
  /** PEM: who may ask for reviews has a certificate of one of these. Undefined: whoever reaches the port. */
  readonly clientCa: Live<string | undefined>;
  /** Which of those certificates: by their common name or a DNS name. Empty: each. */
  readonly clientNames: readonly string[];
  readonly pods: PodReviewOptions;
  /** Left out: configuration is judged object by object. */
  readonly judgeObject?: JudgeObject | undefined;
  /** What still has to be there before reviews can be answered; undefined: nothing. For /readyz. */
  readonly notReady: () => string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly limits?: Partial<WebhookLimits>;
}

/**
 * The webhooks' HTTPS server. Every call is answered: a review with a review, and what is no review with a status and a reason.
 * What is wrong with one call is that call's alone.
 *
 * A new certificate is for the handshakes to come; connections that are there stay. Nothing is resumed, so whoever has been let
 * in by a client authority that is trusted no more comes no second time.
 */
export class WebhookServer {
  readonly #options: WebhookServerOptions;
  readonly #limits: WebhookLimits;
  readonly #server: Server;
  readonly #room: BodyRoom;
  readonly #turns = new ReviewTurns();
  readonly #metrics: WebhookMetrics;
  /** Also those that have not come to the end of their handshake. */
  readonly #sockets = new Set<Socket>();
  readonly #socketsOf = new Map<string, number>();
  readonly #unwatch: readonly (() => void)[];
  #isStopping = false;

  constructor(options: WebhookServerOptions) {
    this.#options = options;
    const limits = { ...DEFAULT_WEBHOOK_LIMITS, ...options.limits };
    this.#limits = limits;
    this.#room = new BodyRoom(limits.allBodiesBytes);
    this.#metrics = new WebhookMetrics(options.metrics);
    this.#server = createServer(
      {
        ...this.#context(),
        ALPNProtocols: ["http/1.1"],
        handshakeTimeout: limits.handshakeMs,
        maxHeaderSize: 16 * 1024,
        headersTimeout: limits.headMs,
        requestTimeout: limits.requestMs,
        keepAliveTimeout: limits.idleMs,
        connectionsCheckingInterval: Math.min(1000, limits.headMs / 2),
        // Whether a certificate is needed depends on the path: kubelets, which probe, have none.
        requestCert: options.clientCa.current !== undefined,
        rejectUnauthorized: false,
      },
      (request, response) => void this.#handle(request, response),
    );
    // Who asks before it sends (RFC 9110 §10.1.1) hears first what is wrong with the head.
    this.#server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
      void this.#handle(request, response, () => response.writeContinue());
    });
    this.#server.maxConnections = limits.connections;
    this.#server.on("connection", (socket: Socket) => this.#count(socket));
    this.#server.on("drop", () => this.#metrics.refusedConnections.add());
    this.#server.on("tlsClientError", (error, socket) => {
      this.#metrics.failedHandshakes.add();
      options.log.debug("webhooks: no handshake", { peer: socket.remoteAddress, error: error.message });
    });
    const renew = (): void => this.#server.setSecureContext(this.#context());
    this.#unwatch = [options.identity.watch(renew), options.clientCa.watch(renew)];
  }

  /** Listens. Gives the address with the port that port 0 became. Rejects with a `ListenError`. */
  async listen(address: HostPort, flag: string): Promise<HostPort> {
    return { ...address, port: await listen(this.#server, address, "webhooks", flag) };
  }

  /** From now on each answer is its connection's last, and /readyz says no: an API server goes to another replica. */
  drain(): void {
    this.#isStopping = true;
    this.#server.closeIdleConnections();
  }

  /** Ends it; answers that are being sent are cut. Resolves when the port is free. */
  close(): Promise<void> {
    for (const stop of this.#unwatch) stop();
    this.#isStopping = true;
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  /** Without an identity there is no certificate to show, and every handshake fails. */
  #context() {
    const { identity, clientCa } = this.#options;
    const { current } = identity;
    return {
      ...(current !== undefined && { cert: current.certificateChain, key: current.privateKey }),
      ...(clientCa.current !== undefined && { ca: clientCa.current }),
      minVersion: "TLSv1.2" as const,
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    };
  }

  #count(socket: Socket): void {
    const source = socket.remoteAddress ?? "";
    const ofSource = this.#socketsOf.get(source) ?? 0;
    socket.on("error", () => undefined); // it is gone
    if (ofSource >= this.#limits.connectionsPerSource) {
      this.#metrics.refusedConnections.add();
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#socketsOf.set(source, ofSource + 1);
    this.#metrics.connections.set(this.#sockets.size);
    socket.on("close", () => {
      this.#sockets.delete(socket);
      this.#metrics.connections.set(this.#sockets.size);
      const left = (this.#socketsOf.get(source) ?? 1) - 1;
      if (left > 0) this.#socketsOf.set(source, left);
      else this.#socketsOf.delete(source);
    });
  }

  /** Never rejects. */
  async #handle(request: IncomingMessage, response: ServerResponse, goOn = NOTHING): Promise<void> {
    response.on("error", () => undefined); // the client is gone
    const { clock, log } = this.#options;
    const startMs = clock.now();
    const call = webhookCall(request.url);
    let answer: Result<Answered, CallFault>;
    try {
      answer = await this.#answer(call, request, startMs, goOn);
    } catch (error) {
      // Its stack has no values of the object.
      log.error("a review failed", { path: call?.type, error });
      answer = err({ code: 500, message: "the review failed; the log of the webhook says why" });
    }
    if (answer.ok) {
      this.#metrics.answered(call, answer.value.outcome, clock.now() - startMs);
      this.#send(request, response, 200, answer.value.body, answer.value.keepsOpen, {});
      return;
    }
    const { code, message, headers = {} } = answer.error;
    this.#metrics.refusedCall(code);
    log.debug("webhooks: a call is refused", { peer: request.socket.remoteAddress, code, why: message });
    this.#send(request, response, code, JSON.stringify(statusOf(code, message)), false, headers);
  }

  async #answer(
    call: WebhookCall | undefined,
    request: IncomingMessage,
    startMs: number,
    goOn: () => void,
  ): Promise<Result<Answered, CallFault>> {
    if (call === undefined) return err({ code: 404, message: "there is no such path" });
    const isProbe = call.type === "healthz" || call.type === "readyz";
    const methods = isProbe ? ["GET", "HEAD"] : ["POST"];
    if (!methods.includes(request.method ?? ""))
      return err({ code: 405, message: `allowed is ${methods.join(", ")}`, headers: { allow: methods.join(", ") } });
    if (isProbe) return this.#probe(call.type === "readyz");
    if (this.#options.clientCa.current !== undefined && !isAuthorized(request.socket, this.#options.clientNames))
      return err({ code: 403, message: "a review is for who has a certificate of the client authority, and its name" });
    const fault = headFault(request, this.#limits.bodyBytes);
    if (fault !== undefined) return err(fault);
    goOn();
    const body = await readReviewBody(request, this.#limits.bodyBytes, this.#room);
    if (!body.ok) return body;
    await this.#turns.next();
    const review = readAdmissionReview(body.value);
    if (review.ok) return this.#review(call, review.value, request, startMs);
    const { uid, message } = review.error;
    if (uid === undefined) return err({ code: 400, message });
    return ok(reviewAnswer(uid, { allowed: false, code: 400, message: `heddle: ${message}` }, "malformed"));
  }

  #probe(readiness: boolean): Result<Answered, CallFault> {
    const why = !readiness
      ? undefined
      : this.#isStopping
        ? "it is stopping"
        : this.#options.identity.current === undefined
          ? "there is no certificate yet"
          : this.#options.notReady();
    return why === undefined
      ? ok({ body: "ok", outcome: "probe", keepsOpen: false })
      : err({ code: 503, message: why });
  }

  async #review(
    call: WebhookCall,
    review: AdmissionRequest,
    request: IncomingMessage,
    startMs: number,
  ): Promise<Result<Answered, CallFault>> {
    const { clock, log, pods } = this.#options;
    const { uid, namespace, kind, operation, dryRun } = review;
    const about = { uid, kind, operation, namespace, ...(dryRun && { dryRun }) };
    if (call.type !== "inject") {
      const answer = reviewConfiguration(review, this.#options.judgeObject);
      if (!answer.allowed) log.info("configuration is refused", { ...about, name: review.name, why: answer.message });
      return ok(reviewAnswer(uid, answer, answer.allowed ? "allowed" : "refused"));
    }
    // An answer that comes when nobody waits for it any more is none.
    const withinMs = Math.min(this.#limits.reviewMs, (callTimeoutMs(request) ?? 10_000) / 2 - (clock.now() - startMs));
    const reviewed = await reviewPod(review, call.tag, Math.max(0, withinMs), pods);
    if (!reviewed.ok) {
      log.warn("a pod cannot be judged now", { ...about, why: reviewed.error });
      return err({ code: 503, message: `heddle: ${reviewed.error}` });
    }
    const { answer, outcome, reason } = reviewed.value;
    if (outcome === "skipped") log.debug("a pod gets no sidecar", { ...about, why: reason });
    else log.info(outcome === "injected" ? "a pod gets its sidecar" : "a pod is refused", { ...about, why: reason });
    return ok(reviewAnswer(uid, answer, outcome));
  }

  #send(
    request: IncomingMessage,
    response: ServerResponse,
    status: number,
    body: string,
    keepsOpen: boolean,
    headers: Readonly<Record<string, string>>,
  ): void {
    response.writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      ...headers,
      // Room is for who asks what this port is for; and somebody may send more than anybody reads.
      ...(keepsOpen && request.complete && !this.#isStopping ? {} : { connection: "close" }),
    });
    response.end(request.method === "HEAD" ? undefined : body);
    request.resume();
  }
}

const NOTHING = (): void => undefined;

interface Answered {
  readonly body: string;
  readonly outcome: Outcome;
  readonly keepsOpen: boolean;
}

const OUTCOMES = ["injected", "skipped", "allowed", "refused", "malformed"] as const;
type Outcome = (typeof OUTCOMES)[number] | "probe";

function reviewAnswer(uid: string, answer: AdmissionAnswer, outcome: Outcome): Answered {
  return { body: formatAdmissionReview(uid, answer), outcome, keepsOpen: true };
}

function isAuthorized(socket: Socket, names: readonly string[]): boolean {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return false;
  if (names.length === 0) return true;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return false;
  const commonNames = certificate.subject
    .split("\n")
    .flatMap((line) => (line.startsWith("CN=") ? [line.slice(3)] : []));
  return names.some(
    (name) => commonNames.includes(name) || certificate.checkHost(name, { subject: "never" }) !== undefined,
  );
}

class WebhookMetrics {
  readonly connections: Gauge;
  readonly refusedConnections: Counter;
  readonly failedHandshakes: Counter;
  readonly #reviews: Readonly<Record<(typeof OUTCOMES)[number], Counter>>;
  readonly #times: Readonly<Record<"inject" | "validate", Histogram>>;
  readonly #scope: MetricScope;

  constructor(metrics: MetricScope) {
    const scope = metrics.scope("webhook");
    this.#scope = scope;
    this.connections = scope.gauge("connections");
    this.refusedConnections = scope.counter("connections_refused");
    this.failedHandshakes = scope.counter("handshakes_failed");
    const counter = (outcome: string): Counter => scope.counter("reviews", { outcome });
    this.#reviews = {
      injected: counter("injected"),
      skipped: counter("skipped"),
      allowed: counter("allowed"),
      refused: counter("refused"),
      malformed: counter("malformed"),
    };
    this.#times = {
      inject: scope.histogram("review_time", { webhook: "inject" }),
      validate: scope.histogram("review_time", { webhook: "validate" }),
    };
  }

  answered(call: WebhookCall | undefined, outcome: Outcome, ms: number): void {
    if (outcome === "probe") return;
    this.#reviews[outcome].add();
    if (call?.type === "inject" || call?.type === "validate") this.#times[call.type].record(ms);
  }

  refusedCall(code: number): void {
    this.#scope.counter("calls_refused", { code: String(code) }).add();
  }
}
