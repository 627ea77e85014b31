import { constants } from "node:crypto";
import type { AddressInfo } from "node:net";
import { createServer, type TLSSocket, type Server as TlsServer } from "node:tls";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { type Clock, err, type Live, ok, type Result, type Timer } from "@heddle/base";
import { Certificate, type TrustBundles, type VerifiedSvid, verifySvid } from "@heddle/identity";
import type { Log, MetricScope } from "@heddle/telemetry";
import { type PeerOf, xdsServerOptions } from "@heddle/xds/server";
import type { TlsIdentity } from "../ca/own-svid.ts";
import { type HostPort, ListenError } from "./address.ts";
import { certificateChainOf } from "./certificate-chain.ts";
import { connectionEndMs, isStillTrusted } from "./connection-trust.ts";
import { currentPeerOf } from "./peer-svid.ts";
import type { GrpcServices, ServedXds } from "./serve-xds.ts";

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
}

/** Between sidecars of a large mesh and a control plane that was away, all of them dial within seconds. */
const BACKLOG = 4096;
const HANDSHAKE_TIMEOUT_MS = 10_000;
const MAX_CONNECTIONS = 50_000;

/**
 * Serves xDS and what belongs to it over TLS, with the control plane's own SVID. A client is asked for a certificate. It may
 * show none: then it is nobody, and what it may do is for each service to say. One that it shows has to be an SVID of this
 * trust domain that our bundle vouches for, by OpenSSL's judgement and by our own; else the connection ends before any call.
 * It ends too when the certificate does, and when the bundle vouches for it no more.
 *
 * The handshake is ours rather than gRPC's, which can ask only whether OpenSSL is content. Nothing is resumed: a session
 * would outlive the authority that vouched for it.
 *
 * Rejects with a `ListenError` where the address cannot be taken.
 */
export async function serveTls(options: TlsServingOptions): Promise<ServedXds> {
  const { services, address, log, metrics } = options;
  const grpc = new Server(xdsServerOptions);
  const peerOf: PeerOf = (call) => {
    const peer = currentPeerOf(call, options.clock.wallNow());
    return peer.ok ? ok({ identity: peer.value.spiffeId, notAfterMs: peer.value.notAfterMs }) : peer;
  };
  for (const service of services) service.addTo(grpc, peerOf);
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const counters = metrics.scope("tls_server");
  const refused = counters.counter("handshakes_refused");
  const accepted = counters.counter("handshakes");
  const sockets = new Map<TLSSocket, VerifiedSvid | undefined>();

  const server = createServer(
    { ...contextOf(options), ...HANDSHAKE, requestCert: true, rejectUnauthorized: false },
    (socket) => {
      socket.on("error", () => undefined); // it is gone; gRPC hears of it by itself
      const admitted = admit(socket, options);
      if (!admitted.ok) {
        refused.add();
        log.warn("TLS client refused", { peer: socket.remoteAddress, why: admitted.error });
        socket.destroy();
        return;
      }
      accepted.add();
      sockets.set(socket, admitted.value);
      socket.on("close", () => sockets.delete(socket));
      if (admitted.value !== undefined) endWithCertificate(socket, admitted.value, options);
      injector.injectConnection(socket);
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.on("tlsClientError", (error, socket) => {
    refused.add();
    log.debug("no TLS handshake", { peer: socket.remoteAddress, error: error.message });
  });
  const unwatch = [
    options.identity.watch(() => server.setSecureContext(contextOf(options))),
    options.bundles.watch((bundles) => {
      server.setSecureContext(contextOf(options));
      for (const [socket, svid] of sockets)
        if (svid !== undefined && !isStillTrusted(svid, bundles, options.clock.wallNow())) {
          log.info("TLS client's authority is trusted no more", { peer: socket.remoteAddress });
          socket.destroy();
        }
    }),
  ];
  const port = await listen(server, address);
  return {
    address: { host: address.host, port },
    close: async () => {
      for (const stop of unwatch) stop();
      for (const service of services) service.close();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        grpc.forceShutdown();
        for (const socket of sockets.keys()) socket.destroy();
      });
    },
  };
}

const HANDSHAKE = { ALPNProtocols: ["h2"], handshakeTimeout: HANDSHAKE_TIMEOUT_MS };

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
function admit(socket: TLSSocket, options: TlsServingOptions): Result<VerifiedSvid | undefined, string> {
  if (socket.alpnProtocol !== "h2") return err("it does not speak HTTP/2 (ALPN)");
  const chain = certificateChainOf(socket.getPeerCertificate(true));
  if (chain.length === 0) return ok(undefined);
  const { bundles, trustDomain, renewalGraceMs, clock } = options;
  const own = new Certificate(chain[0]!); // it is not empty
  const nowMs = clock.wallNow();
  const hasEnded = nowMs > own.validToMs && nowMs <= own.validToMs + renewalGraceMs;
  const verified = verifySvid(chain, bundles.current, hasEnded ? own.validToMs : nowMs);
  if (!verified.ok) return verified;
  if (verified.value.spiffeId.trustDomain !== trustDomain) return err("the certificate is of another trust domain");
  const complaint = socket.authorizationError as unknown as string | undefined | null;
  if (!socket.authorized && !(hasEnded && complaint === "CERT_HAS_EXPIRED"))
    return err(`the certificate is not accepted: ${complaint ?? "unknown"}`);
  // gRPC shows services the certificate of an authorized connection alone. peer-svid.ts knows that it may have ended.
  socket.authorized = true;
  return verified;
}

function listen(server: TlsServer, address: HostPort): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new ListenError("xDS over TLS", address, "--xds-tls-address", error)));
    server.listen({ ...address, backlog: BACKLOG, exclusive: true }, () => {
      resolve((server.address() as AddressInfo).port);
    });
  });
}
