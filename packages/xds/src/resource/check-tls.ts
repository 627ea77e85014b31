import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { getCiphers } from "node:tls";
import { systemClock } from "@heddle/base";
import {
  isAbout,
  LeafRevocation,
  mustStaple,
  parseOcspResponse,
  type StaplePolicy,
  TlsClient,
  TlsServer,
} from "@heddle/net";
import {
  clientTlsSettings,
  compileSafeRegex,
  type DataConfig,
  type DownstreamTlsConfig,
  serverTlsSettings,
  type TlsCertificateConfig,
  type TlsValidationConfig,
  type UpstreamTlsConfig,
  validationDataOf,
} from "@heddle/traffic";
import type { Fields } from "./fields.ts";

/*
 * Looks at certificates and keys before anything serves them, so that a wrong one is an error of the configuration and not of each
 * handshake. What has not been read is not looked at. No error shows anything of a key.
 */

/** Expired certificates are taken, as in Envoy: who serves one is told by its clients. */
export function checkCertificate(
  { certificateChain, privateKey, password, ocspStaple }: TlsCertificateConfig,
  fields: Fields,
): void {
  const certificates =
    certificateChain.content === undefined ? undefined : blocks(certificateChain.content, CERTIFICATE);
  if (certificates?.length === 0) {
    fails(fields, "certificate_chain", certificateChain, "holds no certificate in PEM");
    return;
  }
  const parsed = certificates?.map((pem) => parse(() => new X509Certificate(pem)));
  const [first] = parsed ?? [];
  if (first !== undefined && ocspStaple !== undefined) checkStaple(first, ocspStaple, fields);
  const bad = parsed?.indexOf(undefined) ?? -1;
  if (bad >= 0)
    fails(fields, "certificate_chain", certificateChain, `holds a certificate that cannot be read (number ${bad + 1})`);
  if (privateKey.content === undefined || (password !== undefined && password.content === undefined)) return;
  const key = parseKey(privateKey.content, password?.content);
  if (typeof key === "string") {
    fails(fields, "private_key", privateKey, key);
    return;
  }
  const [leaf] = parsed ?? [];
  if (leaf !== undefined && !leaf.checkPrivateKey(key)) {
    fails(fields, "private_key", privateKey, "does not belong to the certificate");
  }
}

function checkStaple(leaf: X509Certificate, ocspStaple: DataConfig, fields: Fields): void {
  if (ocspStaple.content === undefined) return;
  const response = parseOcspResponse(Buffer.from(ocspStaple.content, "latin1"));
  if ("error" in response) fails(fields, "ocsp_staple", ocspStaple, response.error);
  else if (!isAbout(response, leaf)) fails(fields, "ocsp_staple", ocspStaple, "is about another certificate");
}

/** What the policy of a server asks of a certificate and its OCSP response. `path`: of the certificate, below the fields. */
export function checkStaplePolicy(
  { certificateChain, ocspStaple }: TlsCertificateConfig,
  policy: StaplePolicy,
  fields: Fields,
  path: string,
): void {
  const at = `${path}.ocsp_staple`;
  if (ocspStaple === undefined) {
    const [chain] = certificateChain.content === undefined ? [] : blocks(certificateChain.content, CERTIFICATE);
    const asks = chain !== undefined && parse(() => mustStaple({ chain, key: "", password: undefined })) === true;
    if (policy === "MUST_STAPLE") fields.fail(at, "must be set, since ocsp_staple_policy is MUST_STAPLE");
    else if (asks) fields.fail(at, "must be set: the certificate asks its servers for it (RFC 7633)");
    return;
  }
  if (ocspStaple.content === undefined) return;
  const response = parseOcspResponse(Buffer.from(ocspStaple.content, "latin1"));
  if ("error" in response || response.nextUpdateMs > systemClock.wallNow()) return;
  if (policy === "LENIENT_STAPLING") fields.report(at, "has expired, and is not stapled");
  else fails(fields, at, ocspStaple, `has expired, and ocsp_staple_policy is ${policy}`);
}

export function checkValidation(config: TlsValidationConfig, fields: Fields): void {
  const { trustedCa, crl, onlyLeafCrl, sanMatchers, certificateHashes, spkiHashes } = config;
  if (trustedCa?.content !== undefined) {
    const found = blocks(trustedCa.content, CERTIFICATE);
    if (found.length === 0) fails(fields, "trusted_ca", trustedCa, "holds no certificate in PEM");
    else if (found.some((pem) => parse(() => new X509Certificate(pem)) === undefined)) {
      fails(fields, "trusted_ca", trustedCa, "holds a certificate that cannot be read");
    }
  }
  if (crl?.content !== undefined && blocks(crl.content, REVOCATIONS).length === 0) {
    fails(fields, "crl", crl, "holds no list of revoked certificates in PEM");
  }
  // Lists may stand beside the authorities as well.
  for (const [field, data] of onlyLeafCrl === true
    ? ([
        ["crl", crl],
        ["trusted_ca", trustedCa],
      ] as const)
    : []) {
    if (data?.content === undefined) continue;
    try {
      new LeafRevocation(data.content, []);
    } catch (error) {
      fails(fields, field, data, (error as Error).message);
    }
  }
  for (const { matcher } of sanMatchers) {
    const regex = matcher.type === "safe-regex" ? compileSafeRegex(matcher.regex) : undefined;
    if (regex?.ok === false) fields.fail("match_typed_subject_alt_names", regex.error);
  }
  for (const hash of certificateHashes) {
    if (!/^[0-9a-f]{64}$/.test(hash)) {
      fields.fail(
        "verify_certificate_hash",
        `found ${JSON.stringify(hash)}, allowed is a SHA-256 of 64 hexadecimal digits`,
      );
    }
  }
  for (const hash of spkiHashes) {
    if (Buffer.from(hash, "base64").toString("base64") !== hash || Buffer.from(hash, "base64").length !== 32) {
      fields.fail("verify_certificate_spki", `found ${JSON.stringify(hash)}, allowed is a SHA-256 in base64`);
    }
  }
}

/** Whether OpenSSL takes all of it together. */
export function checkServerOrClient(
  made:
    | { readonly type: "server"; readonly config: DownstreamTlsConfig }
    | { readonly type: "client"; readonly config: UpstreamTlsConfig },
  fields: Fields,
): void {
  const errorsBefore = fields.findings.errorCount;
  const { params } = made.config.common;
  for (const [index, name] of params.cipherSuites.entries()) {
    if (!KNOWN_CIPHERS.has(name.toLowerCase())) {
      fields.fail(
        `common_tls_context.tls_params.cipher_suites`,
        `there is no cipher suite ${JSON.stringify(name)} (number ${index + 1})`,
      );
    }
  }
  if (fields.findings.errorCount > errorsBefore) return;
  try {
    if (made.type === "server") new TlsServer(serverTlsSettings(made.config));
    else new TlsClient(clientTlsSettings(made.config));
  } catch (error) {
    fields.fail("common_tls_context", `is not taken by OpenSSL: ${reasonOf(error)}`);
  }
}

/** Whether OpenSSL takes what a secret holds, under the parameters that it has by itself. */
export function checkCredentials(
  certificates: readonly TlsCertificateConfig[],
  validation: TlsValidationConfig | undefined,
  fields: Fields,
): void {
  const contents = [...certificates.flatMap(dataOf), ...validationDataOf(validation)];
  if (contents.some((data) => data !== undefined && data.content === undefined)) return; // an error says so
  const common = { params: PARAMS, certificates, validation, alpnProtocols: [] };
  const config = { common, sni: "", autoHostSni: false, autoSniSanValidation: false, maxSessionKeys: 0 };
  try {
    new TlsClient(clientTlsSettings(config));
  } catch (error) {
    fields.fail("", `is not taken by OpenSSL: ${reasonOf(error)}`);
  }
}

function dataOf({ certificateChain, privateKey, password }: TlsCertificateConfig): (DataConfig | undefined)[] {
  return [certificateChain, privateKey, password];
}

const PARAMS: UpstreamTlsConfig["common"]["params"] = {
  minimumVersion: "TLS_AUTO",
  maximumVersion: "TLS_AUTO",
  cipherSuites: [],
  ecdhCurves: [],
  signatureAlgorithms: [],
};

const KNOWN_CIPHERS = new Set(getCiphers());

/** OpenSSL's word for it alone: the rest of a message may show what was given. */
function reasonOf(error: unknown): string {
  const { reason, code } = error as { readonly reason?: string; readonly code?: string };
  return reason ?? code ?? "no reason is given";
}

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g;
const REVOCATIONS = /-----BEGIN X509 CRL-----[\s\S]*?-----END X509 CRL-----/g;

function blocks(text: string, kind: RegExp): readonly string[] {
  return text.match(kind) ?? [];
}

function parse<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The key, or why there is none. */
function parseKey(pem: string, password: string | undefined): KeyObject | string {
  try {
    const passphrase = password?.replace(/\r?\n$/, "");
    return createPrivateKey({ key: pem, format: "pem", ...(passphrase !== undefined && { passphrase }) });
  } catch (error) {
    const { code } = error as { readonly code?: string };
    const isLocked = code === "ERR_MISSING_PASSPHRASE" || /^(?:-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)/m.test(pem);
    if (password === undefined && isLocked) return "is under a password, and there is none";
    return password === undefined
      ? "holds no private key in PEM"
      : "holds no private key in PEM that the password opens";
  }
}

function fails(fields: Fields, field: string, { source, name }: DataConfig, problem: string): void {
  fields.fail(field, source === "filename" || source === "environment_variable" ? `"${name}" ${problem}` : problem);
}
