import { Backoff, type Clock, Live, type Timer } from "@heddle/base";
import { Certificate, certificateRequest, newWorkloadKey, privateKeyPem, type SpiffeId } from "@heddle/identity";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { MeshAuthority } from "./mesh-authority.ts";
import type { ServerNames } from "./signer.ts";

/** A certificate with its key, for TLS. */
export interface TlsIdentity {
  /** PEM: the leaf, and what leads to the authority. */
  readonly certificateChain: string;
  /** PEM. A secret. */
  readonly privateKey: string;
  readonly notAfterMs: number;
}

export interface OwnSvidOptions {
  readonly authority: MeshAuthority;
  readonly spiffeId: SpiffeId;
  readonly names: ServerNames;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
}

const RETRY = { baseMs: 500, maxMs: 30_000 };
/** A certificate of a second is renewed at half of it; timers are not to run without a pause. */
const MIN_WAIT_MS = 250;
/** The wall clock may be set meanwhile; and a key that is an hour old is a small loss. */
const MAX_WAIT_MS = 3_600_000;

/**
 * The control plane's own SVID: a new key and a new certificate at half the life of the last one or after an hour, and whenever something else
 * signs. Undefined while there is none that is good: then nobody is let in over TLS.
 */
export class OwnSvid {
  readonly current = new Live<TlsIdentity | undefined>(undefined);
  readonly #options: OwnSvidOptions;
  readonly #backoff = new Backoff(RETRY);
  readonly #unwatch: () => void;
  #signer: string | undefined;
  #timer: Timer | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: OwnSvidOptions) {
    this.#options = options;
    const secondsLeft = options.metrics.scope("ca").gauge("own_certificate_seconds_left");
    this.current.watch((next) =>
      secondsLeft.set(next === undefined ? 0 : Math.round((next.notAfterMs - options.clock.wallNow()) / 1000)),
    );
    this.#unwatch = options.authority.current.watch((next) => {
      if (next?.authority.certificate.fingerprintSha256 !== this.#signer) this.#renewSoon();
    });
  }

  /** Resolves when a certificate is there, or when it is known that none can be had now. */
  start(): Promise<void> {
    this.#renewSoon();
    return this.#turn;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#unwatch();
    this.#timer?.cancel();
    await this.#turn;
  }

  #renewSoon(): void {
    this.#timer?.cancel();
    this.#turn = this.#turn.then(() => this.#renew());
  }

  /** Never rejects. */
  async #renew(): Promise<void> {
    if (this.#isClosed) return;
    const { authority, spiffeId, names, clock, log } = this.#options;
    const signer = authority.current.current?.authority.certificate.fingerprintSha256;
    let waitMs: number;
    try {
      const key = newWorkloadKey();
      const request = await authority.readRequest(certificateRequest(key, spiffeId));
      const issued = request.ok ? await authority.issue(request.value, spiffeId, 0, names) : undefined;
      if (issued === undefined) throw new Error("there is no authority to sign it");
      this.#signer = signer;
      this.current.publish({
        certificateChain: issued.chain.map((der) => new Certificate(der).pem).join(""),
        privateKey: privateKeyPem(key),
        notAfterMs: issued.notAfterMs,
      });
      this.#backoff.reset();
      waitMs = (issued.notAfterMs - clock.wallNow()) / 2;
    } catch (error) {
      log.warn("the control plane has no new certificate of its own", { why: (error as Error).message });
      const { current } = this.current;
      if (current !== undefined && clock.wallNow() >= current.notAfterMs) this.current.publish(undefined);
      waitMs = this.#backoff.nextMs();
    }
    if (this.#isClosed) return;
    this.#timer?.cancel();
    this.#timer = clock.after(Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, waitMs)), () => this.#renewSoon(), true);
  }
}
