import type { Failure } from "@heddle/base";
import type { RequestHead, ResponseHead } from "./head.ts";
import type { HeaderMap } from "./header-map.ts";

/*
 * The face between a codec and its users. It is the same for h1 and h2, so the connection manager, the pools and the
 * filters do not know which protocol carries an exchange. The roles, seen from the sidecar:
 *
 *   downstream bytes > ServerConnection > RequestDecoder  (manager) … RequestEncoder  > ClientConnection > upstream bytes
 *   downstream bytes < ServerConnection < ResponseEncoder (manager) … ResponseDecoder < ClientConnection < upstream bytes
 *
 * Rules for both directions:
 * - A chunk that is handed to `onData` or `sendData` belongs to the callee only until the call returns: it lies in a
 *   reused read buffer. Whoever keeps it copies it.
 * - `sendData` returns false when more than the high watermark waits to be written; the sender goes on until it stops
 *   its own source and waits for `onDrain`. Nothing is lost if it does not wait; memory is bounded by who reads.
 * - After `endStream`, trailers or a reset in one direction nothing more follows in that direction.
 * - Callbacks may be called from within a call of the same object; a codec is re-entrant.
 * - A peer that breaks the protocol is a `Failure` value, never an exception.
 */

/** What a codec needs of its transport. A connection of `net` satisfies it; tests use an array. */
export interface Transport {
  /** Queues latin1 text; all that is queued in one turn leaves in one write. */
  writeLatin1(text: string): void;
  /** Queues bytes; they are copied or sent before it returns. False above the high watermark. */
  writeBytes(bytes: Uint8Array): boolean;
  /** Sends what is queued, then FIN. The reading side stays open. */
  end(): void;
  /** Closes both directions at once. Unsent bytes are dropped. */
  destroy(): void;
  /** The same with RST where the platform can: for a message whose end FIN would be. */
  reset(): void;
  /** Stops and restarts `receive`. Calls do not nest. */
  pause(): void;
  resume(): void;
}

/** A protocol over one downstream connection. Whoever owns the transport calls `receive` with what arrives. */
export interface ServerConnection {
  /** The bytes may be used only until the call returns. */
  receive(bytes: Uint8Array): void;
  /** The peer sent FIN. */
  receiveEnd(): void;
  /** The transport's queue has fallen below the low watermark. */
  transportDrained(): void;
  /** The transport is gone; every open exchange gets `onReset`. */
  transportClosed(failure: Failure): void;
  /**
   * The connection will take no new exchanges soon. h2 sends a GOAWAY that leaves out nothing (RFC 9113 §6.8), so that the
   * client goes elsewhere and loses nothing of what is on its way; h1 has no such word. `onDrainRead` follows.
   */
  announceDrain(): void;
  /**
   * No new exchanges: h1 answers with `connection: close` and ends after the current one, h2 sends the GOAWAY that names the
   * last stream and ends after the open ones.
   */
  drain(): void;
  /** The answer to `onBurst`. */
  continueReading(): void;
  /** No exchange is open and no partial message has been read. */
  readonly idle: boolean;
  /** Exchanges that have begun and not ended. */
  readonly active: number;
  /** Nothing more is read or written. The transport may still have to send. */
  readonly ended: boolean;
  /** A response has ended, its request has not: what comes of it is dropped. Nobody but the owner ends this. h2: never. */
  readonly dropping: boolean;
}

export interface ServerConnectionEvents {
  /**
   * A request's head begins, with its first byte; the returned decoder gets the head next, or `onReset` if it never
   * becomes one.
   */
  onRequest(encoder: ResponseEncoder): RequestDecoder;
  /**
   * The peer broke the protocol before there was a request: its head cannot be read. The codec has answered (400, 431,
   * 501, 505) where an answer was possible and ends the connection; the decoder, if one had begun, has had `onReset`.
   * This is for counters and one log line. A body that is broken is told to the decoder alone.
   */
  onProtocolError(failure: Failure, answeredStatus: number | undefined): void;
  /** The connection became idle: a keep-alive timer may start. */
  onIdle(): void;
  /**
   * Many requests that one read gave have been answered, and there are more. The owner calls `continueReading` in a turn
   * of the event loop to come, so that other connections are not kept waiting. Left out: all are answered at once.
   */
  onBurst?(): void;
  /** A `ping` has been answered. h2 only. */
  onPong?(): void;
  /**
   * The client has read what `announceDrain` told it: whatever it began before has come. Not where the client answers no PING.
   * h2 only.
   */
  onDrainRead?(): void;
  /**
   * A stream has ended by RST_STREAM before its response was complete: by the client's, or by ours because the client erred on it.
   * Not where the owner reset it. For limits on how often a client does that (rapid reset, MadeYouReset). h2 only; after the
   * decoder's `onReset`, if there was an exchange.
   */
  onStreamReset?(byPeer: boolean): void;
}

/** The answer to a message that breaks the protocol. */
export interface Refusal {
  readonly head: ResponseHead;
  readonly body: string;
}

/** Gets one request, as it arrives. */
export interface RequestDecoder {
  /**
   * A request that asks for a tunnel (`upgrade`, CONNECT) has no body, but does not end with its head: its direction
   * carries the tunnel once 101 (2xx to CONNECT) has been sent. If another answer is sent, nothing more comes.
   */
  onHead(head: RequestHead, endStream: boolean): void;
  onData(chunk: Uint8Array, endStream: boolean): void;
  /** Ends the request. */
  onTrailers(trailers: HeaderMap): void;
  /** The request ends without being complete: the peer is gone, reset the stream or broke the protocol. */
  onReset(failure: Failure): void;
  /** What `sendData` refused to queue has been written; go on. */
  onDrain(): void;
  /**
   * The codec refuses the message and ends the connection behind its answer; `onReset` follows. What it shall answer: the
   * body is UTF-8, and the head has its content-length. Left out, or undefined: the status alone.
   */
  onRefusal?(failure: Failure): Refusal | undefined;
}

/** Sends one response. The connection is its owner; it is dead after the end of the response or a reset. */
export interface ResponseEncoder {
  /** Of this exchange alone, with head and framing. Left out where an exchange has the connection to itself. */
  readonly wireBytesReceived?: number;
  readonly wireBytesSent?: number;
  /** 100, 103 …; any number of them before the final head. 101 is a final head: what follows is a tunnel. */
  sendInformational(head: ResponseHead): void;
  /**
   * `endStream` means no body. The codec adds the framing: it keeps a valid content-length, else chunks (h1.1) or ends
   * with the connection (h1.0). HEAD, 204 and 304 have no body whatever is sent.
   */
  sendHead(head: ResponseHead, endStream: boolean): void;
  sendData(chunk: Uint8Array, endStream: boolean): boolean;
  sendTrailers(trailers: HeaderMap): void;
  /** Aborts: an incomplete response must be visible as such to the client (h1: close, h2: RST_STREAM). */
  reset(failure: Failure): void;
  /** Stops and restarts `onData` of the request. Calls do not nest. */
  pauseRequest(): void;
  resumeRequest(): void;
}

/** A protocol over one upstream connection. */
export interface ClientConnection {
  receive(bytes: Uint8Array): void;
  receiveEnd(): void;
  transportDrained(): void;
  transportClosed(failure: Failure): void;
  /** Starts an exchange; only while `capacity` is above zero. */
  startExchange(decoder: ResponseDecoder): RequestEncoder;
  /** Takes no more exchanges; ends when the open ones have ended. */
  drain(): void;
  /** How many more exchanges may be started now: 0 or 1 for h1. 0 after `drain`, `connection: close`, or an error. */
  readonly capacity: number;
  /** Exchanges that have been started and not ended. */
  readonly active: number;
  /** Exchanges ever started here. */
  readonly started: number;
}

export interface ClientConnectionEvents {
  /** `capacity` or `active` changed: an exchange ended, the peer changed its limit, or the connection may not be used again. */
  onCapacityChange(): void;
  /** The connection must not be used again and holds nothing: the owner destroys its transport. */
  onClose(failure: Failure | undefined): void;
  /** A `ping` has been answered. h2 only. */
  onPong?(): void;
  /** The peer has said that it takes no more exchanges (GOAWAY). Before `onCapacityChange`. */
  onGoAway?(): void;
}

export interface RequestEncoder {
  /** Of this exchange alone, with head and framing. Left out where an exchange has the connection to itself. */
  readonly wireBytesReceived?: number;
  readonly wireBytesSent?: number;
  /** `endStream` means no body. */
  sendHead(head: RequestHead, endStream: boolean): void;
  sendData(chunk: Uint8Array, endStream: boolean): boolean;
  sendTrailers(trailers: HeaderMap): void;
  /** Gives up: h1 closes the connection, h2 resets the stream. The decoder hears nothing more. */
  reset(failure: Failure): void;
  pauseResponse(): void;
  resumeResponse(): void;
  /** Whether any byte of this request has been given to the transport. The replay rule asks (RFC 9110 §9.2.2). */
  readonly bytesHandedOver: boolean;
}

export interface ResponseDecoder {
  onInformational(head: ResponseHead): void;
  onHead(head: ResponseHead, endStream: boolean): void;
  onData(chunk: Uint8Array, endStream: boolean): void;
  onTrailers(trailers: HeaderMap): void;
  onReset(failure: Failure): void;
  /** The request direction may go on. */
  onDrain(): void;
}
