import type { TLSSocket } from "node:tls";
import { type DerElement, DerError, DerTag, derElement, derElements } from "@heddle/identity";
import { sessionOf } from "./tls-inside.ts";

/*
 * What OpenSSL's sessions hold (SSL_SESSION in ASN.1: version, protocol, cipher, id, secret, and behind them tagged fields),
 * of which Node tells only the whole.
 */

/** Hexadecimal; "" for none. */
export function sessionId(socket: TLSSocket): string {
  return Buffer.from(sessionFields(socket)[3]?.content ?? []).toString("hex");
}

/**
 * The peer's certificate, in DER. A client whose session is resumed is shown none, and Node has none to tell; the session
 * knows the one that its first handshake has been shown.
 */
export function sessionPeer(socket: TLSSocket): Uint8Array | undefined {
  return sessionFields(socket).find(({ tag }) => tag === PEER)?.content;
}

const PEER = 0xa3;

function sessionFields(socket: TLSSocket): readonly DerElement[] {
  const session = sessionOf(socket);
  if (session === undefined) return [];
  try {
    return derElements(derElement(session, DerTag.Sequence).content);
  } catch (error) {
    if (error instanceof DerError) return [];
    throw error;
  }
}
