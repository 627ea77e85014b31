import { Certificate, type TrustBundle } from "@heddle/identity";
import { fromProtoJson } from "@heddle/proto";
import type { SecretConfig } from "@heddle/traffic";
import type { ResourceType } from "@heddle/xds";
import { OWN_SECRETS, type OwnSvid } from "./own-identity.ts";

const [{ name: OWN_CERTIFICATE }, { name: OWN_VALIDATION }] = OWN_SECRETS;

const SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret";

/** The certificate and its key, as a secret. */
export function certificateSecret(svid: OwnSvid, type: ResourceType<SecretConfig>): SecretConfig {
  return decoded(type, {
    name: OWN_CERTIFICATE,
    tls_certificate: {
      certificate_chain: { inline_string: certificatePem(svid.chain) },
      private_key: { inline_string: svid.key },
    },
  });
}

/**
 * Whom to believe, as a secret: the authorities of each trust domain, which speak for that one alone. There has to be at least one
 * authority.
 */
export function validationSecret(bundles: readonly TrustBundle[], type: ResourceType<SecretConfig>): SecretConfig {
  // A trust domain without authorities has no X.509-SVIDs that could be believed.
  const trusted = bundles.filter(({ x509Authorities }) => x509Authorities.length > 0);
  return decoded(type, {
    name: OWN_VALIDATION,
    validation_context: {
      custom_validator_config: {
        name: "envoy.tls.cert_validator.spiffe",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig",
          trust_domains: trusted.map(({ trustDomain, x509Authorities }) => {
            return { name: trustDomain, trust_bundle: { inline_string: certificatePem(x509Authorities) } };
          }),
        },
      },
    },
  });
}

export function certificatePem(chain: readonly Uint8Array[]): string {
  return chain.map((der) => new Certificate(der).pem).join("");
}

/** By the type that reads any other secret, so that there is one reading of them. What it refuses is our mistake. */
function decoded(type: ResourceType<SecretConfig>, json: { readonly [field: string]: object | string }): SecretConfig {
  const bytes = fromProtoJson(SECRET, json);
  if (!bytes.ok) throw new Error(`no secret can be made of the identity: ${bytes.error.length} fields are wrong`);
  const read = type.decode(bytes.value);
  if (!read.ok) throw new Error(`no secret can be made of the identity: ${read.error.join("; ")}`);
  return read.value.config;
}
