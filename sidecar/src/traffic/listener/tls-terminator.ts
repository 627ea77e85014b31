import {
  type Connection,
  type HandshakeCallbacks,
  type HandshakeOptions,
  type Handshaking,
  SocketConnection,
  TlsServer,
} from "@heddle/net";
import { type DownstreamTlsConfig, serverTlsSettings } from "@heddle/traffic";

/**
 * For the handshakes of chains that set no `transport_socket_connect_timeout`. Envoy waits without end; a client that says
 * nothing would hold a connection as long as it likes.
 */
const HANDSHAKE_TIMEOUT_MS = 15_000;

/** The TLS of one filter chain. */
export class TlsTerminator {
  readonly #server: TlsServer;
  readonly #options: HandshakeOptions;

  /** `timeoutMs`: 0 is our own limit. Throws if the configuration cannot work. */
  constructor(config: DownstreamTlsConfig, timeoutMs: number, options: Omit<HandshakeOptions, "timeoutMs">) {
    this.#server = new TlsServer(serverTlsSettings(config));
    this.#options = { ...options, timeoutMs: timeoutMs === 0 ? HANDSHAKE_TIMEOUT_MS : timeoutMs };
  }

  secure(connection: Connection, callbacks: HandshakeCallbacks): Handshaking {
    if (!(connection instanceof SocketConnection)) throw new TypeError("TLS needs a socket");
    return this.#server.accept(connection, this.#options, callbacks);
  }
}
