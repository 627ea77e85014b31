import type { LogCommand } from "./access-log-command-type.ts";
import type { AccessLogSource, CertificateToLog, TlsToLog } from "./access-log-source.ts";

/*
 * Commands of TLS: `%DOWNSTREAM_TLS_VERSION%`, `%UPSTREAM_PEER_SUBJECT%` … (Envoy: config/advanced/substitution_formatter). They
 * are undefined, "-", where there was no TLS or the certificate does not have it.
 */

type OfTls = (tls: TlsToLog) => string | undefined;

const SANS = {
  DNS: ({ dnsSans }: CertificateToLog) => dnsSans,
  URI: ({ uriSans }: CertificateToLog) => uriSans,
  EMAIL: ({ emailSans }: CertificateToLog) => emailSans,
  IP: ({ ipSans }: CertificateToLog) => ipSans,
  OTHERNAME: (): readonly string[] => [], // not read
};

const OF_TLS: Readonly<Record<string, OfTls>> = {
  TLS_VERSION: ({ version }) => version,
  TLS_CIPHER: ({ cipher }) => cipher,
  TLS_GROUP: ({ group }) => group,
  TLS_SESSION_ID: ({ sessionId }) => sessionId,
  PEER_SUBJECT: ({ peer }) => peer?.subject,
  PEER_ISSUER: ({ peer }) => peer?.issuer,
  PEER_CERT: ({ peer }) => peer && encodeURIComponent(peer.pem),
  ...sansOf("PEER", ({ peer }) => peer, ["DNS", "URI", "IP"]),
  ...sansOf("LOCAL", ({ local }) => local, ["DNS", "URI", "IP"]),
};

const OF_DOWNSTREAM_TLS: Readonly<Record<string, OfTls>> = {
  ...sansOf("PEER", ({ peer }) => peer, ["EMAIL", "OTHERNAME"]),
  ...sansOf("LOCAL", ({ local }) => local, ["EMAIL", "OTHERNAME"]),
  LOCAL_SUBJECT: ({ local }) => local?.subject,
  PEER_FINGERPRINT_256: ({ peer }) => peer?.fingerprintSha256,
  PEER_FINGERPRINT_1: ({ peer }) => peer?.fingerprintSha1,
  PEER_SERIAL: ({ peer }) => peer?.serialNumber,
  PEER_CHAIN_FINGERPRINTS_256: ({ peerChain }) => joined(peerChain.map(({ fingerprintSha256 }) => fingerprintSha256)),
  PEER_CHAIN_FINGERPRINTS_1: ({ peerChain }) => joined(peerChain.map(({ fingerprintSha1 }) => fingerprintSha1)),
  PEER_CHAIN_SERIALS: ({ peerChain }) => joined(peerChain.map(({ serialNumber }) => serialNumber)),
  PEER_ISSUER_FINGERPRINT_256: ({ peerChain }) => peerChain[1]?.fingerprintSha256,
  PEER_ISSUER_SERIAL: ({ peerChain }) => peerChain[1]?.serialNumber,
};

function sansOf(
  whose: "PEER" | "LOCAL",
  certificate: (tls: TlsToLog) => CertificateToLog | undefined,
  kinds: readonly (keyof typeof SANS)[],
): Record<string, OfTls> {
  return Object.fromEntries(
    kinds.map((kind) => [
      `${whose}_${kind}_SAN`,
      (tls: TlsToLog): string | undefined => {
        const found = certificate(tls);
        return found && joined(SANS[kind](found));
      },
    ]),
  );
}

function commands(
  side: "DOWNSTREAM" | "UPSTREAM",
  tlsOf: (source: AccessLogSource) => TlsToLog | undefined,
  all: Readonly<Record<string, OfTls>>,
): Record<string, LogCommand> {
  return Object.fromEntries(
    Object.entries(all).map(([name, of]) => [
      `${side}_${name}`,
      (source: AccessLogSource): string | undefined => {
        const tls = tlsOf(source);
        return (tls && of(tls)) || undefined;
      },
    ]),
  );
}

export const OF_TLS_CONNECTIONS: Readonly<Record<string, LogCommand>> = {
  ...commands("DOWNSTREAM", ({ downstreamTls }) => downstreamTls, { ...OF_TLS, ...OF_DOWNSTREAM_TLS }),
  ...commands("UPSTREAM", ({ upstreamTls }) => upstreamTls, OF_TLS),
  UPSTREAM_SERVER_NAME: ({ upstreamTls }) => upstreamTls?.serverName || undefined,
  DOWNSTREAM_TRANSPORT_FAILURE_REASON: (s) => underscored(s.downstreamTransportFailureReason),
  DOWNSTREAM_HANDSHAKE_DURATION: () => undefined, // not measured
};

function joined(values: readonly string[]): string {
  return values.join(",");
}

/** A reason as one word, as Envoy logs it. Undefined for none. */
export function underscored(reason: string): string | undefined {
  return reason === "" ? undefined : reason.replaceAll(" ", "_");
}
