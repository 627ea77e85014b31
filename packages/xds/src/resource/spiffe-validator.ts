import { type SpiffeValidatorConfig, spiffeTrust, type TlsValidationConfig } from "@heddle/traffic";
import { type DataReader, decodeData, encodeData } from "./data-source.ts";
import { type LooseJsonObject, list } from "./encode.ts";
import { Fields } from "./fields.ts";
import { openAny } from "./typed-config.ts";

const SPIFFE = "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/** `custom_validator_config`: the validator of SPIFFE; there is no other. */
export function decodeCustomValidator(
  validation: Fields,
  reader: DataReader | undefined,
): Pick<TlsValidationConfig, "spiffe"> {
  const extension = validation.message("custom_validator_config");
  if (extension === undefined) return {};
  const any = extension.raw("typed_config");
  const path = extension.at("typed_config");
  const opened = any && openAny(any, path, extension.findings);
  if (opened?.message === undefined || opened.type !== SPIFFE) {
    const found = opened?.type ?? JSON.stringify(extension.text("name"));
    extension.fail("typed_config", `found ${found}, allowed is ${SPIFFE}`);
    return {};
  }
  return { spiffe: decodeSpiffe(new Fields(SPIFFE, opened.message, path, extension.findings), reader) };
}

function decodeSpiffe(fields: Fields, reader: DataReader | undefined): SpiffeValidatorConfig {
  const map = fields.message("trust_bundles");
  const bundleMap = map && decodeData(map, reader);
  const listed = fields.messages("trust_domains");
  const trustDomains = listed.flatMap((one) => {
    const bundle = one.message("trust_bundle");
    if (bundle === undefined) one.fail("trust_bundle", "must be set");
    const data = bundle && decodeData(bundle, reader);
    return data === undefined ? [] : [{ name: one.text("name"), bundle: data }];
  });
  if (map === undefined && listed.length === 0) fields.fail("trust_domains", "is empty, so nobody could be let in");
  const config = { trustDomains, ...(bundleMap && { bundleMap }) };
  const trust = spiffeTrust(config);
  for (const { where, message } of trust.ok ? [] : trust.error) fields.fail(where, message);
  return config;
}

export function encodeCustomValidator(spiffe: SpiffeValidatorConfig | undefined): LooseJsonObject | undefined {
  return (
    spiffe && {
      name: "envoy.tls.cert_validator.spiffe",
      typed_config: {
        "@type": `type.googleapis.com/${SPIFFE}`,
        trust_domains: list(
          spiffe.trustDomains.map(({ name, bundle }) => ({ name, trust_bundle: encodeData(bundle) })),
        ),
        trust_bundles: encodeData(spiffe.bundleMap),
      },
    }
  );
}
