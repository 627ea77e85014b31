import { isIP } from "node:net";
import type { Clock, Inspectable, Json } from "@heddle/base";
import { formatTrustBundle, type SpiffeId, trustBundlePem } from "@heddle/identity";
import type { SealSecret } from "@heddle/identity/ca";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { KubeApi } from "../kubernetes/kube-client.ts";
import { type HostPort, StartError } from "../serve/address.ts";
import { type CallWithPeer, peerSvidOf } from "../serve/peer-svid.ts";
import type { GrpcServices } from "../serve/serve-xds.ts";
import { MemoryStore } from "../store/memory-store.ts";
import type { Store } from "../store/store.ts";
import { Administration } from "./administration.ts";
import type { AuthoritySource } from "./authority-source.ts";
import { type BundleEndpoint, serveBundle } from "./bundle-endpoint.ts";
import type { CaOptions } from "./ca-options.ts";
import { CertificateService } from "./certificate-service.ts";
import { Federation } from "./federation.ts";
import { FileAuthority } from "./file-authority.ts";
import { IdentityGrpc } from "./identity-grpc.ts";
import { JoinTokenFile } from "./join-token-file.ts";
import { JoinTokens } from "./join-tokens.ts";
import { MeshAuthority } from "./mesh-authority.ts";
import { OwnSvid } from "./own-svid.ts";
import { makeSealFile, readSealFile, SEAL_KEY_FILE } from "./seal-key.ts";
import type { ServerNames } from "./signer.ts";
import { StoredAuthority } from "./stored-authority.ts";
import { TokenReviewer } from "./token-review.ts";
import { controlPlaneId } from "./workload-id.ts";

export interface CaSubjects {
  /** The authority's part of the store; undefined: nothing is kept beyond this process. */
  readonly store: Store | undefined;
  /** What this machine is called. */
  readonly hostName: string;
  /** The cluster that is asked about service accounts' tokens, where no other is said. */
  readonly kubernetes?: Pick<KubeApi, "request"> | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
}

/**
 * The mesh's certificate authority with all that belongs to it: the key and its keeping, proofs, the gRPC service, the control
 * plane's own certificate.
 */
export class CertificateAuthority implements Inspectable {
  readonly name = "certificate-authority";
  readonly authority: MeshAuthority;
  readonly ownSvid: OwnSvid;
  readonly joinTokens: JoinTokens;
  readonly administration: Administration;
  readonly source: AuthoritySource;
  /** Of the bundle endpoint; undefined: there is none. */
  readonly bundleEndpointAddress: HostPort | undefined;
  /** Where a root can be replaced: it was made here. */
  readonly stored: StoredAuthority | undefined;
  readonly #service: CertificateService;
  readonly #federation: Federation;
  readonly #options: CaOptions;
  readonly #subjects: CaSubjects;
  readonly #ends: (() => unknown)[];

  private constructor(parts: CaParts, options: CaOptions, subjects: CaSubjects) {
    const { clock, log, metrics } = subjects;
    const { authority, joinTokens, reviewer } = parts;
    this.authority = authority;
    this.ownSvid = parts.ownSvid;
    this.joinTokens = joinTokens;
    this.source = parts.source;
    this.#federation = parts.federation;
    this.bundleEndpointAddress = parts.endpoint?.address;
    this.stored = parts.source instanceof StoredAuthority ? parts.source : undefined;
    const namesOf = (id: SpiffeId): ServerNames | undefined => {
      const dnsNames = options.servingNames?.get(id.path);
      return dnsNames && { dnsNames, ipAddresses: [] };
    };
    this.#service = new CertificateService({ signer: authority, joinTokens, reviewer, namesOf, clock, log, metrics });
    this.#options = options;
    this.#subjects = subjects;
    this.#ends = parts.ends;
    this.administration = new Administration({
      trustDomain: options.trustDomain,
      joinTokens,
      stored: this.stored,
      inspect: () => this.inspect(),
      log,
    });
  }

  /** Rejects with a `StartError`, with nothing left behind. */
  static async open(options: CaOptions, subjects: CaSubjects): Promise<CertificateAuthority> {
    const { trustDomain, joinTokensFile, tokenReview, svidTtlMs } = options;
    const { clock, hostName, metrics } = subjects;
    const log = subjects.log.with({ part: "ca" });
    const ends: (() => unknown)[] = [];
    try {
      const store = subjects.store ?? (await memoryStore(log, options));
      // With a root made here the next process has another one, which nobody trusts: there is nothing to use a token for.
      if (subjects.store === undefined && options.files !== undefined && joinTokensFile !== undefined)
        log.warn("a join token of the file is good again after a restart, until it ends, since nothing is stored");
      const source = await openSource(options, store, subjects, log);
      ends.push(() => source.close());
      const file =
        joinTokensFile === undefined
          ? undefined
          : await JoinTokenFile.open({ path: joinTokensFile, trustDomain, clock, log });
      ends.push(() => file?.close());
      const joinTokens = new JoinTokens({ store, clock, log, ...(file && { listed: () => file.tokens }) });
      ends.push(() => joinTokens.close());
      const asked =
        tokenReview ?? (subjects.kubernetes && { api: subjects.kubernetes, audience: options.tokenAudience });
      const reviewer = asked && new TokenReviewer({ ...asked, trustDomain, clock });
      ends.push(() => reviewer?.close());
      const federation = await Federation.open({ domains: options.federated, store, clock, log, metrics });
      ends.push(() => federation.close());
      const federated = federation.bundles;
      const authority = new MeshAuthority({ trustDomain, source, federated, svidTtlMs, clock, log });
      ends.push(() => authority.close());
      const ownSvid = new OwnSvid({
        authority,
        spiffeId: controlPlaneId(trustDomain),
        names: serverNames(options, hostName),
        clock,
        log,
        metrics,
      });
      ends.push(() => ownSvid.close());
      await ownSvid.start();
      const identity = ownSvid.current;
      const endpoint =
        options.bundleEndpoint &&
        (await serveBundle({ ...options.bundleEndpoint, identity, bundles: authority.bundles, clock, log }));
      ends.push(() => endpoint?.close());
      const parts = { authority, ownSvid, joinTokens, reviewer, source, federation, endpoint, ends };
      return new CertificateAuthority(parts, options, { ...subjects, log });
    } catch (error) {
      for (const end of ends.reverse()) await end();
      throw error;
    }
  }

  /** The service for a gRPC server. `isSecure`: that server is behind TLS, and asks clients for certificates. */
  grpc(isSecure: boolean): GrpcServices {
    const { clock, log } = this.#subjects;
    const { renewalGraceMs } = this.#options;
    return new IdentityGrpc({
      service: this.#service,
      signer: this.authority,
      isSecure,
      svidOf: (call: CallWithPeer) => {
        const peer = isSecure ? peerSvidOf(call) : undefined;
        // A connection may be older than the certificate's end.
        return peer !== undefined && clock.wallNow() <= peer.notAfterMs + renewalGraceMs ? peer.spiffeId : undefined;
      },
      log,
    });
  }

  /** The own trust domain's bundle: PEM, or the SPIFFE bundle format. Undefined: there is none yet. */
  bundleText(format: "pem" | "spiffe"): string | undefined {
    const [own] = this.authority.bundles.current.all;
    if (own === undefined || own.x509Authorities.length === 0) return undefined;
    return format === "pem" ? trustBundlePem(own) : formatTrustBundle(own);
  }

  inspect(): Json {
    const { trustDomain, svidTtlMs, bundles } = this.authority;
    return {
      trustDomain,
      svidTtlSeconds: svidTtlMs / 1000,
      authority: this.source.status(),
      federation: this.#federation.inspect(),
      bundles: bundles.current.all.map((bundle) => ({
        trustDomain: bundle.trustDomain,
        x509Authorities: bundle.x509Authorities.length,
        sequenceNumber: bundle.sequenceNumber,
      })),
    };
  }

  async close(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}

interface CaParts {
  readonly authority: MeshAuthority;
  readonly ownSvid: OwnSvid;
  readonly joinTokens: JoinTokens;
  readonly reviewer: TokenReviewer | undefined;
  readonly source: AuthoritySource;
  readonly federation: Federation;
  readonly endpoint: BundleEndpoint | undefined;
  readonly ends: (() => unknown)[];
}

async function memoryStore(log: Log, { files }: CaOptions): Promise<Store> {
  if (files === undefined)
    log.warn("the authority's root ends with this process, since nothing is stored: nobody trusts the next one");
  const store = new MemoryStore();
  await store.start();
  return store;
}

/** A certificate's life more than its own: that long, and at most ten minutes, clocks may differ. */
const MAX_MARGIN_MS = 600_000;

function openSource(options: CaOptions, store: Store, { clock }: CaSubjects, log: Log): Promise<AuthoritySource> {
  const { trustDomain, files, svidTtlMs } = options;
  if (files !== undefined) return FileAuthority.open({ trustDomain, files, clock, log });
  return StoredAuthority.open({
    trustDomain,
    store,
    secret: (exists) => sealSecret(options, store, exists),
    times: { publishMs: svidTtlMs, retireMs: svidTtlMs + Math.min(svidTtlMs, MAX_MARGIN_MS) },
    clock,
    log,
  });
}

async function sealSecret({ passphraseFile }: CaOptions, store: Store, exists: boolean): Promise<SealSecret> {
  const path = passphraseFile ?? store.keyFile?.(SEAL_KEY_FILE);
  if (path === undefined) {
    if (store instanceof MemoryStore) return { type: "passphrase", passphrase: crypto.randomUUID() };
    throw new StartError(
      `certificate authority: ${store.name} has no place for the key that the root is sealed under; --ca-passphrase-file names one, the same for every control plane on it`,
    );
  }
  const secret = await readSealFile(path);
  if (secret !== "missing") return secret;
  if (exists || passphraseFile !== undefined)
    throw new StartError(
      `certificate authority: ${path} is missing${exists ? ", and the stored root is sealed under what it held" : ""}`,
    );
  return makeSealFile(path);
}

/** What clients that look at names may call this control plane; sidecars of ours look at its SPIFFE ID. */
function serverNames({ tlsNames, tlsAddress }: CaOptions, hostName: string): ServerNames {
  const own = hostName.toLowerCase();
  const names = [...tlsNames, "localhost", ...(DNS_NAME.test(own) ? [own] : [])];
  const isWildcard = tlsAddress.host === "0.0.0.0" || tlsAddress.host === "::";
  const addresses = ["127.0.0.1", "::1", ...(isIP(tlsAddress.host) > 0 && !isWildcard ? [tlsAddress.host] : [])];
  return {
    dnsNames: [...new Set(names.filter((name) => isIP(name) === 0))],
    ipAddresses: [...new Set([...addresses, ...tlsNames.filter((name) => isIP(name) > 0)])],
  };
}

const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
