import type { DownstreamInfo } from "@heddle/filter";
import type { Connection, ConnectionHandler } from "@heddle/net";
import type { NetworkFilter, ServedConnection } from "./network-filter.ts";

/** `envoy.filters.network.echo`: sends back what comes, and the end too. */
export class Echo implements NetworkFilter {
  serve(connection: Connection, _info: DownstreamInfo, onClosed: () => void): ServedConnection {
    const echo: ConnectionHandler = {
      onData(bytes) {
        if (!connection.writeBytes(bytes)) connection.pause();
      },
      onEnd: () => connection.end(),
      onDrain: () => connection.resume(),
      onClose: onClosed,
    };
    connection.start(echo);
    return { drain: () => connection.end(), destroy: () => connection.destroy() };
  }
}
