import { hash } from "node:crypto";
import { type Clock, Live, type Result } from "@heddle/base";
import {
  certificateRequest,
  newWorkloadKey,
  parseSpiffeId,
  type TrustBundle,
  type WorkloadKey,
} from "@heddle/identity";
import type { Log } from "@heddle/telemetry";
import type { CallerProof, IssueFailure } from "./authority-client.ts";
import type { Issued } from "./authority-wire.ts";
import { checkOwnSvid } from "./check-svid.ts";
import type { KeptIdentity } from "./identity-file.ts";
import { type Identity, type IdentitySource, type IdentityState, NO_IDENTITY, type OwnSvid } from "./own-identity.ts";
import { SvidRenewal } from "./svid-renewal.ts";

export interface AuthorityIdentityOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 (included) to 1 (excluded). */
  readonly random: () => number;
  /** Has a key signed by the authority. Never rejects. */
  readonly issue: (csr: Uint8Array, proof: CallerProof) => Promise<Result<Issued, IssueFailure>>;
  /** The token of this moment; undefined where none is configured. */
  readonly token: () => Result<string | undefined, string>;
  /** What was kept from before; its certificate may have expired. */
  readonly kept: KeptIdentity | undefined;
  /** Keeps what has been issued. Left out: it ends with the process. `tokenDigest`: `KeptIdentity` */
  readonly keep?: (identity: Identity, tokenDigest: string | undefined) => Result<void, string>;
  /** `SvidRenewalOptions` */
  readonly renewAtPercent?: number;
}

/** So often a new token is tried before the certificate that was kept is, where nobody says what becomes of it. */
const TOKEN_FIRST_ATTEMPTS = 5;

/** While renewing fails, how often the log says so. */
const WARN_EVERY_MS = 5 * 60_000;

/**
 * An identity from the mesh's own authority: a key that never leaves this process (but for the file that may keep it), signed for
 * a token at first and for the certificate that it has from then on. Each renewal makes a new key. Where a renewal by the
 * certificate fails, the token is tried as well, in turn: the authority may have forgotten who we are. A certificate that has
 * expired is shown to nobody but the authority, which may take it for a while (its `--renewal-grace`).
 *
 * A token that is another than the kept certificate goes back to comes first: whoever gave it may have meant another account, and
 * then we are that one from there on. Within the life of a process who we are does not change otherwise.
 */
export class AuthorityIdentity implements IdentitySource {
  readonly live: Live<Identity>;
  readonly #options: AuthorityIdentityOptions;
  readonly #renewal: SvidRenewal;
  /** Of the certificate that is asked for, until it is issued: a single-use token whose answer was lost answers the same key again. */
  #key: WorkloadKey | undefined;
  #lastProof: CallerProof["type"] | undefined;
  #lastError = "";
  #warnedMs = Number.NEGATIVE_INFINITY;
  #renewals = 0;
  #failures = 0;
  /** The last that was issued, expired or not. */
  #last: OwnSvid | undefined;
  /** `KeptIdentity.tokenDigest` */
  #settledToken: string | undefined;
  /** What we are was kept from before, and it is not settled whether the token of now says the same. */
  #isKept: boolean;

  constructor(options: AuthorityIdentityOptions) {
    this.#options = options;
    const { kept = NO_IDENTITY } = options;
    this.#last = kept.svid;
    this.#settledToken = options.kept?.tokenDigest;
    this.#isKept = options.kept !== undefined;
    const isGood = kept.svid !== undefined && kept.svid.validToMs > options.clock.wallNow();
    this.live = new Live<Identity>(isGood ? kept : { svid: undefined, bundles: kept.bundles });
    this.#renewal = new SvidRenewal({
      clock: options.clock,
      random: options.random,
      request: () => void this.#request(),
      onExpired: () => this.#expired(),
      ...(options.renewAtPercent !== undefined && { renewAtPercent: options.renewAtPercent }),
    });
  }

  get state(): IdentityState {
    return {
      state: this.#renewal.state.type,
      lastError: this.#lastError,
      renewals: this.#renewals,
      failures: this.#failures,
    };
  }

  start(): void {
    this.#renewal.start(this.live.current.svid);
  }

  close(): void {
    this.#renewal.close();
  }

  /** The authority told of its bundles by itself. */
  receiveBundles(bundles: readonly TrustBundle[]): void {
    const { svid, bundles: before } = this.live.current;
    if (sameBundles(bundles, before)) return;
    if (svid !== undefined && bundles[0]?.trustDomain !== svid.trustDomain) {
      this.#options.log.error(
        "the authority's trust bundles are of another trust domain than ours; they are not used",
        {
          ours: svid.trustDomain,
        },
      );
      return;
    }
    this.#publish({ svid, bundles });
  }

  async #request(): Promise<void> {
    const proof = this.#nextProof();
    if (!proof.ok) {
      // Never from within `request`.
      await Promise.resolve();
      this.#failed(proof.error);
      return;
    }
    this.#lastProof = proof.value.type;
    this.#key ??= newWorkloadKey();
    const key = this.#key;
    const tokenDigest = proof.value.type === "token" ? digestOf(proof.value.token) : undefined;
    // Of whom a new token speaks the authority knows alone.
    const before = this.#isNew(tokenDigest) ? undefined : this.#last?.id;
    const id = before === undefined ? undefined : parseSpiffeId(before);
    const issued = await this.#options.issue(
      certificateRequest(key, id?.ok === true ? id.value : undefined),
      proof.value,
    );
    if (!issued.ok) {
      if (issued.error.isRefused) this.#settle(tokenDigest);
      this.#failed(issued.error.reason);
      return;
    }
    const { chain, bundles } = issued.value;
    const svid = checkOwnSvid(
      { chain, key: key.privateKey, bundles: bundles.slice(0, 1) },
      this.#options.clock.wallNow(),
      before,
    );
    if (!svid.ok) {
      this.#key = undefined;
      this.#failed(`what it has issued is of no use: ${svid.error}`);
      return;
    }
    this.#key = undefined;
    this.#settle(tokenDigest);
    if (this.#last !== undefined && this.#last.id !== svid.value.id)
      this.#options.log.warn("the token is of another identity than the one that was kept, which is given up", {
        kept: this.#last.id,
        id: svid.value.id,
      });
    this.#last = svid.value;
    this.#lastError = "";
    this.#lastProof = undefined;
    this.#renewals += 1;
    this.#warnedMs = Number.NEGATIVE_INFINITY;
    this.#options.log.info("the authority has issued a certificate", {
      id: svid.value.id,
      expires: new Date(svid.value.validToMs).toISOString(),
    });
    this.#publish({ svid: svid.value, bundles });
    this.#renewal.issued(svid.value);
  }

  #nextProof(): Result<CallerProof, string> {
    const fresh = this.#newToken();
    if (fresh !== undefined && (this.#lastProof !== "token" || this.#renewal.failures < TOKEN_FIRST_ATTEMPTS))
      return { ok: true, value: { type: "token", token: fresh } };
    const svid = this.#last;
    const bySvid: Result<CallerProof, string> | undefined =
      svid === undefined ? undefined : { ok: true, value: { type: "svid", svid } };
    if (bySvid !== undefined && this.#lastProof !== "svid") return bySvid;
    const token = this.#options.token();
    if (token.ok && token.value !== undefined) return { ok: true, value: { type: "token", token: token.value } };
    if (bySvid !== undefined) return bySvid;
    return token.ok ? { ok: false, error: "there is neither a certificate nor a token to prove who we are" } : token;
  }

  #newToken(): string | undefined {
    if (!this.#isKept) return undefined;
    const token = this.#options.token();
    return token.ok && token.value !== undefined && this.#isNew(digestOf(token.value)) ? token.value : undefined;
  }

  #isNew(tokenDigest: string | undefined): boolean {
    return this.#isKept && tokenDigest !== undefined && tokenDigest !== this.#settledToken;
  }

  /** The authority has said what it makes of a token. */
  #settle(tokenDigest: string | undefined): void {
    if (tokenDigest === undefined) return;
    this.#settledToken = tokenDigest;
    this.#isKept = false;
  }

  #failed(reason: string): void {
    const { clock, log } = this.#options;
    this.#failures += 1;
    this.#lastError = reason;
    this.#renewal.failed();
    const nowMs = clock.now();
    const { svid } = this.live.current;
    const fields = { reason, ...(svid && { expires: new Date(svid.validToMs).toISOString() }) };
    if (nowMs - this.#warnedMs < WARN_EVERY_MS) {
      log.debug("no certificate was issued", fields);
      return;
    }
    this.#warnedMs = nowMs;
    if (svid === undefined) log.error("there is no certificate: nobody can be shown who this sidecar is", fields);
    else log.warn("the certificate cannot be renewed; it serves until it expires", fields);
  }

  #expired(): void {
    this.#warnedMs = Number.NEGATIVE_INFINITY;
    this.#options.log.error(
      "the certificate has expired: connections that need it are refused until there is another",
      {
        reason: this.#lastError,
      },
    );
    this.live.publish({ svid: undefined, bundles: this.live.current.bundles });
  }

  #publish(identity: Identity): void {
    const kept = this.#options.keep?.(identity, this.#settledToken);
    if (kept?.ok === false) this.#options.log.error("the certificate cannot be kept", { reason: kept.error });
    this.live.publish(identity);
  }
}

/** A token is told from others by it, and not guessed. */
function digestOf(token: string): string {
  return hash("sha256", token, "hex");
}

export function sameBundles(a: readonly TrustBundle[], b: readonly TrustBundle[]): boolean {
  return a.length === b.length && a.every((bundle, index) => sameBundle(bundle, b[index]!)); // of equal length
}

function sameBundle(a: TrustBundle, b: TrustBundle): boolean {
  return (
    a.trustDomain === b.trustDomain &&
    a.x509Authorities.length === b.x509Authorities.length &&
    a.x509Authorities.every((der, index) => Buffer.compare(der, b.x509Authorities[index]!) === 0)
  );
}
