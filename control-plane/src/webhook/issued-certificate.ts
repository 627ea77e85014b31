import { Backoff, type Clock, err, Live, ok, type Result, readSmallFile, type Timer } from "@heddle/base";
import { certificateRequest, newWorkloadKey, privateKeyPem } from "@heddle/identity";
import type { Log } from "@heddle/telemetry";
import type { TlsIdentity } from "../ca/own-svid.ts";
import { MAX_TOKEN_BYTES } from "../ca/token-review.ts";
import type { HostPort } from "../serve/address.ts";
import type { AuthorityAnswer, AuthorityCall } from "./ask-authority.ts";
import { readAuthorities, type ServingCertificate } from "./serving-certificate.ts";

export interface IssuedCertificateOptions {
  /** Of the control plane, by TLS. */
  readonly controlPlane: HostPort;
  /** PEM: by whom it is known; read anew for each call, as whoever mounts it may replace it. */
  readonly caFile: string;
  /** Of our service account; read anew for each call, as Kubernetes replaces it. */
  readonly tokenFile: string;
  /** `askAuthority` */
  readonly ask: (call: AuthorityCall) => Promise<Result<AuthorityAnswer, string>>;
  readonly clock: Clock;
  readonly log: Log;
}

const RETRY = { baseMs: 500, maxMs: 30_000 };
const MIN_WAIT_MS = 250;
/** Each answer has the roots as well: a new one is published for the life of a certificate before it signs. */
const MAX_WAIT_MS = 3_600_000;
const MAX_CA_BYTES = 1024 * 1024;

/**
 * A serving certificate of the mesh's authority in another process: asked for with a service account's token, as a sidecar asks
 * for its first one, with a new key each time, at half of its life or after an hour. Which DNS names it has is for the control
 * plane to say (`--serving-names`), not for who asks.
 */
export class IssuedCertificate implements ServingCertificate {
  readonly identity = new Live<TlsIdentity | undefined>(undefined);
  readonly roots = new Live<string | undefined>(undefined);
  readonly #options: IssuedCertificateOptions;
  readonly #backoff = new Backoff(RETRY);
  #timer: Timer | undefined;
  #turn: Promise<void> = Promise.resolve();
  #isClosed = false;
  #fault = "";

  constructor(options: IssuedCertificateOptions) {
    this.#options = options;
  }

  /** Resolves when a certificate is there, or when it is known that none can be had now. */
  start(): Promise<void> {
    this.#turn = this.#renew();
    return this.#turn;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#turn;
  }

  /** Never rejects. */
  async #renew(): Promise<void> {
    const { clock, log } = this.#options;
    const key = newWorkloadKey();
    const answer = await this.#ask(certificateRequest(key, undefined));
    if (this.#isClosed) return;
    let waitMs: number;
    if (answer.ok) {
      const { certificateChain, roots, notAfterMs } = answer.value;
      this.#backoff.reset();
      this.#fault = "";
      // Roots first: whoever shows a certificate that nobody knows yet is not believed.
      if (roots !== this.roots.current) this.roots.publish(roots);
      this.identity.publish({ certificateChain, privateKey: privateKeyPem(key), notAfterMs });
      waitMs = Math.max(MIN_WAIT_MS, (notAfterMs - clock.wallNow()) / 2);
    } else {
      if (answer.error !== this.#fault) log.warn("the webhooks have no new certificate", { why: answer.error });
      this.#fault = answer.error;
      const { current } = this.identity;
      if (current !== undefined && clock.wallNow() >= current.notAfterMs) this.identity.publish(undefined);
      waitMs = this.#backoff.nextMs();
    }
    this.#timer = clock.after(
      Math.min(MAX_WAIT_MS, waitMs),
      () => {
        this.#turn = this.#renew();
      },
      true,
    );
  }

  async #ask(csr: Uint8Array): Promise<Result<AuthorityAnswer, string>> {
    const { controlPlane, caFile, tokenFile, ask, clock } = this.#options;
    const token = readText(tokenFile, MAX_TOKEN_BYTES);
    if (!token.ok) return token;
    const text = readText(caFile, MAX_CA_BYTES);
    const authorities = text.ok ? readAuthorities(text.value) : text;
    if (!authorities.ok) return err(`${caFile}: ${authorities.error}`);
    if (!/^[\w.~+/=-]+$/.test(token.value)) return err(`${tokenFile}: holds no token`);
    return ask({
      address: controlPlane,
      authorities: authorities.value ?? "",
      token: token.value,
      csr,
      wallNowMs: clock.wallNow(),
    });
  }
}

function readText(path: string, maxBytes: number): Result<string, string> {
  const bytes = readSmallFile(path, maxBytes);
  return bytes.ok ? ok(bytes.value.toString().trim()) : err(`${path}: ${bytes.error}`);
}
