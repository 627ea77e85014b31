import { createServer, type Socket } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { type PeerOf, xdsServerOptions } from "@heddle/xds/server";
import { type HostPort, isLoopback, ListenError } from "./address.ts";
import { listen } from "./listen.ts";

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
  /** Ends every stream with a reason that makes clients try again. */
  close(): void;
}

/** Serves xDS and what belongs to it, in plaintext, so on loopback only. Rejects with a ListenError where the address cannot be taken. */
export async function serveXds(services: readonly GrpcServices[], address: HostPort): Promise<ServedXds> {
  if (!isLoopback(address.host))
    throw new ListenError("xDS", address, "--xds-address", new Error("is not loopback, and this port has no TLS"));
  const grpc = new Server(xdsServerOptions);
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
