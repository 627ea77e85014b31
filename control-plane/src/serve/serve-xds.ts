import { createServer, type Socket } from "node:net";
import { Server, ServerCredentials, type ServerOptions } from "@grpc/grpc-js";
import type { Clock } from "@heddle/base";
import type { Log, MetricScope } from "@heddle/telemetry";
import { type PeerOf, type XdsServerLimits, xdsServerOptions } from "@heddle/xds/server";
import { type HostPort, isLoopback, ListenError } from "./address.ts";
import { boundPort, MAX_MESSAGE_BYTES } from "./bound-port.ts";
import { listen } from "./listen.ts";
import type { MessageBudget } from "./message-budget.ts";
import type { CallLimit } from "./open-calls.ts";

/** The gRPC server that carries xDS, listening. */
export interface ServedXds {
  /** With the port that was taken where 0 was asked for. */
  readonly address: HostPort;
  /** Ends every stream with a reason that makes clients try again, then lets go of the port. */
  close(): Promise<void>;
}

/** Services that one gRPC server carries. */
export interface GrpcServices {
  /** @param peerOf on a port that knows callers by certificate: who calls */
  addTo(server: Server, peerOf?: PeerOf): void;
  /**
   * The largest message that a call may send, where the port's own bound is not right for it; undefined: it is, or the path
   * is none of this service's.
   *
   * @param authorization what the call has in its metadata of that name
   * @param hasCertificate whether its connection has shown one that is good
   */
  messageBytes?(path: string, authorization: string | undefined, hasCertificate: boolean): number | undefined;
  /** How many calls of that path may be open, the same object for all that count together; undefined: it is as for `messageBytes`. */
  callLimit?(path: string): CallLimit | undefined;
  /** Ends every stream with a reason that makes clients try again. */
  close(): void;
}

export interface XdsServingOptions {
  /** Of messages, shared with other ports. */
  readonly budget: MessageBudget;
  /** Left out: the defaults. */
  readonly limits?: ClientLimits | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
}

/** What a flag can say of clients (`XdsLimits`). */
export interface ClientLimits {
  readonly messageBytes: number;
  readonly server: Partial<XdsServerLimits>;
}

export function grpcLimits(limits: ClientLimits | undefined): ServerOptions {
  const { maxStreamsPerNode } = limits?.server ?? {};
  return {
    ...xdsServerOptions,
    ...(limits !== undefined && { "grpc.max_receive_message_length": limits.messageBytes }),
    ...(maxStreamsPerNode !== undefined && { "grpc.max_concurrent_streams": maxStreamsPerNode }),
  };
}

/** Serves xDS and what belongs to it, in plaintext, so on loopback only. Rejects with a ListenError where the address cannot be taken. */
export async function serveXds(
  services: readonly GrpcServices[],
  address: HostPort,
  { budget, limits, clock, log, metrics }: XdsServingOptions,
): Promise<ServedXds> {
  if (!isLoopback(address.host))
    throw new ListenError("xDS", address, "--xds-address", new Error("is not loopback, and this port has no TLS"));
  const refused = metrics.scope("xds_server").counter("messages_refused");
  const bound = boundPort({
    services,
    budget,
    messageBytes: limits?.messageBytes ?? MAX_MESSAGE_BYTES,
    hasCertificates: false,
    clock,
    log,
    refused,
  });
  const grpc = new Server({ ...grpcLimits(limits), interceptors: [bound] });
  for (const service of services) service.addTo(grpc);
  const injector = grpc.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => undefined); // it is gone; gRPC hears of it by itself
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    injector.injectConnection(socket);
  });
  const port = await listen(server, address, "xDS", "--xds-address");
  return {
    address: { host: address.host, port },
    close: () => {
      for (const service of services) service.close();
      return new Promise((resolve) => {
        server.close(() => resolve());
        // Streams have been ended; a connection that does not end by itself is cut.
        grpc.forceShutdown();
        for (const socket of sockets) socket.destroy();
      });
    },
  };
}
