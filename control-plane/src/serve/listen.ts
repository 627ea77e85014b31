import type { AddressInfo, Server } from "node:net";
import { type HostPort, ListenError } from "./address.ts";

/** Node would let 511 wait. After a restart, or when it was away, all sidecars of a mesh dial within a second. */
const BACKLOG = 4096;
/** What a system without IPv6 says of "::". */
const NO_IPV6: ReadonlySet<string | undefined> = new Set(["EAFNOSUPPORT", "EADDRNOTAVAIL"]);

/**
 * Resolves with the port that was taken; "::" stands for 0.0.0.0 where the system has no IPv6, as manifests are the same for all
 * nodes. Rejects with a `ListenError` where the address cannot be.
 *
 * @param what is served there, for whoever reads the error
 * @param flag by which the address can be chosen
 */
export async function listen(
  server: Pick<Server, "once" | "listen" | "address">,
  address: HostPort,
  what: string,
  flag: string,
): Promise<number> {
  try {
    return await tryListen(server, address).catch((error: NodeJS.ErrnoException) => {
      if (address.host !== "::" || !NO_IPV6.has(error.code)) throw error;
      return tryListen(server, { ...address, host: "0.0.0.0" });
    });
  } catch (error) {
    throw new ListenError(what, address, flag, error);
  }
}

function tryListen(server: Pick<Server, "once" | "listen" | "address">, address: HostPort): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...address, backlog: BACKLOG, exclusive: true }, () =>
      resolve((server.address() as AddressInfo).port),
    );
  });
}
