import { connect as netConnect, type Socket } from "node:net";
import { type ConnectionOptions as NodeTlsOptions, type TLSSocket, connect as tlsConnect } from "node:tls";
import { type Clock, systemClock } from "@heddle/base";
import { Acceptor } from "../acceptor.ts";
import type { Connection } from "../connection.ts";
import type { SocketConnection } from "../socket-connection.ts";
import { freePort, Recorder } from "../testing-sockets.ts";
import type { HandshakeFailure } from "./handshake.ts";
import { ANYBODY } from "./peer-rules.ts";
import { TlsServer, type TlsServerSettings } from "./tls-server.ts";

/* For tests of TLS: our server on loopback, and clients of Node's. */

export const SERVER_DEFAULTS: TlsServerSettings = {
  certificates: [],
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.3",
  cipherSuites: [],
  curves: [],
  signatureAlgorithms: [],
  alpnProtocols: [],
  authorities: { trusted: undefined, trustsSystem: false, revoked: undefined },
  rules: ANYBODY,
  trustKey: "",
  requireClientCertificate: false,
  requireServerName: false,
  asksClient: false,
  issuesTickets: true,
  sessionTimeoutSeconds: undefined,
  fullScanOnMismatch: false,
  preferClientCiphers: false,
};

/** A listener whose connections our TLS server takes. It writes down what becomes of them. */
export class TestTlsListener {
  readonly port: number;
  server: TlsServer;
  readonly secured: Recorder[] = [];
  readonly failures: HandshakeFailure[] = [];
  /** Called for each before it is recorded. */
  onSecured: ((connection: Connection) => void) | undefined;
  /** Left out: what is thrown in a handshake ends the test. */
  onThrow: ((error: unknown) => void) | undefined;
  clock: Clock = systemClock;
  /** Looks at the first bytes and puts them back, as listener filters do. */
  peek = false;
  readonly #clients: Socket[] = [];
  #accepted = 0;
  #acceptor: Acceptor | undefined;
  #waiting: (() => void)[] = [];

  constructor(port: number, settings: Partial<TlsServerSettings>) {
    this.port = port;
    this.server = new TlsServer({ ...SERVER_DEFAULTS, ...settings });
  }

  static readonly #open: TestTlsListener[] = [];

  /** To be called after each test. */
  static closeAll(): void {
    for (const listener of TestTlsListener.#open.splice(0)) listener.close();
  }

  static async open(settings: Partial<TlsServerSettings>): Promise<TestTlsListener> {
    const listener = new TestTlsListener(await freePort(), settings);
    TestTlsListener.#open.push(listener);
    await listener.#listen();
    return listener;
  }

  connect(options: NodeTlsOptions = {}): TLSSocket {
    const socket = tlsConnect({ port: this.port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
    socket.on("error", () => undefined);
    this.#clients.push(socket);
    return socket;
  }

  connectPlain(): Socket {
    const socket = netConnect({ port: this.port, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    this.#clients.push(socket);
    return socket;
  }

  /** Resolves once the condition holds, looked at whenever a handshake has ended. */
  async until(met: () => boolean): Promise<void> {
    while (!met()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async firstSecured(): Promise<Recorder> {
    await this.until(() => this.secured.length > 0);
    return this.secured[0]!; // just seen
  }

  async firstFailure(): Promise<HandshakeFailure> {
    await this.until(() => this.failures.length > 0);
    return this.failures[0]!; // just seen
  }

  /** Resolves once a connection has come. */
  async untilAccepted(): Promise<void> {
    await this.until(() => this.#accepted > 0);
  }

  close(): void {
    this.#acceptor?.close();
    for (const { connection } of this.secured) connection.destroy();
    for (const client of this.#clients) client.destroy();
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      const address = { type: "socket", address: "127.0.0.1", port: this.port } as const;
      this.#acceptor = new Acceptor(
        { type: "address", address, reusePort: false },
        { backlog: undefined, highWatermarkBytes: 64 * 1024, rewrap: true },
        {
          onListening: resolve,
          onStopped: (reason) => reject(new Error(reason)),
          onConnection: (connection) => this.#accept(connection as SocketConnection),
        },
      );
    });
  }

  #accept(connection: SocketConnection): void {
    this.#accepted++;
    if (!this.peek) {
      this.#secure(connection);
      return;
    }
    connection.start({
      onData: (bytes) => {
        connection.release(Uint8Array.from(bytes));
        this.#secure(connection);
      },
      onEnd: () => undefined,
      onDrain: () => undefined,
      onClose: () => undefined,
    });
  }

  #secure(connection: SocketConnection): void {
    const { clock, onThrow } = this;
    const options = { clock, timeoutMs: 10_000, highWatermarkBytes: 64 * 1024, ...(onThrow && { onThrow }) };
    this.server.accept(connection, options, {
      onSecured: (secured) => {
        this.onSecured?.(secured);
        this.secured.push(new Recorder(secured));
        this.#tell();
      },
      onFailed: (failure) => {
        this.failures.push(failure);
        this.#tell();
      },
    });
    this.#tell();
  }

  #tell(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
