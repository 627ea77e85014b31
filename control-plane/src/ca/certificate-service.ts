import { type Clock, err, ok, type Result } from "@heddle/base";
import { formatSpiffeId, type SpiffeId } from "@heddle/identity";
import type { Counter, Log, MetricScope } from "@heddle/telemetry";
import { CallRate, type RateLimit } from "../call-rate.ts";
import { isJoinToken } from "./join-token.ts";
import type { JoinTokens } from "./join-tokens.ts";
import type { IssuedSvid, ServerNames, Signer, SigningRequest } from "./signer.ts";
import type { TokenReviewer } from "./token-review.ts";
import { controlPlaneId } from "./workload-id.ts";

/** What a caller has shown of who it is, and where it called from. */
export interface CallerProof {
  /** Whose verified certificate the connection has. */
  readonly svid: SpiffeId | undefined;
  /** Of "authorization: Bearer"; a secret. */
  readonly bearer: string | undefined;
  /** The connection is TLS: a token that is good for more than one use goes over no other. */
  readonly isSecure: boolean;
  /** The caller's address, without its port. */
  readonly source: string;
}

export interface CertificateAnswer {
  readonly svid: IssuedSvid;
  readonly spiffeId: SpiffeId;
}

const CODES = [
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "INVALID_ARGUMENT",
  "RESOURCE_EXHAUSTED",
  "UNAVAILABLE",
] as const;

export interface CertificateRefusal {
  readonly code: (typeof CODES)[number];
  /** For the caller. */
  readonly message: string;
  readonly retryAfterS?: number;
}

export interface CertificateServiceOptions {
  readonly signer: Signer;
  readonly joinTokens: JoinTokens;
  /** Left out: no service account token is taken. */
  readonly reviewer?: Pick<TokenReviewer, "identityOf"> | undefined;
  /** Further names that an operator has given to an identity; whoever asks has no say. Left out: nobody has any. */
  readonly namesOf?: (spiffeId: SpiffeId) => ServerNames | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly limits?: Partial<CertificateLimits>;
}

export interface CertificateLimits {
  /** Of an identity, which all replicas of a workload share. */
  readonly perIdentity: RateLimit;
  /** Of an address, which may be a whole machine's or a gateway's. */
  readonly perSource: RateLimit;
}

/** A thousand pods of one account start in half a minute; whoever asks for more waits, as gRPC's status tells it to. */
const LIMITS: CertificateLimits = {
  perIdentity: { burst: 200, perSecond: 30 },
  perSource: { burst: 500, perSecond: 100 },
};

/** An RSA key of 4096 bits with names has less than 2 KiB. */
export const MAX_CSR_BYTES = 16 * 1024;
/** Refusals that go to the log in a second; whoever is refused more often is counted. */
const AUDIT_LIMIT: RateLimit = { burst: 100, perSecond: 10 };

const PROOFS = ["join_token", "service_account_token", "svid"] as const;
type Proof = (typeof PROOFS)[number];

/**
 * Decides who gets a certificate. A caller is who its proof says, whatever its request says: that may name the same identity
 * or none. A join token is used up last, when everything else is right.
 *
 * What was issued and what was refused is a line of the log each, and counted; neither holds a token or a key.
 */
export class CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #perIdentity: CallRate;
  readonly #perSource: CallRate;
  readonly #audit: CallRate;
  readonly #metrics: MetricScope;
  readonly #counters = new Map<string, Counter>();

  constructor(options: CertificateServiceOptions) {
    this.#options = options;
    const { perIdentity, perSource } = { ...LIMITS, ...options.limits };
    this.#perIdentity = new CallRate(options.clock, perIdentity);
    this.#perSource = new CallRate(options.clock, perSource);
    this.#audit = new CallRate(options.clock, AUDIT_LIMIT);
    this.#metrics = options.metrics.scope("ca");
    // At 0 from the start, so that an alarm on a rise has something to rise from.
    for (const proof of PROOFS) this.#counter("issued", { proof });
    for (const code of CODES) this.#counter("refused", { code });
  }

  /** `ttlS` 0: as long as the authority gives. */
  async issue(
    proof: CallerProof,
    csr: Uint8Array,
    ttlS: number,
  ): Promise<Result<CertificateAnswer, CertificateRefusal>> {
    const answer = await this.#issue(proof, csr, ttlS);
    if (!answer.ok) this.#tellRefused(proof, answer.error);
    return answer;
  }

  async #issue(proof: CallerProof, csr: Uint8Array, ttlS: number): Promise<Result<CertificateAnswer, Refused>> {
    const { signer } = this.#options;
    const wait = this.#perSource.take(proof.source);
    if (wait > 0) return err(exhausted("too many calls from this address", "source_rate", wait));
    if (csr.length === 0) return err(invalid("csr: is missing"));
    if (csr.length > MAX_CSR_BYTES) return err(invalid(`csr: found ${csr.length} bytes, allowed are ${MAX_CSR_BYTES}`));
    // Before the request is read: reading costs a signature check, and nobody without proof has one for nothing.
    const caller = await this.#identify(proof);
    if (!caller.ok) return caller;
    const request = await signer.readRequest(csr);
    if (!request.ok) return err(invalid(`csr: ${request.error}`));
    const known = caller.value.who(request.value.keyHash);
    if (!known.ok) return known;
    const spiffeId = known.value;
    if (spiffeId.trustDomain !== signer.trustDomain)
      return err(forbidden("the caller is of another trust domain", "other_domain", spiffeId));
    // By it everybody knows whom to ask, and believe; it has its own certificate without asking anybody.
    if (isSame(controlPlaneId(signer.trustDomain), spiffeId))
      return err(forbidden("nobody but the control plane has its identity", "control_plane", spiffeId));
    if (!isSame(request.value.spiffeId, spiffeId))
      return err(forbidden("the request names another identity than the caller's", "other_identity", spiffeId));
    const pause = this.#perIdentity.take(formatSpiffeId(spiffeId));
    if (pause > 0) return err(exhausted("too many calls of this identity", "identity_rate", pause, spiffeId));
    const used = await caller.value.use(request.value.keyHash);
    if (!used.ok) return used;
    const svid = await signer.issue(request.value, spiffeId, ttlS * 1000, this.#options.namesOf?.(spiffeId));
    if (svid === undefined) return err(unavailable("there is no authority to sign it now", "no_authority", spiffeId));
    this.#tellIssued(proof, caller.value.proof, request.value, spiffeId, svid);
    return ok({ svid, spiffeId });
  }

  /** The certificate of the connection counts before any token: then none is used. */
  async #identify({ svid, bearer, isSecure }: CallerProof): Promise<Result<Identified, Refused>> {
    const { joinTokens, reviewer } = this.#options;
    if (svid !== undefined) return ok(certain("svid", svid));
    if (bearer === undefined) return err(unauthenticated("neither a certificate nor a token was shown", "no_proof"));
    if (isJoinToken(bearer)) {
      const refusal = ({ code, reason }: { code: "UNAUTHENTICATED" | "UNAVAILABLE"; reason: string }): Refused =>
        code === "UNAVAILABLE"
          ? unavailable("join tokens cannot be looked up now", "token_store")
          : // Whether it was used, ended or never was is for the log alone.
            unauthenticated("the join token is not good, or not any more", `join_token_${reason}`);
      const first = joinTokens.look(bearer, undefined);
      if (!first.ok) return err(refusal(first.error));
      return ok({
        proof: "join_token",
        who: (keyHash) => {
          const looked = joinTokens.look(bearer, keyHash);
          return looked.ok ? looked : err(refusal(looked.error));
        },
        use: async (keyHash) => {
          const used = await joinTokens.use(bearer, keyHash);
          return used.ok ? used : err(refusal(used.error));
        },
      });
    }
    if (reviewer === undefined || !isSecure)
      return err(unauthenticated(`a token of this kind is not taken here`, "token_kind"));
    const review = await reviewer.identityOf(bearer);
    if (review.ok) return ok(certain("service_account_token", review.value));
    const { code, reason } = review.error;
    if (code === "UNAUTHENTICATED") return err(unauthenticated("the service account token is not good", reason));
    if (code === "UNAVAILABLE") return err(unavailable("the token cannot be reviewed now", reason));
    return err(exhausted("too many tokens are being reviewed", reason, 1));
  }

  #tellIssued(
    { source }: CallerProof,
    proof: Proof,
    { keyHash }: SigningRequest,
    spiffeId: SpiffeId,
    { serialNumber, notAfterMs }: IssuedSvid,
  ): void {
    this.#counter("issued", { proof }).add();
    this.#options.log.info("certificate issued", {
      identity: formatSpiffeId(spiffeId),
      proof,
      source,
      serial: serialNumber,
      notAfter: new Date(notAfterMs).toISOString(),
      keySha256: keyHash,
    });
  }

  #tellRefused({ source }: CallerProof, { code, reason, spiffeId }: Refused): void {
    this.#counter("refused", { code }).add();
    if (this.#audit.take("") > 0) return;
    this.#options.log.warn("certificate refused", {
      code,
      reason,
      source,
      ...(spiffeId && { identity: formatSpiffeId(spiffeId) }),
    });
  }

  #counter(name: string, labels: Readonly<Record<string, string>>): Counter {
    const key = `${name} ${Object.values(labels).join()}`;
    const counter = this.#counters.get(key) ?? this.#metrics.counter(name, labels);
    this.#counters.set(key, counter);
    return counter;
  }
}

/** Somebody who has shown something; who that is may depend on the key. */
interface Identified {
  readonly proof: Proof;
  readonly who: (keyHash: string) => Result<SpiffeId, Refused>;
  /** Uses the proof up, where it is good for one use. */
  readonly use: (keyHash: string) => Promise<Result<SpiffeId, Refused>>;
}

function certain(proof: Proof, spiffeId: SpiffeId): Identified {
  return { proof, who: () => ok(spiffeId), use: async () => ok(spiffeId) };
}

interface Refused extends CertificateRefusal {
  /** For the audit. */
  readonly reason: string;
  readonly spiffeId?: SpiffeId | undefined;
}

function invalid(message: string): Refused {
  return { code: "INVALID_ARGUMENT", message, reason: message };
}

function unauthenticated(message: string, reason: string): Refused {
  return { code: "UNAUTHENTICATED", message, reason };
}

function forbidden(message: string, reason: string, spiffeId: SpiffeId): Refused {
  return { code: "PERMISSION_DENIED", message, reason, spiffeId };
}

function unavailable(message: string, reason: string, spiffeId?: SpiffeId): Refused {
  return { code: "UNAVAILABLE", message, reason, spiffeId };
}

function exhausted(message: string, reason: string, retryAfterS: number, spiffeId?: SpiffeId): Refused {
  return { code: "RESOURCE_EXHAUSTED", message, reason, retryAfterS, spiffeId };
}

function isSame(named: SpiffeId | undefined, own: SpiffeId): boolean {
  return named === undefined || (named.trustDomain === own.trustDomain && named.path === own.path);
}
