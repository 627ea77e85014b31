import { nameFrom } from "../source/config-source.ts";
import type {
  CommonTlsConfig,
  DataConfig,
  DownstreamTlsConfig,
  SecretConfig,
  SecretReference,
  TlsValidationConfig,
  UpstreamTlsConfig,
} from "./tls-config.ts";

/** What a secret holds, by the key of its reference; undefined: it has not come. */
export type SecretLookup = (key: string) => SecretConfig | undefined;

/** Tells secrets apart: one of the bootstrap's, and those of several sources, may have the same name. */
export function secretKey({ from, name, source }: SecretReference): string {
  return `${from}/${nameFrom(name, source?.from)}`;
}

/** The secrets that a TLS context needs. */
export function secretsOf(config: DownstreamTlsConfig | UpstreamTlsConfig): readonly SecretReference[] {
  const { certificateSecrets = [], validationSecret } = config.common;
  const ticketKeys = "ticketKeys" in config && isReference(config.ticketKeys) ? [config.ticketKeys] : [];
  return [...certificateSecrets, ...(validationSecret === undefined ? [] : [validationSecret]), ...ticketKeys];
}

/**
 * The context with what its secrets hold in the places of their names. Undefined: one of them has not come. Throws where one
 * holds something else than it is needed for, or where all of it together would believe a name that nobody has attested.
 */
export function withSecrets<Config extends DownstreamTlsConfig | UpstreamTlsConfig>(
  config: Config,
  lookup: SecretLookup,
): Config | undefined {
  const references = secretsOf(config);
  if (references.length === 0) return config;
  if (references.some((reference) => lookup(secretKey(reference)) === undefined)) return undefined;
  const common = commonWithSecrets(config.common, lookup);
  if ("autoSniSanValidation" in config && config.autoSniSanValidation && !hasAuthorities(common.validation)) {
    throw new TypeError("auto_sni_san_validation needs a trusted_ca, and the secret has none");
  }
  if (!("ticketKeys" in config) || !isReference(config.ticketKeys)) return { ...config, common };
  return { ...config, common, ticketKeys: ticketKeysOf(config.ticketKeys, lookup) };
}

/** Whether it says by whom certificates have to be attested. */
export function hasAuthorities(config: TlsValidationConfig | undefined): boolean {
  return config !== undefined && (config.trustedCa !== undefined || config.systemRoots || config.spiffe !== undefined);
}

/** What it reads from elsewhere, or holds. */
export function validationDataOf(config: TlsValidationConfig | undefined): readonly DataConfig[] {
  const { trustedCa, crl, spiffe } = config ?? {};
  const bundles = spiffe?.trustDomains.map(({ bundle }) => bundle) ?? [];
  return [trustedCa, crl, ...bundles, spiffe?.bundleMap].filter((data) => data !== undefined);
}

function commonWithSecrets(
  { certificateSecrets = [], validationSecret, ...common }: CommonTlsConfig,
  lookup: SecretLookup,
): CommonTlsConfig {
  return {
    ...common,
    certificates: [
      ...common.certificates,
      ...certificateSecrets.map((reference) => {
        const secret = lookup(secretKey(reference));
        if (secret?.type !== "certificate") throw other(reference, "tls_certificate");
        return secret.certificate;
      }),
    ],
    validation:
      validationSecret === undefined
        ? common.validation
        : merged(common.validation, validationOf(validationSecret, lookup)),
  };
}

function validationOf(reference: SecretReference, lookup: SecretLookup): TlsValidationConfig {
  const secret = lookup(secretKey(reference));
  if (secret?.type !== "validation") throw other(reference, "validation_context");
  return secret.validation;
}

function ticketKeysOf(reference: SecretReference, lookup: SecretLookup): readonly DataConfig[] {
  const secret = lookup(secretKey(reference));
  if (secret?.type !== "ticket-keys") throw other(reference, "session_ticket_keys");
  return secret.keys;
}

/** As protobuf merges messages, which is what Envoy does: what is set replaces, lists are joined. */
function merged(standard: TlsValidationConfig | undefined, dynamic: TlsValidationConfig): TlsValidationConfig {
  const validation = standard === undefined ? dynamic : mergedValidations(standard, dynamic);
  // Each by itself may go without: only together they say whose names these are.
  if (!hasAuthorities(validation) && (validation.sanMatchers.length > 0 || validation.crl !== undefined)) {
    throw new TypeError("names and lists of revoked certificates need a trusted_ca, and the secret has none");
  }
  if (asksNoUri(validation)) throw new TypeError("of an SVID the URI alone is matched, and no name to match is one");
  return validation;
}

/** There are names to match, and not one that an SVID could have: everybody would be let in, or nobody. */
export function asksNoUri({ spiffe, sanMatchers }: TlsValidationConfig): boolean {
  return spiffe !== undefined && sanMatchers.length > 0 && sanMatchers.every(({ type }) => type !== "URI");
}

function mergedValidations(standard: TlsValidationConfig, dynamic: TlsValidationConfig): TlsValidationConfig {
  const maxVerifyDepth = dynamic.maxVerifyDepth ?? standard.maxVerifyDepth;
  const spiffe = dynamic.spiffe ?? standard.spiffe; // in an Any, which is never merged
  return {
    trustedCa: dynamic.trustedCa ?? standard.trustedCa,
    systemRoots: dynamic.systemRoots || standard.systemRoots,
    crl: dynamic.crl ?? standard.crl,
    sanMatchers: [...standard.sanMatchers, ...dynamic.sanMatchers],
    spkiHashes: [...standard.spkiHashes, ...dynamic.spkiHashes],
    certificateHashes: [...standard.certificateHashes, ...dynamic.certificateHashes],
    trustChainVerification:
      dynamic.trustChainVerification === "VERIFY_TRUST_CHAIN"
        ? standard.trustChainVerification
        : dynamic.trustChainVerification,
    ...((dynamic.onlyLeafCrl === true || standard.onlyLeafCrl === true) && { onlyLeafCrl: true }),
    ...(maxVerifyDepth !== undefined && { maxVerifyDepth }),
    ...(spiffe && { spiffe }),
  };
}

function isReference(keys: DownstreamTlsConfig["ticketKeys"]): keys is SecretReference {
  return keys !== undefined && !Array.isArray(keys);
}

function other({ name }: SecretReference, wanted: string): TypeError {
  return new TypeError(`the secret ${JSON.stringify(name)} holds no ${wanted}`);
}
