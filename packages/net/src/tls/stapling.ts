import type { SecureContext } from "node:tls";
import { Certificate } from "@heddle/identity";
import { isAbout, parseOcspResponse } from "./ocsp-response.ts";
import { leafOf, type TlsCertificate } from "./secure-context.ts";

/** `DownstreamTlsContext.ocsp_staple_policy` */
export type StaplePolicy = "LENIENT_STAPLING" | "STRICT_STAPLING" | "MUST_STAPLE";

interface Staple {
  readonly response: Buffer | undefined;
  /** Wall time; 0 without a response. */
  readonly goodUntilMs: number;
  /** The certificate itself asks for one (RFC 7633). */
  readonly isRequired: boolean;
}

/** What is told of our own certificates to clients that ask whether these have been revoked (RFC 6066 §8). */
export class Stapling {
  readonly #policy: StaplePolicy;
  readonly #staples = new Map<SecureContext, Staple>();

  constructor(policy: StaplePolicy) {
    this.#policy = policy;
  }

  /** Whether there is anything to tell, or to refuse. */
  get isNeeded(): boolean {
    return this.#policy === "MUST_STAPLE" || [...this.#staples.values()].some((one) => one.response || one.isRequired);
  }

  /**
   * What goes with a context. Of several certificates, one for each type of key, OpenSSL does not say which it will show, so
   * then there is none.
   */
  add(context: SecureContext, certificates: readonly TlsCertificate[]): void {
    const [certificate, ...more] = certificates;
    const shown = more.length === 0 ? certificate : undefined;
    const parsed = shown?.ocspStaple && parseOcspResponse(shown.ocspStaple);
    const isGood = shown !== undefined && parsed && "nextUpdateMs" in parsed && isAbout(parsed, leafOf(shown));
    this.#staples.set(context, {
      response: isGood && shown.ocspStaple ? Buffer.from(shown.ocspStaple) : undefined,
      goodUntilMs: isGood ? parsed.nextUpdateMs : 0,
      isRequired: certificates.some(mustStaple),
    });
  }

  /** For a client that asks. "none": it goes without. "refuse": as in Envoy the handshake fails. */
  answer(context: SecureContext, nowMs: number): Buffer | "none" | "refuse" {
    const staple = this.#staples.get(context);
    if (staple === undefined) return "none";
    const { response, goodUntilMs, isRequired } = staple;
    if (response !== undefined && nowMs < goodUntilMs) return response;
    if (isRequired || this.#policy === "MUST_STAPLE") return "refuse";
    return this.#policy === "STRICT_STAPLING" && response !== undefined ? "refuse" : "none";
  }
}

/** RFC 7633: the TLS feature status_request. */
export function mustStaple(certificate: TlsCertificate): boolean {
  const { extensions } = new Certificate(leafOf(certificate).raw);
  const feature = extensions.find(({ oid }) => oid === "1.3.6.1.5.5.7.1.24");
  return feature !== undefined && Buffer.from(feature.value).includes(Buffer.from([0x02, 0x01, 0x05]));
}
