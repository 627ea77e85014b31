import type { Socket } from "node:net";
import { type SecureContext, TLSSocket } from "node:tls";
import { type Clock, err, ok, type Result } from "@heddle/base";
import { reasonOf } from "./handshake.ts";
import { type ShownPeer, shownPeer } from "./shown-peer.ts";
import { chainErrorOf, handOver } from "./tls-inside.ts";

export interface AcceptTlsOptions {
  /** What is shown, and by whom a client is believed. */
  readonly context: SecureContext;
  readonly alpnProtocols: readonly string[];
  /** For the whole handshake. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** A connection whose client has been asked for a certificate, and nothing has been read of. */
export interface AcceptedTls {
  readonly socket: TLSSocket;
  /** Undefined: it has shown none. */
  readonly peer: ShownPeer | undefined;
  /** What OpenSSL has against the certificate; "" for nothing. */
  readonly chainError: string;
}

/**
 * The server's end of one handshake, for what needs a socket of Node's own rather than a `Connection` (gRPC). Whoever is let in
 * is for the caller to judge: `done` is called once, and has to destroy the socket, or not, before it returns. An error says
 * why there was no handshake; the socket is destroyed then.
 *
 * Node's own server asks OpenSSL for a client's certificate in a way that loses what was sent beside it (see `shownPeer`).
 */
export function acceptTls(
  beneath: Socket,
  { context, alpnProtocols, timeoutMs, clock }: AcceptTlsOptions,
  done: (outcome: Result<AcceptedTls, string>) => void,
): void {
  const socket = new TLSSocket(beneath, {
    isServer: true,
    secureContext: context,
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: [...alpnProtocols],
  });
  beneath.on("error", ignore); // the socket tells of it
  const settle = (): void => {
    timer.cancel();
    socket.off("secure", secured).off("close", gone).off("error", failed);
    socket.on("error", ignore); // it may still tell one that was on its way
  };
  const failed = (error: Error): void => fail(reasonOf(error));
  const gone = (): void => fail("CONNECTION_CLOSED");
  const fail = (reason: string): void => {
    settle();
    socket.destroy();
    done(err(reason));
  };
  const secured = (): void => {
    settle();
    const peer = shownPeer(socket);
    const chainError = chainErrorOf(socket);
    handOver(socket);
    done(ok({ socket, peer, chainError }));
  };
  const timer = clock.after(timeoutMs, () => fail("HANDSHAKE_TIMEOUT"), true);
  socket.on("secure", secured).on("close", gone).on("error", failed);
}

function ignore(): void {}
