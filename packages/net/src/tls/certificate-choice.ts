import type { X509Certificate } from "node:crypto";
import type { SecureContext } from "node:tls";
import { Certificate } from "@heddle/identity";
import { leafOf, type TlsCertificate } from "./secure-context.ts";

/**
 * Which certificates a server shows to whom. As in Envoy (arch_overview_ssl_cert_select) those that stand for the name that the
 * client asks for: its own name first, then a wildcard; of these the first for each type of key, of which OpenSSL takes what the
 * client can verify. Who asks for another name, or for none, gets the first certificate.
 */
export class CertificateChoice {
  /** For those whose name nobody stands for. */
  readonly fallback: SecureContext;
  /** By name, and by ".example.com" for "*.example.com". Empty: everybody gets the same. */
  readonly #byName: ReadonlyMap<string, SecureContext>;

  /** `scansAll`: who gets the first certificate gets the first for each type of key. */
  constructor(
    certificates: readonly TlsCertificate[],
    scansAll: boolean,
    make: (certificates: readonly TlsCertificate[]) => SecureContext,
  ) {
    const candidates = certificates.map((certificate) => new Candidate(certificate));
    const made = new Map<string, SecureContext>();
    const contextOf = (chosen: readonly Candidate[]): SecureContext => {
      const one = firstOfEachType(chosen);
      const key = one.map((candidate) => candidates.indexOf(candidate)).join();
      const context = made.get(key) ?? make(one.map(({ certificate }) => certificate));
      made.set(key, context);
      return context;
    };
    this.fallback = contextOf(scansAll ? candidates : candidates.slice(0, 1));
    const names = new Set(candidates.length === 1 ? [] : candidates.flatMap((candidate) => candidate.names));
    this.#byName = new Map(
      [...names].map((name) => [name, contextOf(candidates.filter((candidate) => candidate.names.includes(name)))]),
    );
  }

  get asksForName(): boolean {
    return this.#byName.size > 0;
  }

  /** The context for the name that a client asks for. */
  of(serverName: string): SecureContext {
    const name = serverName.toLowerCase();
    const dot = name.indexOf(".");
    return this.#byName.get(name) ?? (dot > 0 ? this.#byName.get(name.slice(dot)) : undefined) ?? this.fallback;
  }
}

class Candidate {
  readonly certificate: TlsCertificate;
  readonly names: readonly string[];
  readonly keyType: string;

  constructor(certificate: TlsCertificate) {
    this.certificate = certificate;
    const leaf = leafOf(certificate);
    this.keyType = leaf.publicKey.asymmetricKeyType ?? "";
    this.names = namesOf(leaf);
  }
}

/** The DNS names, or the common name where there are none. */
function namesOf(leaf: X509Certificate): readonly string[] {
  const { dnsSans, commonName } = new Certificate(leaf.raw);
  const names = dnsSans.length > 0 ? dnsSans : [commonName];
  return names.flatMap((name) => {
    const lower = name.toLowerCase();
    if (!lower.includes("*")) return lower === "" ? [] : [lower];
    return /^\*\.[^*]+$/.test(lower) ? [lower.slice(1)] : [];
  });
}

function firstOfEachType(candidates: readonly Candidate[]): readonly Candidate[] {
  const seen = new Set<string>();
  return candidates.filter(({ keyType }) => !seen.has(keyType) && seen.add(keyType));
}
