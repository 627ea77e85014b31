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

/** Whom to believe, as a secret. There has to be at least one authority of its own trust domain. */
export function validationSecret(bundles: readonly TrustBundle[], type: ResourceType<SecretConfig>): SecretConfig {
  const [own] = bundles;
  return decoded(type, {
    name: OWN_VALIDATION,
    validation_context: { trusted_ca: { inline_string: certificatePem(own?.x509Authorities ?? []) } },
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
