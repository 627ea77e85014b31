import type { SecretConfig, SecretReference } from "@heddle/traffic";
import { encodeConfigSource, readConfigSource, unlessAds } from "./config-source.ts";
import type { DataReader } from "./data-source.ts";
import type { LooseJsonObject } from "./encode.ts";
import type { Fields } from "./fields.ts";

/** `SdsSecretConfig`: with a source the secret comes from there; without one it is one of the bootstrap's. */
export function decodeSecretReference(
  fields: Fields,
  wanted: SecretConfig["type"],
  reader: DataReader | undefined,
): SecretReference {
  const name = fields.text("name");
  if (fields.has("sds_config")) return { from: "sds", name, ...unlessAds(readConfigSource(fields, "sds_config")) };
  checkStatic(fields, name, wanted, reader);
  return { from: "static", name };
}

function checkStatic(fields: Fields, name: string, wanted: SecretConfig["type"], reader: DataReader | undefined): void {
  if (reader?.staticSecret === undefined) return;
  const secret = reader.staticSecret(name);
  const quoted = JSON.stringify(name);
  if (secret === undefined) {
    fields.fail("name", `there is no secret ${quoted} in static_resources.secrets, and sds_config is not set`);
  } else if (secret.type !== wanted) {
    fields.fail("name", `the secret ${quoted} holds ${FIELD[secret.type]}, needed is ${FIELD[wanted]}`);
  }
}

const FIELD: Readonly<Record<SecretConfig["type"], string>> = {
  certificate: "tls_certificate",
  validation: "validation_context",
  "ticket-keys": "session_ticket_keys",
  generic: "generic_secret",
};

export function encodeSecretReference({ from, name, source }: SecretReference): LooseJsonObject {
  return from === "static" ? { name } : { name, sds_config: encodeConfigSource(source) };
}
