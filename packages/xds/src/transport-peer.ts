import type { Result } from "@heddle/base";
import type { XdsNode } from "./snapshot.ts";

/** Whom the transport of a stream has shown to be at its other end. */
export interface TransportPeer {
  readonly identity: NonNullable<XdsNode["identity"]>;
  /** Wall time: until then. */
  readonly notAfterMs: number;
}

/** What of a gRPC call tells who its connection's client is. */
export interface CallOfPeer {
  getAuthContext(): { readonly sslPeerCertificate?: { readonly raw: Uint8Array } };
}

/**
 * Tells who calls, where every caller has to show it; an error says what is missing. A server whose transport shows nobody
 * (plaintext) has none of these.
 */
export type PeerOf = (call: CallOfPeer) => Result<TransportPeer, string>;

/** What a node says of itself, and what its transport has shown. */
export type NodeClaim = Pick<XdsNode, "id" | "metadata" | "identity">;

/** By what a node is told from others: two that say one id and have shown to be different ones are two. */
export function nodeKey({ id, identity }: Pick<XdsNode, "id" | "identity">): string {
  return identity === undefined ? id : `${identity.trustDomain}${identity.path} ${id}`;
}
