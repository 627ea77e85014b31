import type { ChannelCredentials } from "@grpc/grpc-js";
import type { Inspectable, Live } from "@heddle/base";
import type { TrustBundle } from "@heddle/identity";
import type { SecretConfig } from "@heddle/traffic";
import type { XdsChannel } from "@heddle/xds/client";

/** The X.509-SVID of this sidecar. Holds its key: shown to nobody as it is. */
export interface OwnSvid {
  /** "spiffe://cluster.local/ns/shop/sa/web" */
  readonly id: string;
  readonly trustDomain: string;
  /** DER, the leaf first, then those that lead to an authority. */
  readonly chain: readonly Uint8Array[];
  /** PKCS #8 in PEM. */
  readonly key: string;
  /** Wall time; the end is that of whichever of the chain ends first. */
  readonly validFromMs: number;
  readonly validToMs: number;
}

/** Who this sidecar is, and whom it trusts, at one moment. */
export interface Identity {
  /** Undefined: it has none yet, or what it had has expired. */
  readonly svid: OwnSvid | undefined;
  /** Its own trust domain's first; none while nobody has told. */
  readonly bundles: readonly TrustBundle[];
}

/** Who is told what becomes of the identity. */
export interface IdentityListener {
  /** A secret of the sidecar's own is to be used from now on. */
  readonly onSecret: (secret: SecretConfig, version: string) => void;
  /** One is of no use any more. */
  readonly onWithdrawn: (name: string) => void;
  /** There is another certificate: connections to the control plane shall show it. */
  readonly onRenewed: () => void;
}

/** The identity as the rest of the sidecar sees it. */
export interface OwnIdentity extends Inspectable {
  readonly current: Identity;
  readonly state: IdentityState;
  /** Mutual TLS with the control plane, for one connection. Throws while there is no certificate. */
  security(): ChannelCredentials;
  /** One of its secrets, as it is now; undefined: there is none of that name, or not yet. */
  secret(name: string): SecretConfig | undefined;
  /** There is a connection to the control plane, on which others of its services may be called until it ends. */
  connected(channel: XdsChannel): void;
  /** Begins. What there is already is told from within. */
  start(listener: IdentityListener): void;
  close(): void;
}

/** The names of a sidecar's own secrets, as SPIRE's and Istio's agents have them, and what they hold. */
export const OWN_SECRETS = [
  { name: "default", type: "certificate" },
  { name: "ROOTCA", type: "validation" },
] as const;

export const NO_IDENTITY: Identity = { svid: undefined, bundles: [] };

/** Where an identity comes from: the mesh's authority, or a SPIFFE agent. */
export interface IdentitySource {
  readonly live: Live<Identity>;
  /** For admin: the state without anything secret. */
  readonly state: IdentityState;
  start(): void;
  close(): void;
}

/** How an identity fares. */
export interface IdentityState {
  /** none: not had yet. renewing: past the time when it was to be renewed. */
  readonly state: "none" | "valid" | "renewing" | "expired";
  /** Why the last attempt failed; "" where it did not. */
  readonly lastError: string;
  readonly renewals: number;
  readonly failures: number;
}
