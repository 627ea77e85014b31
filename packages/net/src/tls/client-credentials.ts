import type { ConnectionOptions, DetailedPeerCertificate, PeerCertificate, SecureContext } from "node:tls";
import { judgePeer } from "./peer-rules.ts";
import { secureContext } from "./secure-context.ts";
import { shownToNode } from "./shown-peer.ts";
import type { TlsClientSettings } from "./tls-client.ts";

/** What `tls.connect`, and whoever calls it, needs to be a client of these settings. */
export interface ClientCredentials extends ConnectionOptions {
  readonly secureContext: SecureContext;
  /** False: nobody is asked who they are, since no authority is trusted (as in Envoy). */
  readonly rejectUnauthorized: boolean;
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/**
 * For connections that are not of the data path. Node itself checks the chain; the rules are judged when it asks for the
 * identity, which it does only of a chain that holds: so names and hashes without a trusted authority are refused here. Throws
 * what OpenSSL throws.
 */
export function clientCredentials(settings: TlsClientSettings, wallNow: () => number): ClientCredentials {
  const { rules } = settings;
  const rejectUnauthorized = rules.checksChain && !rules.acceptsUntrusted;
  const asksMore = rules.names.length + rules.certificateHashes.length + rules.keyHashes.length > 0;
  if (asksMore && !rejectUnauthorized) throw new Error("names and hashes are checked only beside a trusted_ca");
  return {
    secureContext: secureContext(settings, settings.certificates),
    rejectUnauthorized,
    checkServerIdentity(_host, shown) {
      const peer = shownToNode(shown as DetailedPeerCertificate);
      const verdict = judgePeer({ ...peer, chainError: "" }, rules, wallNow());
      return verdict.type === "accepted" ? undefined : new Error(verdict.detail);
    },
  };
}
