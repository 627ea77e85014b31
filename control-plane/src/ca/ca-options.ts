import type { HostPort } from "../serve/address.ts";
import type { PairFiles } from "../serve/tls-pair.ts";
import type { FederatedDomain } from "./federation.ts";
import type { AuthorityFileNames } from "./file-authority.ts";
import type { ReviewServer, TokenReviewOptions } from "./token-review.ts";

/** The certificate authority, as the command line asks for it. */
export interface CaOptions {
  readonly trustDomain: string;
  /** Others that policies mean as well where they mean this one. Left out: none. */
  readonly trustDomainAliases?: readonly string[];
  /** Where xDS and the authority are served over TLS. */
  readonly tlsAddress: HostPort;
  /** Further DNS names and addresses of the control plane's own certificate. */
  readonly tlsNames: readonly string[];
  /** DNS names that certificates of an identity have besides, by its path ("/ns/shop/sa/web"). Left out: none. */
  readonly servingNames?: ReadonlyMap<string, readonly string[]>;
  /** The longest that a certificate is good. */
  readonly svidTtlMs: number;
  /** So long after its end a certificate may still be renewed. */
  readonly renewalGraceMs: number;
  /** What the root's key is sealed under; undefined: a key of its own, in the store's folder. */
  readonly passphraseFile: string | undefined;
  /** An operator's own authority; undefined: one is made, and kept in the store. */
  readonly files: AuthorityFileNames | undefined;
  readonly joinTokensFile: string | undefined;
  /** Undefined: no service account's token is taken, but where the control plane follows a cluster, which is asked then. */
  readonly tokenReview: (ReviewServer & Pick<TokenReviewOptions, "audience">) | undefined;
  /** What service account tokens have to be made for. */
  readonly tokenAudience: string;
  /** Undefined: no bundle endpoint. */
  readonly bundleEndpoint: { readonly address: HostPort; readonly certificate: PairFiles | undefined } | undefined;
  readonly federated: readonly FederatedDomain[];
}
