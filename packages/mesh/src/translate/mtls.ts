import { isIP } from "node:net";
import { formatSpiffeId } from "@heddle/identity";
import type {
  CommonTlsConfig,
  DownstreamTlsConfig,
  EndpointConfig,
  TransportSocketMatch,
  UpstreamTlsConfig,
} from "@heddle/traffic";
import type { Service, ServicePort } from "../model/service.ts";
import type { Workload } from "../model/workload.ts";
import { meshServerName } from "./names.ts";

/** Whom the mesh's own certificates stand for. */
export interface MeshTrust {
  /** Of the mesh's own authority; lower case. */
  readonly trustDomain: string;
  /** Others whose names mean the same in policies: one that the mesh had before, say. */
  readonly aliases?: readonly string[];
}

/** The name of every process that runs as that account of that namespace. */
export function spiffeIdOf(
  { namespace, serviceAccount }: Pick<Workload, "namespace" | "serviceAccount">,
  { trustDomain }: MeshTrust,
): string {
  return formatSpiffeId({ trustDomain, path: `/ns/${namespace}/sa/${serviceAccount}` });
}

/** Each once, in their order: whom a caller of a service may find there. */
export function identitiesOf(workloads: readonly Workload[], trust: MeshTrust): readonly string[] {
  return [...new Set(workloads.map((workload) => spiffeIdOf(workload, trust)))].sort();
}

/** The sidecar's own secrets, by the names that SPIRE's and Istio's agents have for them too: its agent supplies them. */
const OWN_CERTIFICATE = "default";
const TRUST_BUNDLES = "ROOTCA";

/** What endpoints say that take mutual TLS, and what clusters look for (Envoy's `transport_socket_matches`). */
const TLS_MODE = { tlsMode: "heddle" };

export function mtlsMetadata(identity: string, h2: boolean): EndpointConfig["metadata"] {
  return { heddle: { ...(h2 && { h2 }), identity }, "envoy.transport_socket_match": TLS_MODE };
}

/**
 * Mutual TLS to the endpoints that take it, plaintext to the others. Whoever answers there has to be one of those that
 * the service's workloads are.
 *
 * @param identities see `identitiesOf`.
 */
export function mtlsMatches(
  service: Service,
  port: ServicePort,
  identities: readonly string[],
  trust: MeshTrust,
): readonly TransportSocketMatch[] {
  return [
    { name: "mtls", match: TLS_MODE, tls: mtlsTo(service, port, identities, trust) },
    { name: "plaintext", match: {} },
  ];
}

/** Whether an endpoint takes mutual TLS. */
export function takesMtls({ metadata }: EndpointConfig): boolean {
  return metadata["envoy.transport_socket_match"] !== undefined;
}

/** Mutual TLS to whoever of a service's workloads answers. */
export function mtlsTo(
  service: Service,
  port: ServicePort,
  identities: readonly string[],
  { trustDomain }: MeshTrust,
): UpstreamTlsConfig {
  // No matcher at all would believe anybody. Nobody has the name of the trust domain itself (X509-SVID §3.1 of a leaf).
  const names = identities.length > 0 ? identities : [formatSpiffeId({ trustDomain, path: "" })];
  const sanMatchers = names.map(
    (value) => ({ type: "URI", oid: "", matcher: { type: "exact", value, ignoreCase: false } }) as const,
  );
  return {
    // What is offered by ALPN is what is about to be spoken: each proxy knows it by itself.
    common: { ...COMMON, validation: { ...NO_VALIDATION, sanMatchers }, alpnProtocols: [] },
    sni: meshServerName(service, port),
    autoHostSni: false,
    autoSniSanValidation: false,
    maxSessionKeys: 1,
  };
}

/**
 * The end of mutual TLS before a workload: whoever the bundles attest may connect, of other trust domains too where the mesh
 * is federated. Who may do what is for authorization policies.
 */
export function mtlsTermination(alpnProtocols: readonly string[]): DownstreamTlsConfig {
  return {
    common: { ...COMMON, validation: NO_VALIDATION, alpnProtocols },
    requireClientCertificate: true,
    requireSni: false,
    disableStatelessSessionResumption: false,
    sessionTimeoutSeconds: undefined,
    fullScanCertsOnSniMismatch: false,
    preferClientCiphers: false,
  };
}

/** TLS to somebody on the internet: whoever the system's authorities attest under that name. */
export function publicTls(host: string): UpstreamTlsConfig {
  const address = isIP(host) !== 0;
  const type = address ? "IP_ADDRESS" : "DNS";
  const sanMatchers = [{ type, oid: "", matcher: { type: "exact", value: host, ignoreCase: false } } as const];
  return {
    common: {
      params: PARAMS,
      certificates: [],
      validation: { ...NO_VALIDATION, systemRoots: true, sanMatchers },
      alpnProtocols: [],
    },
    sni: address ? "" : host, // RFC 6066 §3: no address is a server name
    autoHostSni: false,
    autoSniSanValidation: false,
    maxSessionKeys: 1,
  };
}

// Written out: an Envoy as a client goes no further than 1.2 by itself in older versions.
const PARAMS: CommonTlsConfig["params"] = {
  minimumVersion: "TLSv1_2",
  maximumVersion: "TLSv1_3",
  cipherSuites: [],
  ecdhCurves: [],
  signatureAlgorithms: [],
};

const COMMON: Omit<CommonTlsConfig, "alpnProtocols"> = {
  params: PARAMS,
  certificates: [],
  certificateSecrets: [{ from: "static", name: OWN_CERTIFICATE }],
  validation: undefined,
  validationSecret: { from: "static", name: TRUST_BUNDLES },
};

/** What stands beside the secret (`combined_validation_context`). */
const NO_VALIDATION: NonNullable<CommonTlsConfig["validation"]> = {
  trustedCa: undefined,
  systemRoots: false,
  crl: undefined,
  sanMatchers: [],
  spkiHashes: [],
  certificateHashes: [],
  trustChainVerification: "VERIFY_TRUST_CHAIN",
};
