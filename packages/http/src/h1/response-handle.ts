import type { Failure } from "@heddle/base";
import type { ResponseEncoder } from "../codec.ts";
import type { ResponseHead } from "../head.ts";
import type { HeaderMap } from "../header-map.ts";

/**
 * The encoder of one exchange: the connection as long as the exchange lasts, nothing after that. The connection
 * itself would do, but then a call that comes late (a timer, a filter's answer) would hit the exchange of somebody else.
 */
export class ResponseHandle implements ResponseEncoder {
  #connection: ResponseEncoder | undefined;

  constructor(connection: ResponseEncoder) {
    this.#connection = connection;
  }

  /** The exchange is over. */
  release(): void {
    this.#connection = undefined;
  }

  sendInformational(head: ResponseHead): void {
    this.#connection?.sendInformational(head);
  }

  sendHead(head: ResponseHead, endStream: boolean): void {
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

  pauseRequest(): void {
    this.#connection?.pauseRequest();
  }

  resumeRequest(): void {
    this.#connection?.resumeRequest();
  }
}
