import type { DownstreamInfo } from "@heddle/filter";
import { type Connection, type OriginalDestination, originalDestination } from "@heddle/net";
import type { SocketFilter } from "./listener-filter.ts";

/**
 * `envoy.filters.listener.original_dst`: puts back where the client has connected to before the kernel's rules brought it
 * here. Filter chains, filters, clusters and logs see that as the local address from then on. A connection of which the
 * kernel knows nothing keeps its own.
 */
export class OriginalDstFilter implements SocketFilter {
  /** Of the listener's socket; the one of a connection that it takes transparently is somebody else's. */
  readonly #transparentPort: number | undefined;
  readonly #ask: (connection: Connection) => OriginalDestination | undefined;

  constructor(transparentPort: number | undefined, ask = originalDestination) {
    this.#transparentPort = transparentPort;
    this.#ask = ask;
  }

  look(connection: Connection, info: DownstreamInfo): DownstreamInfo {
    const original = this.#ask(connection);
    if (original === undefined) return info;
    const { localAddress, localPort } = connection;
    return {
      ...info,
      localAddress: original.address,
      localPort: original.port,
      restored: this.#restored(info, localPort),
      direct: info.direct ?? { remotePort: info.remotePort, localAddress, localPort },
    };
  }

  // Another listener may have looked before this one, and so may PROXY protocol.
  #restored({ restored }: DownstreamInfo, localPort: number): NonNullable<DownstreamInfo["restored"]> {
    if (this.#transparentPort !== undefined) return { listenPort: this.#transparentPort };
    return restored ?? { listenPort: localPort };
  }
}
