import { Buffer } from "node:buffer";
import type { ServerConnection, Transport } from "@heddle/http";

/** RFC 9113 §3.4: what a client that speaks HTTP/2 sends first. */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Who makes the codec that a client's first bytes ask for, and uses it from then on. */
export interface CodecChooser {
  speakHttp1(): ServerConnection;
  speakHttp2(): ServerConnection;
  /** Part of the preface has come. What is missing shall not be waited for without end. */
  onPartialPreface(): void;
}

/**
 * Stands in the codec's place until a client has sent enough to tell which it needs (Envoy `codec_type: AUTO` where ALPN has
 * not decided it). What is held is always a part of the preface, so its length alone is kept. As soon as a byte differs
 * HTTP/1 reads everything from the first byte.
 */
export class UndecidedCodec implements ServerConnection {
  readonly #transport: Transport;
  readonly #chooser: CodecChooser;
  #matched = 0;
  ended = false;
  readonly active = 0;
  readonly dropping = false;

  constructor(transport: Transport, chooser: CodecChooser) {
    this.#transport = transport;
    this.#chooser = chooser;
  }

  get idle(): boolean {
    return this.#matched === 0 && !this.ended;
  }

  receive(bytes: Uint8Array): void {
    if (this.ended) return;
    const known = this.#matched;
    const end = Math.min(bytes.length, PREFACE.length - known);
    let same = 0;
    while (same < end && bytes[same] === PREFACE[known + same]) same++;
    if (same < end) this.#handOver(this.#chooser.speakHttp1(), bytes);
    else if (known + same === PREFACE.length) this.#handOver(this.#chooser.speakHttp2(), bytes);
    else {
      this.#matched += same;
      if (known === 0) this.#chooser.onPartialPreface();
    }
  }

  receiveEnd(): void {
    if (this.ended) return;
    if (this.#matched === 0) {
      this.drain();
      return;
    }
    const codec = this.#chooser.speakHttp1();
    this.#handOver(codec, NOTHING);
    codec.receiveEnd();
  }

  /** Whoever has not said what it speaks cannot be told anything. */
  drain(): void {
    if (this.ended) return;
    this.ended = true;
    this.#transport.end();
  }

  transportDrained(): void {}
  transportClosed(): void {}
  announceDrain(): void {}
  continueReading(): void {}

  #handOver(codec: ServerConnection, bytes: Uint8Array): void {
    if (this.#matched > 0) codec.receive(PREFACE.subarray(0, this.#matched));
    if (bytes.length > 0) codec.receive(bytes);
  }
}

const NOTHING = new Uint8Array(0);
