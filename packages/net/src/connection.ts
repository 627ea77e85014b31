import type { Failure } from "@heddle/base";
import type { Transport } from "@heddle/http";
import type { TlsInfo } from "./tls/tls-info.ts";

/**
 * A byte stream to a peer, with both directions of their own. Nothing is read before `start`, so a handler never misses
 * a byte. It is plain TCP, a Unix socket, or TLS over one of these; a connection over TLS exists only once its
 * handshake is done and the peer is who it has to be.
 *
 * `writeBytes` and `writeLatin1` queue; all that was queued in one turn of the event loop leaves in one write. `end` sends
 * what is queued first, and so does `destroy` towards a client as far as the kernel takes it at once; towards an upstream
 * `destroy` drops it, as `reset` does always. After these, and after the connection is gone, writes are dropped silently:
 * `onClose` tells, once.
 */
export interface Connection extends Transport {
  /** Unique in its thread. */
  readonly id: number;
  /** "" and 0 for a Unix socket. They stay readable after the connection is gone, if they were read before. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Bytes that the kernel gave us. */
  readonly bytesRead: number;
  /** Bytes that the kernel has taken. What is queued here or was dropped is not in it. */
  readonly bytesWritten: number;
  /** Bytes that wait to be taken by the kernel. */
  readonly bytesQueued: number;
  /** `destroy` or `reset` was called, or the connection is gone. */
  readonly closed: boolean;
  /** What the TLS handshake has agreed on ("h2", "http/1.1"); "" where it has agreed on nothing, and for plaintext. */
  readonly alpnProtocol: string;
  /** Undefined: plaintext. Bytes are counted before encryption. */
  readonly tls: TlsInfo | undefined;

  /** Sets who hears of what happens, and begins to read. Once, and once more after each `release`. */
  start(handler: ConnectionHandler): void;
  /**
   * For who has looked at the first bytes: the handler hears nothing more, and nothing is read until the next `start`.
   * `unread`, all that it has heard or the end of that, comes again then, before everything else; the rest is forgotten, in
   * `bytesRead` too. To be called from within `onData`, or before any byte has come.
   */
  release(unread: Uint8Array): void;
  /** Destroys, and tells the peer with RST instead of FIN where the platform can. */
  reset(): void;
}

/** Hears of everything that happens to one connection. It may call any method of the connection from within. */
export interface ConnectionHandler {
  /** The bytes lie in a shared read buffer: whoever needs them after the call returned copies them. */
  onData(bytes: Uint8Array): void;
  /** The peer has sent FIN; it may still read. */
  onEnd(): void;
  /** After `writeBytes` returned false: what waits has fallen below half of the high watermark. */
  onDrain(): void;
  /**
   * Last, and exactly once, never from within a call. Undefined: closed in order, or by `destroy` or `reset` of ours.
   */
  onClose(failure: Failure | undefined): void;
}
