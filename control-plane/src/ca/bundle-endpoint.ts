import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Clock, Live } from "@heddle/base";
import { formatTrustBundle, type TrustBundles } from "@heddle/identity";
import type { Log } from "@heddle/telemetry";
import { type HostPort, ListenError, StartError } from "../serve/address.ts";
import { followPair, type PairFiles, readPair } from "../serve/tls-pair.ts";
import type { TlsIdentity } from "./own-svid.ts";

export interface BundleEndpointOptions {
  readonly address: HostPort;
  /** Profile https_web: a certificate that the world trusts. Undefined: https_spiffe, with the control plane's own SVID. */
  readonly certificate: PairFiles | undefined;
  readonly identity: Live<TlsIdentity | undefined>;
  readonly bundles: Live<TrustBundles>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface BundleEndpoint {
  /** With the port that was taken where 0 was asked for. */
  readonly address: HostPort;
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 256;
const LIMITS = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5000,
  requestTimeout: 10_000,
  handshakeTimeout: 5000,
  keepAliveTimeout: 1000,
  connectionsCheckingInterval: 1000,
};

/**
 * The SPIFFE bundle endpoint (SPIFFE Federation §5): our own trust domain's bundle, for whoever asks, at every path: what
 * others are given is an address. Rejects with a `StartError` where it cannot be had.
 */
export async function serveBundle(options: BundleEndpointOptions): Promise<BundleEndpoint> {
  const { address, certificate, identity, bundles, clock, log } = options;
  const pair = certificate && (await readPair(certificate));
  if (typeof pair === "string") throw new StartError(`bundle endpoint: ${pair}`);
  const web = (): object => (pair === undefined ? {} : { cert: pair.certificate, key: pair.key });
  const svid = (): object => {
    const { current } = identity;
    return current === undefined ? {} : { cert: current.certificateChain, key: current.privateKey };
  };
  const isWeb = pair !== undefined;
  const server = createServer(
    { ...LIMITS, ...(isWeb ? web() : svid()), minVersion: "TLSv1.2", ALPNProtocols: ["http/1.1"] },
    (request, response) => answer(bundles.current, request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  const connections = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
  });
  server.on("tlsClientError", (error) => log.debug("bundle endpoint: no handshake", { error: error.message }));
  const renew = (context: object): void => server.setSecureContext({ ...context, minVersion: "TLSv1.2" });
  const follower =
    certificate &&
    pair &&
    followPair(
      certificate,
      pair,
      ({ certificate: cert, key }) => renew({ cert, key }),
      "the bundle endpoint's",
      clock,
      log,
    );
  const unwatch = isWeb ? () => {} : identity.watch(() => renew(svid()));
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) =>
        reject(new ListenError("bundle endpoint", address, "--bundle-endpoint-address", error)),
      );
      server.listen({ ...address, exclusive: true }, resolve);
    });
  } catch (error) {
    follower?.close();
    unwatch();
    throw error;
  }
  return {
    address: { host: address.host, port: (server.address() as AddressInfo).port },
    close: () => {
      follower?.close();
      unwatch();
      return new Promise((resolve) => {
        server.close(() => resolve());
        // Also those that have not come to the end of their handshake, of which HTTP knows nothing.
        for (const socket of connections) socket.destroy();
      });
    },
  };
}

function answer({ all }: TrustBundles, request: IncomingMessage, response: ServerResponse): void {
  const { method } = request;
  request.resume();
  response.on("error", () => undefined); // the client is gone
  const [own] = all;
  if (method !== "GET" && method !== "HEAD") {
    response.writeHead(405, { allow: "GET, HEAD", connection: "close" }).end();
    return;
  }
  if (own === undefined || own.x509Authorities.length === 0) {
    response.writeHead(503, { "retry-after": "5", connection: "close" }).end();
    return;
  }
  const body = formatTrustBundle(own);
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
    "cache-control": `max-age=${own.refreshHintSeconds}`,
    "x-content-type-options": "nosniff",
  });
  response.end(method === "HEAD" ? undefined : body);
}
