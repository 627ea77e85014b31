import type { Json, Live } from "@heddle/base";
import type { Authority } from "@heddle/identity/ca";

/** Where the authority's key and roots come from: made here and stored, or an operator's files. */
export interface AuthoritySource {
  /** Undefined: there is none yet, or none any more. */
  readonly current: Live<AuthorityState | undefined>;
  /** For people; nothing of it is secret. */
  status(): Json;
  close(): Promise<void>;
}

export interface AuthorityState {
  /** Signs. */
  readonly authority: Authority;
  /** DER: what everybody is to trust, the one that signs among them. */
  readonly roots: readonly Uint8Array[];
  /** Of the bundle that these make. */
  readonly sequenceNumber: number;
}
