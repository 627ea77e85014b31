import type { Failure } from "@heddle/base";
import type { ClientConnection, ClientConnectionEvents, RequestEncoder, ResponseDecoder, Transport } from "../codec.ts";
import type { H2ClientOptions } from "./h2-options.ts";

/** HTTP/2 towards a server (RFC 9113). */
export class H2ClientConnection implements ClientConnection {
  readonly capacity: number = 0;
  readonly active: number = 0;
  readonly started: number = 0;
  /** The peer's SETTINGS_MAX_CONCURRENT_STREAMS and ours, whichever is less. */
  readonly maxConcurrentStreams: number = 0;
  /** The peer's SETTINGS have come. */
  readonly settled: boolean = false;
  /** The peer has announced extended CONNECT (RFC 8441), and we allow it. */
  readonly acceptsUpgrades: boolean = false;

  constructor(_transport: Transport, _events: ClientConnectionEvents, _options: H2ClientOptions = {}) {
    throw new Error("HTTP/2 is not spoken yet");
  }

  startExchange(_decoder: ResponseDecoder): RequestEncoder {
    throw new Error("HTTP/2 is not spoken yet");
  }

  /** Sends a PING; its answer is `onPong`. */
  ping(): void {}
  receive(_bytes: Uint8Array): void {}
  receiveEnd(): void {}
  transportDrained(): void {}
  transportClosed(_failure: Failure): void {}
  drain(): void {}
}
