import { Server, ServerCredentials } from "@grpc/grpc-js";
import { type ReportServer, type XdsServer, xdsServerOptions } from "@heddle/xds/server";
import { formatHostPort, type HostPort, isLoopback, ListenError } from "./address.ts";

/** The gRPC server that carries xDS, listening. */
export interface ServedXds {
  /** With the port that was taken where 0 was asked for. */
  readonly address: HostPort;
  /** Ends every stream with a reason that makes clients try again, then lets go of the port. */
  close(): Promise<void>;
}

/** Serves xDS and takes sidecars' reports, in plaintext, so on loopback only. Rejects with a ListenError where the address cannot be taken. */
export async function serveXds(xds: XdsServer, reports: ReportServer, address: HostPort): Promise<ServedXds> {
  if (!isLoopback(address.host))
    throw new ListenError("xDS", address, "--xds-address", new Error("is not loopback, and this port has no TLS"));
  const server = new Server(xdsServerOptions);
  xds.addTo(server);
  reports.addTo(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(formatHostPort(address), ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(new ListenError("xDS", address, "--xds-address", error));
    });
  });
  return {
    address: { host: address.host, port },
    close: () => {
      xds.close();
      reports.close();
      return new Promise((resolve) => {
        // Streams have been ended; a connection that does not end by itself is cut.
        server.tryShutdown(() => resolve());
        server.forceShutdown();
      });
    },
  };
}
