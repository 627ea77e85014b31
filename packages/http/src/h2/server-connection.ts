import type { Failure } from "@heddle/base";
import type { ServerConnection, ServerConnectionEvents, Transport } from "../codec.ts";
import type { H2ServerOptions } from "./h2-options.ts";

/** HTTP/2 towards a client (RFC 9113). */
export class H2ServerConnection implements ServerConnection {
  readonly idle: boolean = true;
  readonly active: number = 0;
  readonly ended: boolean = false;
  readonly dropping: boolean = false;

  constructor(_transport: Transport, _events: ServerConnectionEvents, _options: H2ServerOptions = {}) {
    throw new Error("HTTP/2 is not served yet");
  }

  /** Sends a PING; its answer is `onPong`. */
  ping(): void {}
  receive(_bytes: Uint8Array): void {}
  receiveEnd(): void {}
  transportDrained(): void {}
  transportClosed(_failure: Failure): void {}
  announceDrain(): void {}
  drain(): void {}
  continueReading(): void {}
}
