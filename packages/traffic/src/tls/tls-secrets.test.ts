import assert from "node:assert/strict";
import { test } from "node:test";
import type {
  CommonTlsConfig,
  DataConfig,
  DownstreamTlsConfig,
  SecretConfig,
  SecretReference,
  TlsValidationConfig,
  UpstreamTlsConfig,
} from "./tls-config.ts";
import { secretKey, secretsOf, withSecrets } from "./tls-secrets.ts";
import { serverTlsSettings } from "./tls-settings.ts";

const sds = (name: string): SecretReference => ({ from: "sds", name });
const data = (content: string): DataConfig => ({ source: "inline_string", name: "", content });
const NO_RULES: TlsValidationConfig = {
  trustedCa: undefined,
  systemRoots: false,
  crl: undefined,
  sanMatchers: [],
  spkiHashes: [],
  certificateHashes: [],
  trustChainVerification: "VERIFY_TRUST_CHAIN",
};
const name = (value: string): TlsValidationConfig["sanMatchers"][number] => ({
  type: "DNS",
  oid: "",
  matcher: { type: "exact", value, ignoreCase: false },
});

const certificate: SecretConfig = {
  type: "certificate",
  name: "cert",
  certificate: { certificateChain: data("chain"), privateKey: data("key"), password: undefined },
};
const validation = (fields: Partial<TlsValidationConfig>): SecretConfig => ({
  type: "validation",
  name: "ca",
  validation: { ...NO_RULES, ...fields },
});

function server(common: Partial<CommonTlsConfig>, fields: Partial<DownstreamTlsConfig> = {}): DownstreamTlsConfig {
  const params = { minimumVersion: "TLS_AUTO", maximumVersion: "TLS_AUTO" } as CommonTlsConfig["params"];
  return {
    common: { params, certificates: [], validation: undefined, alpnProtocols: [], ...common },
    requireClientCertificate: false,
    requireSni: false,
    disableStatelessSessionResumption: false,
    sessionTimeoutSeconds: undefined,
    fullScanCertsOnSniMismatch: false,
    preferClientCiphers: false,
    ...fields,
  };
}

function filled<Config extends DownstreamTlsConfig | UpstreamTlsConfig>(config: Config, ...secrets: SecretConfig[]) {
  const byKey = new Map(secrets.map((secret) => [secretKey(sds(secret.name)), secret]));
  return withSecrets(config, (key) => byKey.get(key));
}

test("certificates of secrets stand in the place of their names, once all have come", () => {
  const config = server({ certificateSecrets: [sds("cert")], validationSecret: sds("ca") });
  assert.deepEqual(secretsOf(config), [sds("cert"), sds("ca")]);
  assert.equal(filled(config, certificate), undefined);
  const common = filled(config, certificate, validation({ trustedCa: data("ca") }))?.common;
  assert.equal(common?.certificates[0]?.privateKey.content, "key");
  assert.equal(common?.validation?.trustedCa?.content, "ca");
  assert.deepEqual([common?.certificateSecrets, common?.validationSecret], [undefined, undefined]);
  const plain = server({});
  assert.equal(filled(plain), plain);
});

test("a default and a secret are one as protobuf merges messages: what is set replaces, lists are joined", () => {
  const standard = { ...NO_RULES, trustedCa: data("old"), sanMatchers: [name("a")], spkiHashes: ["x"] };
  const config = server({ validation: standard, validationSecret: sds("ca") });
  const dynamic = validation({
    trustedCa: data("new"),
    sanMatchers: [name("b")],
    trustChainVerification: "ACCEPT_UNTRUSTED",
  });
  const both = filled(config, dynamic)?.common.validation;
  assert.equal(both?.trustedCa?.content, "new");
  assert.deepEqual(both?.sanMatchers, [name("a"), name("b")]);
  assert.deepEqual(both?.spkiHashes, ["x"]);
  assert.equal(both?.trustChainVerification, "ACCEPT_UNTRUSTED");
  assert.equal(filled(config, validation({}))?.common.validation?.trustedCa?.content, "old");
});

test("names that nobody attests are refused, wherever they stand: anybody could make them up", () => {
  const named = server({ validation: { ...NO_RULES, sanMatchers: [name("a")] }, validationSecret: sds("ca") });
  assert.throws(() => filled(named, validation({})), /need a trusted_ca/);
  const bare = server({ validationSecret: sds("ca") });
  assert.throws(() => filled(bare, validation({ sanMatchers: [name("a")] })), /need a trusted_ca/);
  assert.throws(() => filled(bare, validation({ crl: data("crl") })), /need a trusted_ca/);
  const upstream: UpstreamTlsConfig = {
    common: bare.common,
    sni: "",
    autoHostSni: false,
    autoSniSanValidation: true,
    maxSessionKeys: 1,
  };
  assert.throws(() => filled(upstream, validation({})), /auto_sni_san_validation needs a trusted_ca/);
  assert.ok(filled(upstream, validation({ trustedCa: data("ca") })));
});

test("a secret of another kind than it is needed for is refused by its name", () => {
  assert.throws(
    () => filled(server({ certificateSecrets: [sds("ca")] }), validation({})),
    /^TypeError: the secret "ca" holds no tls_certificate$/,
  );
  assert.throws(() => filled(server({ validationSecret: sds("cert") }), certificate), /holds no validation_context/);
  assert.throws(() => filled(server({}, { ticketKeys: sds("cert") }), certificate), /holds no session_ticket_keys/);
});

test("settings cannot be made while secrets are still to come: everybody would be let in", () => {
  assert.throws(() => serverTlsSettings(server({ validationSecret: sds("ca") })), /still to come/);
  assert.throws(() => serverTlsSettings(server({}, { ticketKeys: sds("keys") })), /still to come/);
});

test("the first key of session tickets makes ours, always the same", () => {
  const keys = (byte: number): SecretConfig => ({
    type: "ticket-keys",
    name: "keys",
    keys: [data(String.fromCharCode(byte).repeat(80)), data("x".repeat(80))],
  });
  const made = (byte: number): Uint8Array | undefined => {
    const config = filled(server({}, { ticketKeys: sds("keys") }), keys(byte));
    return config && serverTlsSettings(config).ticketKeys;
  };
  assert.equal(made(1)?.length, 48);
  assert.deepEqual(made(1), made(1));
  assert.notDeepEqual(made(1), made(2));
});

test("equal names from the bootstrap, from the aggregated stream and from a file are three secrets", () => {
  const file = { from: { type: "file" as const, path: "/sds.yaml" }, initialFetchTimeoutMs: 0 };
  const references: SecretReference[] = [{ from: "static", name: "a" }, sds("a"), { ...sds("a"), source: file }];
  assert.equal(new Set(references.map(secretKey)).size, 3);
});

test("lists of revoked certificates may stand beside the authorities, and count with those of crl", () => {
  const list = (content: string): string => `-----BEGIN X509 CRL-----\n${content}\n-----END X509 CRL-----`;
  const revoked = (fields: Partial<TlsValidationConfig>): string | undefined =>
    serverTlsSettings(server({ validation: { ...NO_RULES, ...fields } })).authorities.revoked;
  assert.equal(revoked({ trustedCa: data("ca") }), undefined);
  assert.equal(revoked({ trustedCa: data(`ca\n${list("a")}\nca\n${list("b")}\n`) }), `${list("a")}\n${list("b")}`);
  assert.equal(revoked({ trustedCa: data(`ca\n${list("a")}`), crl: data(list("c")) }), `${list("c")}\n${list("a")}`);
});
