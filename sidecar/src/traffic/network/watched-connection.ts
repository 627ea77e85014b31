import type { Failure } from "@heddle/base";
import type { Connection, ConnectionHandler, TlsInfo } from "@heddle/net";

/** A connection whose bytes are asked about before its handler sees them. What `mayPass` refuses is dropped. */
export class WatchedConnection implements Connection {
  readonly #connection: Connection;
  readonly #mayPass: () => boolean;

  constructor(connection: Connection, mayPass: () => boolean) {
    this.#connection = connection;
    this.#mayPass = mayPass;
  }

  start(handler: ConnectionHandler): void {
    this.#connection.start(new WatchedHandler(handler, this.#mayPass));
  }

  get id(): number {
    return this.#connection.id;
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  get remotePort(): number {
    return this.#connection.remotePort;
  }

  get localAddress(): string {
    return this.#connection.localAddress;
  }

  get localPort(): number {
    return this.#connection.localPort;
  }

  get bytesRead(): number {
    return this.#connection.bytesRead;
  }

  get bytesWritten(): number {
    return this.#connection.bytesWritten;
  }

  get bytesQueued(): number {
    return this.#connection.bytesQueued;
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  get alpnProtocol(): string {
    return this.#connection.alpnProtocol;
  }

  get tls(): TlsInfo | undefined {
    return this.#connection.tls;
  }

  release(unread: Uint8Array): void {
    this.#connection.release(unread);
  }

  writeLatin1(text: string): void {
    this.#connection.writeLatin1(text);
  }

  writeBytes(bytes: Uint8Array): boolean {
    return this.#connection.writeBytes(bytes);
  }

  end(): void {
    this.#connection.end();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  reset(): void {
    this.#connection.reset();
  }

  pause(): void {
    this.#connection.pause();
  }

  resume(): void {
    this.#connection.resume();
  }
}

class WatchedHandler implements ConnectionHandler {
  readonly #handler: ConnectionHandler;
  readonly #mayPass: () => boolean;

  constructor(handler: ConnectionHandler, mayPass: () => boolean) {
    this.#handler = handler;
    this.#mayPass = mayPass;
  }

  onData(bytes: Uint8Array): void {
    if (this.#mayPass()) this.#handler.onData(bytes);
  }

  onEnd(): void {
    this.#handler.onEnd();
  }

  onDrain(): void {
    this.#handler.onDrain();
  }

  onClose(failure: Failure | undefined): void {
    this.#handler.onClose(failure);
  }
}
