import {
  type Connection,
  type HandshakeCallbacks,
  type HandshakeOptions,
  type Handshaking,
  SocketConnection,
  type TicketKeySource,
  TlsServer,
} from "@heddle/net";
import { type DownstreamTlsConfig, serverTlsSettings } from "@heddle/traffic";
import type { LiveSecrets } from "../tls/live-secrets.ts";
import { LiveTls } from "../tls/live-tls.ts";

/**
 * For the handshakes of chains that set no `transport_socket_connect_timeout`. Envoy waits without end; a client that says
 * nothing would hold a connection as long as it likes.
 */
const HANDSHAKE_TIMEOUT_MS = 15_000;

/** The TLS of one filter chain. */
export class TlsTerminator {
  readonly #server: LiveTls<DownstreamTlsConfig, TlsServer>;
  readonly #options: HandshakeOptions;

  /**
   * `timeoutMs`: 0 is our own limit. Throws if the configuration cannot work; `onProblem` hears of secrets that it cannot work
   * with. `tickets`: keys of session tickets that all workers share.
   */
  constructor(
    config: DownstreamTlsConfig,
    timeoutMs: number,
    options: Omit<HandshakeOptions, "timeoutMs">,
    secrets: LiveSecrets,
    onProblem: (problem: string) => void,
    tickets?: TicketKeySource,
  ) {
    const make = (complete: DownstreamTlsConfig): TlsServer => new TlsServer(serverTlsSettings(complete), tickets);
    this.#server = new LiveTls(config, secrets, make, onProblem);
    this.#options = { ...options, timeoutMs: timeoutMs === 0 ? HANDSHAKE_TIMEOUT_MS : timeoutMs };
  }

  /** Begins a handshake. Undefined: a secret has not come; the connection is as it was. */
  secure(connection: Connection, callbacks: HandshakeCallbacks): Handshaking | undefined {
    if (!(connection instanceof SocketConnection)) throw new TypeError("TLS needs a socket");
    return this.#server.current?.accept(connection, this.#options, callbacks);
  }
}
