import { createHash } from "node:crypto";
import { type Clock, err, Live, ok, type Result } from "@heddle/base";
import { formatSpiffeId, parseSpiffeId, type SpiffeId, type TrustBundle, TrustBundles } from "@heddle/identity";
import { readCertificateRequest } from "@heddle/identity/ca";
import type { Log } from "@heddle/telemetry";
import type { AuthoritySource, AuthorityState } from "./authority-source.ts";
import type { IssuedSvid, ServerNames, Signer, SigningRequest } from "./signer.ts";

export interface MeshAuthorityOptions {
  readonly trustDomain: string;
  readonly source: AuthoritySource;
  /** Bundles of other trust domains. */
  readonly federated: Live<readonly TrustBundle[]>;
  /** The longest that a certificate is good. */
  readonly svidTtlMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The mesh's certificate authority, running: signs in the name of one trust domain, and knows whom to trust. */
export class MeshAuthority implements Signer {
  readonly trustDomain: string;
  readonly bundles: Live<TrustBundles>;
  readonly svidTtlMs: number;
  readonly #options: MeshAuthorityOptions;
  readonly #unwatch: readonly (() => void)[];

  constructor(options: MeshAuthorityOptions) {
    this.#options = options;
    this.trustDomain = options.trustDomain;
    this.svidTtlMs = options.svidTtlMs;
    this.bundles = new Live(this.#makeBundles());
    const publish = (): void => void this.bundles.publish(this.#makeBundles());
    this.#unwatch = [options.source.current.watch(publish), options.federated.watch(publish)];
  }

  /** What signs, and what it publishes; undefined: there is none now. */
  get current(): Live<AuthorityState | undefined> {
    return this.#options.source.current;
  }

  async readRequest(csr: Uint8Array): Promise<Result<SigningRequest, string>> {
    const read = readCertificateRequest(csr);
    if (!read.ok) return read;
    const { publicKey, uris } = read.value;
    if (uris.length > 1) return err("names more than one URI");
    const [uri] = uris;
    const named = uri === undefined ? undefined : parseSpiffeId(uri);
    if (named?.ok === false) return err(`names a URI that ${named.error}`);
    const spki = publicKey.export({ type: "spki", format: "der" });
    return ok({ spiffeId: named?.value, keyHash: createHash("sha256").update(spki).digest("hex"), csr });
  }

  async issue(
    { csr }: SigningRequest,
    spiffeId: SpiffeId,
    ttlMs: number,
    names: ServerNames = { dnsNames: [], ipAddresses: [] },
  ): Promise<IssuedSvid | undefined> {
    const { svidTtlMs, clock, log } = this.#options;
    const authority = this.current.current?.authority;
    if (authority === undefined) return undefined;
    const issued = await authority.issue(csr, spiffeId, {
      nowMs: clock.wallNow(),
      validityMs: ttlMs === 0 ? svidTtlMs : Math.min(ttlMs, svidTtlMs),
      backdateMs: BACKDATE_MS,
      ...names,
    });
    if (!issued.ok) {
      // The request has been read: what is left is the authority's own end.
      log.error("no certificate can be issued", { identity: formatSpiffeId(spiffeId), why: issued.error });
      return undefined;
    }
    const { certificates, serialNumber, validToMs } = issued.value;
    return { chain: certificates, serialNumber, notAfterMs: validToMs };
  }

  close(): void {
    for (const unwatch of this.#unwatch) unwatch();
  }

  #makeBundles(): TrustBundles {
    const { trustDomain, source, federated } = this.#options;
    const state = source.current.current;
    const own: TrustBundle = {
      trustDomain,
      x509Authorities: state?.roots ?? [],
      jwtAuthorities: [],
      sequenceNumber: state?.sequenceNumber ?? 0,
      refreshHintSeconds: REFRESH_HINT_S,
    };
    // Whatever somebody else says, nobody but we speak for our own trust domain.
    return new TrustBundles([own, ...federated.current.filter((bundle) => bundle.trustDomain !== trustDomain)]);
  }
}

/** Twice what clocks in a mesh are taken to differ by. */
const BACKDATE_MS = 600_000;

/** Trust Domain and Bundle §4.1.2; others fetch ours that often, which is far below the time a new root is published ahead. */
const REFRESH_HINT_S = 300;
