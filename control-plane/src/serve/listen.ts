import type { AddressInfo, Server } from "node:net";
import { type HostPort, ListenError } from "./address.ts";

/** Node would let 511 wait. After a restart, or when it was away, all sidecars of a mesh dial within a second. */
const BACKLOG = 4096;

/**
 * Resolves with the port that was taken. Rejects with a `ListenError` where the address cannot be.
 *
 * @param what is served there, for whoever reads the error
 * @param flag by which the address can be chosen
 */
export function listen(server: Server, address: HostPort, what: string, flag: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new ListenError(what, address, flag, error)));
    server.listen({ ...address, backlog: BACKLOG, exclusive: true }, () =>
      resolve((server.address() as AddressInfo).port),
    );
  });
}
