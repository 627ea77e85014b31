import type { Failure } from "@heddle/base";
import type { RequestEncoder } from "../codec.ts";
import type { RequestHead } from "../head.ts";
import type { HeaderMap } from "../header-map.ts";

/** The encoder of one exchange on an upstream connection; see `ResponseHandle` for why it is not the connection. */
export class RequestHandle implements RequestEncoder {
  #connection: RequestEncoder | undefined;
  #bytesHandedOver = false;

  constructor(connection: RequestEncoder) {
    this.#connection = connection;
  }

  /** The exchange is over. */
  release(): void {
    this.#bytesHandedOver = this.bytesHandedOver;
    this.#connection = undefined;
  }

  /** Keeps its answer when the exchange is over. */
  get bytesHandedOver(): boolean {
    return this.#connection === undefined ? this.#bytesHandedOver : this.#connection.bytesHandedOver;
  }

  sendHead(head: RequestHead, endStream: boolean): void {
    this.#connection?.sendHead(head, endStream);
  }

  sendData(chunk: Uint8Array, endStream: boolean): boolean {
    return this.#connection === undefined || this.#connection.sendData(chunk, endStream);
  }

  sendTrailers(trailers: HeaderMap): void {
    this.#connection?.sendTrailers(trailers);
  }

  reset(failure: Failure): void {
    this.#connection?.reset(failure);
  }

  pauseResponse(): void {
    this.#connection?.pauseResponse();
  }

  resumeResponse(): void {
    this.#connection?.resumeResponse();
  }
}
