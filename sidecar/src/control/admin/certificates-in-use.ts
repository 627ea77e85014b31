import type { Json } from "@heddle/base";
import type { ProxyConfig } from "@heddle/config";
import { certificatesInPem } from "@heddle/identity";
import type { CertificateFacts } from "@heddle/net";
import { type AdminPage, jsonAnswer } from "@heddle/telemetry/admin";
import {
  type CommonTlsConfig,
  type DataConfig,
  type DownstreamTlsConfig,
  type UpstreamTlsConfig,
  withSecrets,
} from "@heddle/traffic";

/**
 * The certificates that serving listeners and clusters show and trust, for `/certs` and for the gauge that warns before one
 * expires. Keys are never looked at; what the system trusts (`system_root_certs`) is not ours to watch.
 */
export class CertificatesInUse {
  readonly #config: () => ProxyConfig;
  readonly #wallNowMs: () => number;
  /** What was read does not change, so its PEM is looked into once. */
  readonly #read = new WeakMap<DataConfig, readonly ShownCertificate[]>();

  constructor(config: () => ProxyConfig, wallNowMs: () => number) {
    this.#config = config;
    this.#wallNowMs = wallNowMs;
  }

  /** `envoy.admin.v3.Certificates`: one entry for each different context of TLS. */
  page(): AdminPage {
    const nowMs = this.#wallNowMs;
    return {
      path: "/certs",
      method: "GET",
      help: "certificates in use",
      answer: () => {
        const entries = new Map(
          this.#contexts().map(({ authorities, chain }) => {
            const entry = {
              ca_cert: authorities.map((shown) => details(shown, nowMs())),
              cert_chain: chain.map((shown) => details(shown, nowMs())),
            };
            return [JSON.stringify(entry), entry];
          }),
        );
        return jsonAnswer({ certificates: [...entries.values()] });
      },
    };
  }

  /** Whole days; 0 where one has expired, Envoy's 2^32 - 1 where there is none. */
  daysUntilFirstExpires(): number {
    const nowMs = this.#wallNowMs();
    let days = NEVER;
    for (const { firstExpiryMs } of this.#contexts()) days = Math.min(days, daysUntil(firstExpiryMs, nowMs));
    return days;
  }

  #contexts(): readonly TlsContext[] {
    const { listeners, clusters, secrets } = this.#config();
    const configs: (DownstreamTlsConfig | UpstreamTlsConfig | undefined)[] = [];
    for (const { filterChains, defaultFilterChain } of listeners.values()) {
      for (const { tls } of filterChains) configs.push(tls);
      configs.push(defaultFilterChain?.tls);
    }
    for (const { tls, transportSocketMatches = [] } of clusters.values()) {
      configs.push(tls);
      for (const match of transportSocketMatches) configs.push(match.tls);
    }
    return configs
      .filter((config) => config !== undefined)
      .map((config) => this.#contextOf(complete(config, secrets)))
      .filter(({ authorities, chain }) => authorities.length + chain.length > 0);
  }

  #contextOf({ certificates, validation }: CommonTlsConfig): TlsContext {
    const { trustedCa, spiffe } = validation ?? {};
    const trusted = spiffe === undefined ? [trustedCa] : spiffe.trustDomains.map(({ bundle }) => bundle);
    const authorities = trusted.flatMap((data) => this.#certificatesOf(data));
    const chain = certificates.flatMap(({ certificateChain }) => this.#certificatesOf(certificateChain));
    const expiries = [...authorities, ...chain].map(({ facts }) => facts.validToMs || 0); // no date that can be read: now
    return { authorities, chain, firstExpiryMs: Math.min(...expiries) };
  }

  #certificatesOf(data: DataConfig | undefined): readonly ShownCertificate[] {
    if (data === undefined) return [];
    let read = this.#read.get(data);
    if (read === undefined) {
      const path = data.source === "filename" ? data.name : "<inline>";
      read = certificatesInPem(data.content ?? "").map((facts) => ({ path, facts }));
      this.#read.set(data, read);
    }
    return read;
  }
}

/** With what its secrets hold; where one is missing or of no use, what stands in the context itself. */
function complete(config: DownstreamTlsConfig | UpstreamTlsConfig, secrets: ProxyConfig["secrets"]): CommonTlsConfig {
  try {
    return (withSecrets(config, (key) => secrets.get(key)) ?? config).common;
  } catch {
    return config.common;
  }
}

const NEVER = 2 ** 32 - 1;
const DAY_MS = 24 * 60 * 60 * 1000;

interface TlsContext {
  readonly authorities: readonly ShownCertificate[];
  readonly chain: readonly ShownCertificate[];
  /** Wall time. */
  readonly firstExpiryMs: number;
}

interface ShownCertificate {
  /** Of its file, or "<inline>". */
  readonly path: string;
  readonly facts: CertificateFacts;
}

/** `envoy.admin.v3.CertificateDetails`; numbers of 64 bits are text in JSON. */
function details({ path, facts }: ShownCertificate, nowMs: number): Json {
  const { serialNumber, dnsSans, uriSans, ipSans, validFromMs, validToMs } = facts;
  return {
    path,
    serial_number: serialNumber,
    subject_alt_names: [
      ...dnsSans.map((dns) => ({ dns })),
      ...uriSans.map((uri) => ({ uri })),
      ...ipSans.map((ip_address) => ({ ip_address })),
    ],
    days_until_expiration: String(daysUntil(validToMs || 0, nowMs)),
    ...(!Number.isNaN(validFromMs) && { valid_from: timestamp(validFromMs) }),
    ...(!Number.isNaN(validToMs) && { expiration_time: timestamp(validToMs) }),
  };
}

function daysUntil(expiryMs: number, nowMs: number): number {
  return Math.max(0, Math.floor((expiryMs - nowMs) / DAY_MS));
}

/** Whole seconds: certificates know no others. */
function timestamp(wallMs: number): string {
  return new Date(wallMs).toISOString().replace(".000Z", "Z");
}
