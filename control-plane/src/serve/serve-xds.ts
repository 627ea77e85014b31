import { Server, ServerCredentials } from "@grpc/grpc-js";
import { xdsServerOptions } from "@heddle/xds/server";
import { formatHostPort, type HostPort, isLoopback, ListenError } from "./address.ts";

/** The gRPC server that carries xDS, listening. */
export interface ServedXds {
  /** With the port that was taken where 0 was asked for. */
  readonly address: HostPort;
  /** Ends every stream with a reason that makes clients try again, then lets go of the port. */
  close(): Promise<void>;
}

/** Services that one gRPC server carries. */
export interface GrpcServices {
  addTo(server: Server): void;
  /** Ends every stream with a reason that makes clients try again. */
  close(): void;
}

/** Serves xDS and what belongs to it, in plaintext, so on loopback only. Rejects with a ListenError where the address cannot be taken. */
export async function serveXds(services: readonly GrpcServices[], address: HostPort): Promise<ServedXds> {
  if (!isLoopback(address.host))
    throw new ListenError("xDS", address, "--xds-address", new Error("is not loopback, and this port has no TLS"));
  const server = new Server(xdsServerOptions);
  for (const service of services) service.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(formatHostPort(address), ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new ListenError("xDS", address, "--xds-address", error));
    });
  });
  return {
    address: { host: address.host, port },
    close: () => {
      for (const service of services) service.close();
      return new Promise((resolve) => {
        // Streams have been ended; a connection that does not end by itself is cut.
        server.tryShutdown(() => resolve());
        server.forceShutdown();
      });
    },
  };
}
