import type { Transport } from "../codec.ts";
import type { HeaderMap } from "../header-map.ts";
import { serializeTrailers } from "./write-head.ts";

/** How the end of a body is told to the peer (RFC 9112 §6). */
export const Framing = {
  /** There is no body, or none may be sent; data are dropped. */
  None: 0,
  Length: 1,
  Chunked: 2,
  /** By closing the connection, which is up to the connection. */
  UntilClose: 3,
  /** The bytes of a tunnel; its end is FIN. */
  Tunnel: 4,
} as const;
export type Framing = (typeof Framing)[keyof typeof Framing];

/** Puts the data of one message after another on the wire. */
export class OutgoingBody {
  readonly #transport: Transport;
  #framing: Framing = Framing.None;
  #missing = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** `length` is of a body with `Framing.Length`, in bytes. */
  begin(framing: Framing, length = 0): void {
    this.#framing = framing;
    this.#missing = length;
  }

  /** FIN is the end of the body, so that a body cut by FIN would look complete. */
  get endsWithConnection(): boolean {
    return this.#framing === Framing.UntilClose;
  }

  /**
   * Whether these data keep the promise of content-length. Too many bytes would be read as the next message, too few
   * would take its first bytes: the caller closes the connection instead.
   */
  fits(bytes: number, endStream: boolean): boolean {
    if (this.#framing !== Framing.Length) return true;
    return endStream ? bytes === this.#missing : bytes <= this.#missing;
  }

  /** The transport's verdict; true if nothing had to be written. */
  write(chunk: Uint8Array, endStream: boolean): boolean {
    switch (this.#framing) {
      case Framing.None:
        return true;
      case Framing.Length:
        this.#missing -= chunk.length;
        return chunk.length === 0 || this.#transport.writeBytes(chunk);
      case Framing.UntilClose:
        return chunk.length === 0 || this.#transport.writeBytes(chunk);
      case Framing.Chunked:
        return this.#writeChunk(chunk, endStream);
      case Framing.Tunnel: {
        const below = chunk.length === 0 || this.#transport.writeBytes(chunk);
        if (endStream) this.#transport.end();
        return below;
      }
    }
  }

  /** Ends the message. Only a chunked body can carry trailers; others end without them (RFC 9110 §6.5.1). */
  end(trailers: HeaderMap): void {
    if (this.#framing === Framing.Chunked) this.#transport.writeLatin1(serializeTrailers(trailers));
    else if (this.#framing === Framing.Tunnel) this.#transport.end();
  }

  /** An empty chunk would end the body (RFC 9112 §7.1), so it is not written. */
  #writeChunk(chunk: Uint8Array, endStream: boolean): boolean {
    if (chunk.length === 0) {
      if (endStream) this.#transport.writeLatin1("0\r\n\r\n");
      return true;
    }
    this.#transport.writeLatin1(`${chunk.length.toString(16)}\r\n`);
    const below = this.#transport.writeBytes(chunk);
    this.#transport.writeLatin1(endStream ? "\r\n0\r\n\r\n" : "\r\n");
    return below;
  }
}
