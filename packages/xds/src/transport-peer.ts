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

/** What a node calls itself, and who its transport has shown it to be; undefined: nobody. */
export interface ShownNode {
  readonly id: string;
  readonly identity?: TransportPeer["identity"] | undefined;
}

/**
 * By what a node is told from others: two that say one id and have shown to be different ones are two. Whatever id is said by
 * one who has shown nothing, it is not that of one who has: no trust domain begins with a space.
 */
export function nodeKey({ id, identity }: ShownNode): string {
  return identity === undefined ? ` ${id}` : `${identity.trustDomain}${identity.path} ${id}`;
}
