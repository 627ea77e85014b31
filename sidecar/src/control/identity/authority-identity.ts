import { type Clock, Live, type Result } from "@heddle/base";
import {
  certificateRequest,
  newWorkloadKey,
  parseSpiffeId,
  type TrustBundle,
  type WorkloadKey,
} from "@heddle/identity";
import type { Log } from "@heddle/telemetry";
import type { CallerProof } from "./authority-client.ts";
import type { Issued } from "./authority-wire.ts";
import { checkOwnSvid } from "./check-svid.ts";
import { type Identity, type IdentitySource, type IdentityState, NO_IDENTITY, type OwnSvid } from "./own-identity.ts";
import { SvidRenewal } from "./svid-renewal.ts";

export interface AuthorityIdentityOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 (included) to 1 (excluded). */
  readonly random: () => number;
  /** Has a key signed by the authority. Never rejects. */
  readonly issue: (csr: Uint8Array, proof: CallerProof) => Promise<Result<Issued, string>>;
  /** The token of this moment; undefined where none is configured. */
  readonly token: () => Result<string | undefined, string>;
  /** What was kept from before; its certificate may have expired. */
  readonly kept: (Identity & { readonly svid: OwnSvid }) | undefined;
  /** Keeps what has been issued. Left out: it ends with the process. */
  readonly keep?: (identity: Identity) => Result<void, string>;
  /** `SvidRenewalOptions` */
  readonly renewAtPercent?: number;
}

/** While renewing fails, how often the log says so. */
const WARN_EVERY_MS = 5 * 60_000;

/**
 * An identity from the mesh's own authority: a key that never leaves this process (but for the file that may keep it), signed for
 * a token at first and for the certificate that it has from then on. Each renewal makes a new key. Where a renewal by the
 * certificate fails, the token is tried as well, in turn: the authority may have forgotten who we are. A certificate that has
 * expired is shown to nobody but the authority, which may take it for a while (its `--renewal-grace`).
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

  constructor(options: AuthorityIdentityOptions) {
    this.#options = options;
    const { kept = NO_IDENTITY } = options;
    this.#last = kept.svid;
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
    const id = this.#last && parseSpiffeId(this.#last.id);
    const issued = await this.#options.issue(
      certificateRequest(key, id?.ok === true ? id.value : undefined),
      proof.value,
    );
    if (!issued.ok) {
      this.#failed(issued.error);
      return;
    }
    const { chain, bundles } = issued.value;
    const svid = checkOwnSvid(
      { chain, key: key.privateKey, bundles: bundles.slice(0, 1) },
      this.#options.clock.wallNow(),
      this.#last?.id,
    );
    if (!svid.ok) {
      this.#key = undefined;
      this.#failed(`what it has issued is of no use: ${svid.error}`);
      return;
    }
    this.#key = undefined;
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
    const svid = this.#last;
    const bySvid: Result<CallerProof, string> | undefined =
      svid === undefined ? undefined : { ok: true, value: { type: "svid", svid } };
    if (bySvid !== undefined && this.#lastProof !== "svid") return bySvid;
    const token = this.#options.token();
    if (token.ok && token.value !== undefined) return { ok: true, value: { type: "token", token: token.value } };
    if (bySvid !== undefined) return bySvid;
    return token.ok ? { ok: false, error: "there is neither a certificate nor a token to prove who we are" } : token;
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
    const kept = this.#options.keep?.(identity);
    if (kept?.ok === false) this.#options.log.error("the certificate cannot be kept", { reason: kept.error });
    this.live.publish(identity);
  }
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
