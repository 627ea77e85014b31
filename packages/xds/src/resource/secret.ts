import { err, ok, type Result } from "@heddle/base";
import { decodeMessage, validate } from "@heddle/proto";
import type { SecretConfig } from "@heddle/traffic";
import { checkCredentials } from "./check-tls.ts";
import { type DataReader, decodeData, encodeData } from "./data-source.ts";
import { encodeJson, type LooseJsonObject } from "./encode.ts";
import { Fields, Findings } from "./fields.ts";
import type { Decoded, ResourceType } from "./resource-type.ts";
import {
  decodeCertificate,
  decodeTicketKeys,
  decodeValidation,
  encodeCertificate,
  encodeTicketKeys,
  encodeValidation,
} from "./tls.ts";

const SECRET = "envoy.extensions.transport_sockets.tls.v3.Secret";

/** SDS, and `static_resources.secrets` of the bootstrap. */
export interface SecretResourceType extends ResourceType<SecretConfig> {
  /** The bootstrap has these: whoever names one without a source means it. */
  setStatic(secrets: readonly SecretConfig[]): void;
  /** The process itself has these, or will have them (its identity): likewise. They come before the bootstrap's. */
  setOwn(secrets: readonly NamedSecret[]): void;
  static(name: string): NamedSecret | undefined;
}

/** What is known of a secret before what it holds. */
export type NamedSecret = Pick<SecretConfig, "name" | "type">;

/** Without a reader, files that a secret names are left alone. No error shows anything of what a secret holds. */
export function makeSecretType(reader?: DataReader): SecretResourceType {
  let known: ReadonlyMap<string, NamedSecret> = new Map();
  let own: ReadonlyMap<string, NamedSecret> = new Map();
  return {
    setStatic(secrets) {
      known = byName(secrets);
    },
    setOwn(secrets) {
      own = byName(secrets);
    },
    static: (name) => own.get(name) ?? known.get(name),
    typeUrl: `type.googleapis.com/${SECRET}`,
    kind: "secret",
    completeInSotw: false,
    decode: (bytes) => decode(bytes, reader),
    encode: (config) => encodeJson(SECRET, encodeSecret(config)),
    nameOf: ({ name }) => name,
    references: () => [],
  };
}

function byName(secrets: readonly NamedSecret[]): ReadonlyMap<string, NamedSecret> {
  return new Map(secrets.map((secret) => [secret.name, secret]));
}

function decode(bytes: Uint8Array, reader: DataReader | undefined): Result<Decoded<SecretConfig>, readonly string[]> {
  const message = decodeMessage(SECRET, bytes);
  if (!message.ok) return err([message.error]);
  const findings = Findings.of(validate(SECRET, message.value));
  const config = decodeSecret(new Fields(SECRET, message.value, "", findings), reader);
  if (config === undefined || findings.errors.length > 0) return err(findings.errors);
  return ok({ config, unhonoured: findings.unhonoured });
}

function decodeSecret(fields: Fields, reader: DataReader | undefined): SecretConfig | undefined {
  const name = fields.text("name");
  const errorsBefore = fields.findings.errorCount;
  const certificate = fields.message("tls_certificate");
  if (certificate !== undefined) {
    const [decoded] = decodeCertificate(certificate, reader);
    if (decoded === undefined) return undefined;
    if (reader !== undefined && fields.findings.errorCount === errorsBefore) {
      checkCredentials([decoded], undefined, certificate);
    }
    return { type: "certificate", name, certificate: decoded };
  }
  const validation = fields.message("validation_context");
  if (validation !== undefined) {
    // Who uses it may add authorities; without any it is then refused there.
    const decoded = decodeValidation(validation, reader, "a secret");
    if (reader !== undefined && fields.findings.errorCount === errorsBefore) {
      checkCredentials([], decoded, validation);
    }
    return { type: "validation", name, validation: decoded };
  }
  const ticketKeys = fields.message("session_ticket_keys");
  if (ticketKeys !== undefined) return { type: "ticket-keys", name, keys: decodeTicketKeys(ticketKeys, reader) };
  const generic = fields.message("generic_secret");
  if (generic !== undefined) {
    const secret = generic.message("secret");
    return { type: "generic", name, secret: secret && decodeData(secret, reader) };
  }
  fields.fail(
    "tls_certificate",
    "must be set, or one of validation_context, session_ticket_keys and generic_secret: the secret holds nothing",
  );
  return undefined;
}

function encodeSecret(config: SecretConfig): LooseJsonObject {
  const { name } = config;
  switch (config.type) {
    case "certificate":
      return { name, tls_certificate: encodeCertificate(config.certificate) };
    case "validation":
      return { name, validation_context: encodeValidation(config.validation) };
    case "ticket-keys":
      return { name, session_ticket_keys: encodeTicketKeys(config.keys) };
    case "generic":
      return { name, generic_secret: { secret: encodeData(config.secret) } };
    default:
      throw new Error(`unknown secret ${(config satisfies never as { type: string }).type}`);
  }
}
