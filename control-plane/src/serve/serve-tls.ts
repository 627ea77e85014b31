import { constants } from "node:crypto";
import { createServer, type Socket } from "node:net";
import { createSecureContext, type TLSSocket } from "node:tls";
import { Server, ServerCredentials, type ServerOptions } from "@grpc/grpc-js";
import { type Clock, err, type Live, ok, type Result, type Timer } from "@heddle/base";
import { certificatesInPem, formatSpiffeId, type TrustBundles, type VerifiedSvid, verifySvid } from "@heddle/identity";
import { type AcceptedTls, acceptTls, type ShownPeer } from "@heddle/net";
import type { Log, MetricScope } from "@heddle/telemetry";
import { LinePace, type PeerOf, xdsServerOptions } from "@heddle/xds/server";
import { callSource } from "../ca/call-source.ts";
import type { TlsIdentity } from "../ca/own-svid.ts";
import type { HostPort } from "./address.ts";
import { boundPort, MAX_MESSAGE_BYTES } from "./bound-port.ts";
import { connectionEndMs, isStillTrusted } from "./connection-trust.ts";
import { listen } from "./listen.ts";
import { MessageBudget, type MessageBudgetLimits } from "./message-budget.ts";
import { currentPeerOf, peerSvidOf } from "./peer-svid.ts";
import { type ClientLimits, type GrpcServices, grpcLimits, type ServedXds } from "./serve-xds.ts";

export interface TlsServingOptions {
  readonly services: readonly GrpcServices[];
  readonly address: HostPort;
  /** What is shown to clients; undefined: none is let in. */
  readonly identity: Live<TlsIdentity | undefined>;
  readonly trustDomain: string;
  readonly bundles: Live<TrustBundles>;
  /** So long after its end a certificate is still good for asking for the next one, and for nothing else. */
  readonly renewalGraceMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly strangers?: Partial<StrangerLimits>;
  /** Of clients with a certificate. Left out: the defaults. */
  readonly limits?: ClientLimits | undefined;
  /** Of messages of clients with a certificate, shared with other ports. */
  readonly budget: MessageBudget;
}

/**
 * For clients without a certificate, who may be anybody that reaches the port. They have come for their first certificate;
 * what is for nodes, messages of 64 MiB on 2000 streams at a time, would be all of this machine's memory.
 */
export interface StrangerLimits {
  readonly connections: number;
  /** Of one address (see `callSource`). */
  readonly connectionsPerSource: number;
  /** Of one connection. */
  readonly streams: number;
  /** A longer one ends its call, unless the service that is called allows more (a token of the resource API). */
  readonly messageBytes: number;
  /** A connection without a call is ended. */
  readonly idleMs: number;
}

const STRANGERS: StrangerLimits = {
  connections: 2000,
  connectionsPerSource: 500,
  streams: 8,
  messageBytes: 128 * 1024,
  idleMs: 10_000,
};

/** Theirs is apart from that of nodes. Two of the largest messages that a token allows, or all that is usual of 40 connections. */
const STRANGERS_BUDGET: MessageBudgetLimits = { connectionBytes: 18 * 1024 * 1024, bytes: 40 * 1024 * 1024 };

const HANDSHAKE_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 50_000;
const REFUSALS_LOGGED_PER_SECOND = 50;

/**
 * Serves xDS and what belongs to it over TLS, with the control plane's own SVID. A client is asked for a certificate. It may
 * show none: then it is nobody, and what it may do is for each service to say. One that it shows has to be an SVID of this
 * trust domain that our bundle vouches for, by OpenSSL's judgement and by our own; else the connection ends before any call.
 * It ends too when the certificate does, and when the bundle vouches for it no more.
 *
 * The handshake is ours rather than gRPC's, which can ask only whether OpenSSL is content. What a client shows beside its
 * certificate counts: after an intermediate has been replaced, certificates of the one before are good until they end. Nothing is resumed: a session
 * would outlive the authority that vouched for it.
 *
 * Rejects with a `ListenError` where the address cannot be taken.
 */
export async function serveTls(options: TlsServingOptions): Promise<ServedXds> {
  const { services, address, log, metrics } = options;
  const limits: StrangerLimits = { ...STRANGERS, ...options.strangers };
  const counters = metrics.scope("tls_server");
  const bounds = { clock: options.clock, log, refused: counters.counter("messages_refused"), services };
  const nodesBound = boundPort({
    ...bounds,
    budget: options.budget,
    messageBytes: options.limits?.messageBytes ?? MAX_MESSAGE_BYTES,
    clientOf: (call) => {
      const id = peerSvidOf(call)?.spiffeId;
      return id && formatSpiffeId(id);
    },
    hasCertificates: true,
  });
  const strangersBudget = new MessageBudget(STRANGERS_BUDGET);
  const strangersBound = boundPort({
    ...bounds,
    budget: strangersBudget,
    messageBytes: limits.messageBytes,
    hasCertificates: false,
  });
  const grpc = new Server({ ...grpcLimits(options.limits), interceptors: [nodesBound] });
  const grpcOfStrangers = new Server({ ...optionsOf(limits), interceptors: [strangersBound] });
  const peerOf: PeerOf = (call) => {
    const peer = currentPeerOf(call, options.clock.wallNow());
    return peer.ok ? ok({ identity: peer.value.spiffeId, notAfterMs: peer.value.notAfterMs }) : peer;
  };
  for (const service of services) for (const each of [grpc, grpcOfStrangers]) service.addTo(each, peerOf);
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const strangers = grpcOfStrangers.createConnectionInjector(ServerCredentials.createInsecure());
  const strangersOf = new Map<string, number>();
  const refused = counters.counter("handshakes_refused");
  const accepted = counters.counter("handshakes");
  const refusals = new LinePace(options.clock, REFUSALS_LOGGED_PER_SECOND);
  const sockets = new Map<TLSSocket, VerifiedSvid | undefined>();
  /** Also those that have not come to the end of their handshake. */
  const connections = new Set<Socket>();
  let ownIssuers = issuersOf(options.identity.current);
  let context = createSecureContext(contextOf(options));

  const take = ({ socket, peer, chainError }: AcceptedTls): void => {
    const admitted = admit(socket, peer, chainError, options, ownIssuers);
    const source = callSource(`${socket.remoteAddress}:${socket.remotePort}`);
    const isStranger = admitted.ok && admitted.value === undefined;
    const fault = admitted.ok ? (isStranger ? tooMany(strangersOf, source, limits) : undefined) : admitted.error;
    if (!admitted.ok || fault !== undefined) {
      refused.add();
      if (refusals.take()) log.warn("TLS client refused", { peer: socket.remoteAddress, why: fault });
      socket.destroy();
      return;
    }
    accepted.add();
    if (isStranger) count(strangersOf, source, socket);
    sockets.set(socket, admitted.value);
    socket.on("close", () => sockets.delete(socket));
    if (admitted.value !== undefined) endWithCertificate(socket, admitted.value, options);
    (isStranger ? strangers : injector).injectConnection(socket);
  };
  const server = createServer((beneath) => {
    connections.add(beneath);
    beneath.on("close", () => connections.delete(beneath));
    acceptTls(beneath, { ...HANDSHAKE, context, clock: options.clock }, (outcome) => {
      if (outcome.ok) {
        take(outcome.value);
        return;
      }
      refused.add();
      log.debug("no TLS handshake", { peer: beneath.remoteAddress, error: outcome.error });
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  const unwatch = [
    options.identity.watch((next) => {
      ownIssuers = issuersOf(next);
      context = createSecureContext(contextOf(options));
    }),
    options.bundles.watch((bundles) => {
      context = createSecureContext(contextOf(options));
      for (const [socket, svid] of sockets)
        if (svid !== undefined && !isStillTrusted(svid, bundles, options.clock.wallNow())) {
          log.info("TLS client's authority is trusted no more", { peer: socket.remoteAddress });
          socket.destroy();
        }
    }),
  ];
  const port = await listen(server, address, "xDS over TLS", "--xds-tls-address");
  return {
    address: { host: address.host, port },
    close: async () => {
      for (const stop of unwatch) stop();
      for (const service of services) service.close();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const each of [grpc, grpcOfStrangers]) each.forceShutdown();
        for (const socket of [...sockets.keys(), ...connections]) socket.destroy();
      });
    },
  };
}

const HANDSHAKE = { alpnProtocols: ["h2"], timeoutMs: HANDSHAKE_TIMEOUT_MS };

function optionsOf({ streams, idleMs }: StrangerLimits): ServerOptions {
  return {
    ...xdsServerOptions,
    "grpc.max_concurrent_streams": streams,
    "grpc.max_connection_idle_ms": idleMs,
  };
}

function tooMany(
  strangersOf: ReadonlyMap<string, number>,
  source: string,
  { connections, connectionsPerSource }: StrangerLimits,
): string | undefined {
  const all = strangersOf.values().reduce((sum, some) => sum + some, 0);
  if (all >= connections) return `${connections} connections without a certificate are open`;
  if ((strangersOf.get(source) ?? 0) < connectionsPerSource) return undefined;
  return `${connectionsPerSource} connections without a certificate from its address are open`;
}

function count(strangersOf: Map<string, number>, source: string, socket: TLSSocket): void {
  strangersOf.set(source, (strangersOf.get(source) ?? 0) + 1);
  socket.on("close", () => {
    const left = (strangersOf.get(source) ?? 0) - 1;
    if (left > 0) strangersOf.set(source, left);
    else strangersOf.delete(source);
  });
}

/** Streams have been told before, by whoever serves them; what is left then is cut. */
function endWithCertificate(
  socket: TLSSocket,
  svid: VerifiedSvid,
  { clock, renewalGraceMs }: Pick<TlsServingOptions, "clock" | "renewalGraceMs">,
): void {
  const endMs = connectionEndMs(svid, renewalGraceMs, clock.wallNow());
  let timer: Timer;
  const wait = (): void => {
    const leftMs = endMs - clock.wallNow();
    if (leftMs <= 0) socket.destroy();
    // The clock may be set meanwhile, and no timer is longer than some weeks.
    else timer = clock.after(leftMs, wait, true);
  };
  wait();
  socket.on("close", () => timer?.cancel());
}

/** Without an identity there is no certificate to show, and every handshake fails. */
function contextOf({ identity, bundles, trustDomain }: TlsServingOptions) {
  const { current } = identity;
  return {
    ...(current !== undefined && { cert: current.certificateChain, key: current.privateKey }),
    // Federated domains' workloads are no clients of this control plane.
    ca: bundles.current.authoritiesOf(trustDomain).map(({ pem }) => pem),
    minVersion: "TLSv1.2" as const,
    // A renegotiation could bring another certificate than the one that was looked at.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** Undefined: a client without a certificate. */
function admit(
  socket: TLSSocket,
  peer: ShownPeer | undefined,
  chainError: string,
  options: TlsServingOptions,
  ownIssuers: readonly Uint8Array[],
): Result<VerifiedSvid | undefined, string> {
  if (socket.alpnProtocol !== "h2") return err("it does not speak HTTP/2 (ALPN)");
  if (peer === undefined) return ok(undefined);
  const { bundles, trustDomain, renewalGraceMs, clock } = options;
  const { certificate, issuers = [] } = peer;
  const nowMs = clock.wallNow();
  const hasEnded = nowMs > certificate.validToMs && nowMs <= certificate.validToMs + renewalGraceMs;
  // What signed it is most often what signed ours: a client need not show that.
  const ways = [certificate.der, ...issuers.map(({ der }) => der), ...ownIssuers];
  const verified = verifySvid(ways, bundles.current, hasEnded ? certificate.validToMs : nowMs);
  if (!verified.ok) return verified;
  if (verified.value.spiffeId.trustDomain !== trustDomain) return err("the certificate is of another trust domain");
  if (chainError !== "" && !(hasEnded && chainError === "CERT_HAS_EXPIRED"))
    return err(`the certificate is not accepted: ${chainError}`);
  // peer-svid.ts knows that it may have ended.
  socket.authorized = true;
  return verified;
}

/** DER, between our own certificate and the root. */
function issuersOf(identity: TlsIdentity | undefined): readonly Uint8Array[] {
  const chain = identity === undefined ? [] : certificatesInPem(identity.certificateChain);
  return chain.slice(1).map(({ der }) => der);
}
