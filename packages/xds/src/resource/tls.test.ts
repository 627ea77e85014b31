import assert from "node:assert/strict";
import { test } from "node:test";
import { err, ok } from "@heddle/base";
import { encryptedKey, ocspResponse, TestAuthority } from "@heddle/net/testing";
import { type SecretConfig, spiffeTrust } from "@heddle/traffic";
import { makeClusterType } from "./cluster.ts";
import type { DataReader } from "./data-source.ts";
import { makeListenerType } from "./listener.ts";
import { accept, errorsOf, reportsOf } from "./testing.ts";

const authority = new TestAuthority();
const leaf = authority.issue({ dns: ["a.example"] });
const other = authority.issue({ dns: ["b.example"] });
const expired = authority.issue({ dns: ["a.example"], validTo: new Date(0) });

const FILES: Readonly<Record<string, string>> = {
  "cert.pem": leaf.chain,
  "cert.key": leaf.key,
  "other.key": other.key,
  "locked.key": encryptedKey(leaf, "open sesame"),
  password: "open sesame\n",
  "ca.pem": authority.certificate,
  "crl.pem": authority.revoke([]),
  "broken.pem": `-----BEGIN CERTIFICATE-----\n${Buffer.from("no DER").toString("base64")}\n-----END CERTIFICATE-----\n`,
};
const reader: DataReader = {
  file: (path) => (FILES[path] === undefined ? err("cannot be read (ENOENT)") : ok(Buffer.from(FILES[path]))),
  variable: (name) => FILES[name.toLowerCase()],
};
const listenerType = makeListenerType({ httpFilters: "unchecked", data: reader });
const clusterType = makeClusterType(reader);

const TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
const file = (filename: string): object => ({ filename });
const certificate = (fields: object = {}): object => ({
  certificate_chain: file("cert.pem"),
  private_key: file("cert.key"),
  ...fields,
});

/** A listener whose chain has that TLS. */
function listener(common: object, context: object = {}, chain: object = {}): object {
  const typed_config = { "@type": `${TLS}.DownstreamTlsContext`, common_tls_context: common, ...context };
  const echo = { name: "e", typed_config: { "@type": "x/envoy.extensions.filters.network.echo.v3.Echo" } };
  return {
    name: "l",
    address: { socket_address: { address: "127.0.0.1", port_value: 1 } },
    filter_chains: [{ filters: [echo], transport_socket: { name: "tls", typed_config }, ...chain }],
  };
}

function cluster(context: object): object {
  return {
    name: "c",
    load_assignment: { cluster_name: "c" },
    transport_socket: { name: "tls", typed_config: { "@type": `${TLS}.UpstreamTlsContext`, ...context } },
  };
}

const PATH = "filter_chains[0].transport_socket.typed_config";
const CERTIFICATE = `${PATH}.common_tls_context.tls_certificates[0]`;
const VALIDATION = `${PATH}.common_tls_context.validation_context`;

/** The one error of a listener with that. */
function problem(common: object, context: object = {}): string {
  const errors = errorsOf(listenerType, listener(common, context));
  assert.equal(errors.length, 1, errors.join("\n"));
  for (const secret of [leaf.key, "open sesame"]) assert.ok(!errors.join().includes(secret));
  return errors[0]!; // of length 1
}

test("certificates and keys are read from wherever they lie", () => {
  for (const chosen of [
    certificate(),
    certificate({ private_key: { inline_string: leaf.key } }),
    certificate({ private_key: { inline_bytes: Buffer.from(leaf.key).toString("base64") } }),
    certificate({ private_key: { environment_variable: "CERT.KEY" } }),
    certificate({ private_key: file("locked.key"), password: file("password") }),
  ]) {
    const { filterChains } = accept(listenerType, listener({ tls_certificates: [chosen] }));
    const [read] = filterChains[0]?.tls?.common.certificates ?? [];
    assert.equal(read?.certificateChain.content, leaf.chain);
    assert.match(read?.privateKey.content ?? "", /PRIVATE KEY/);
  }
});

test("what is wrong with a certificate or its key is told by path, and nothing of the key is", () => {
  const of = (fields: object): string => problem({ tls_certificates: [certificate(fields)] });
  assert.equal(
    of({ private_key: file("other.key") }),
    `${CERTIFICATE}.private_key: "other.key" does not belong to the certificate`,
  );
  assert.equal(
    of({ private_key: file("none.key") }),
    `${CERTIFICATE}.private_key.filename: "none.key" cannot be read (ENOENT)`,
  );
  assert.equal(
    of({ private_key: file("cert.pem") }),
    `${CERTIFICATE}.private_key: "cert.pem" holds no private key in PEM`,
  );
  assert.equal(
    of({ private_key: file("locked.key") }),
    `${CERTIFICATE}.private_key: "locked.key" is under a password, and there is none`,
  );
  assert.equal(
    of({ private_key: file("locked.key"), password: { inline_string: "wrong" } }),
    `${CERTIFICATE}.private_key: "locked.key" holds no private key in PEM that the password opens`,
  );
  assert.equal(
    of({ certificate_chain: file("cert.key") }),
    `${CERTIFICATE}.certificate_chain: "cert.key" holds no certificate in PEM`,
  );
  assert.match(
    of({ certificate_chain: file("broken.pem") }),
    /certificate_chain: "broken.pem" holds a certificate that cannot be read/,
  );
  assert.match(
    of({ private_key: { environment_variable: "NONE" } }),
    /private_key\.environment_variable: there is no variable NONE/,
  );
  assert.match(of({ private_key: undefined }), /private_key: must be set/);
  assert.match(problem({}), /common_tls_context: holds no certificate/);
});

test("an expired certificate is served, as in Envoy", () => {
  const inline = (inline_string: string): object => ({ inline_string });
  accept(
    listenerType,
    listener({ tls_certificates: [{ certificate_chain: inline(expired.chain), private_key: inline(expired.key) }] }),
  );
});

test("rules that nobody attests are refused, and hashes and versions that are none", () => {
  const of = (validation_context: object): string => problem({ tls_certificates: [certificate()], validation_context });
  const names = { match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: "spiffe://a" } }] };
  assert.equal(of(names), `${VALIDATION}.match_typed_subject_alt_names: needs a trusted_ca`);
  assert.equal(of({ crl: file("crl.pem") }), `${VALIDATION}.crl: needs a trusted_ca`);
  assert.equal(
    of({ trusted_ca: file("cert.key") }),
    `${VALIDATION}.trusted_ca: "cert.key" holds no certificate in PEM`,
  );
  assert.match(of({ trusted_ca: file("ca.pem"), crl: file("ca.pem") }), /crl: "ca.pem" holds no list/);
  const crl = { inline_string: "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----" };
  assert.match(
    of({ trusted_ca: file("ca.pem"), crl, only_verify_leaf_cert_crl: true }),
    /crl: holds a list.* that is none/,
  );
  const beside = { inline_string: `${authority.certificate}${crl.inline_string}` };
  assert.match(of({ trusted_ca: beside, only_verify_leaf_cert_crl: true }), /trusted_ca: holds a list.* that is none/);
  assert.match(of({ verify_certificate_hash: ["z".repeat(64)] }), /verify_certificate_hash/);
  assert.match(of({ verify_certificate_spki: ["A".repeat(44)] }), /verify_certificate_spki/);
  for (const refused of [{ allow_expired_certificate: true }, { require_signed_certificate_timestamp: true }]) {
    assert.match(
      of({ trusted_ca: file("ca.pem"), ...refused }),
      new RegExp(`validation_context\\.${Object.keys(refused)[0]}: `),
    );
  }
  const params = (tls_params: object): string => problem({ tls_certificates: [certificate()], tls_params });
  assert.match(params({ cipher_suites: ["[AES128-SHA|NONE]"] }), /there is no cipher suite "NONE"/);
  assert.match(params({ ecdh_curves: ["P-0"] }), /is not taken by OpenSSL/);
  const versions = { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_2" };
  assert.match(params(versions), /tls_maximum_protocol_version: found TLSv1_2, allowed is TLSv1_3 or later/);
});

const SPIFFE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/** Those validators, as a context has them. */
function spiffe(config: object): { readonly custom_validator_config: object } {
  const typed_config = { "@type": SPIFFE, ...config };
  return { custom_validator_config: { name: "envoy.tls.cert_validator.spiffe", typed_config } };
}

test("what is stapled has to be about the certificate, and to hold where the policy wants that", () => {
  const bytes = (response: Buffer): object => ({ inline_bytes: response.toString("base64") });
  const [later, earlier] = [new Date(Date.now() + 3_600_000), new Date(Date.now() - 3_600_000)];
  const good = bytes(ocspResponse(leaf, later));
  const tls = chainTls(
    { tls_certificates: [certificate({ ocsp_staple: good })] },
    { ocsp_staple_policy: "MUST_STAPLE" },
  );
  assert.equal(tls.ocspStaplePolicy, "MUST_STAPLE");
  const of = (ocsp_staple: object | undefined, ocsp_staple_policy: string): string =>
    problem({ tls_certificates: [certificate({ ocsp_staple })] }, { ocsp_staple_policy });
  const at = `${CERTIFICATE}.ocsp_staple`;
  assert.equal(of(undefined, "MUST_STAPLE"), `${at}: must be set, since ocsp_staple_policy is MUST_STAPLE`);
  assert.equal(of(bytes(ocspResponse(other, later)), "LENIENT_STAPLING"), `${at}: is about another certificate`);
  assert.match(of(bytes(Buffer.from("none")), "LENIENT_STAPLING"), /ocsp_staple: is no OCSP response in DER/);
  const old = bytes(ocspResponse(leaf, earlier));
  assert.match(of(old, "STRICT_STAPLING"), /ocsp_staple: has expired, and ocsp_staple_policy is STRICT_STAPLING/);
  const reports = reportsOf(listenerType, listener({ tls_certificates: [certificate({ ocsp_staple: old })] }));
  assert.deepEqual(reports, [at]);
});

/** What the `trust_bundles` of Envoy and SPIRE look like. */
function bundleMap(keys: readonly object[]): { readonly inline_string: string } {
  return { inline_string: JSON.stringify({ trust_domains: { "example.org": { spiffe_sequence: 1, keys } } }) };
}

test("trust domains come with authorities of their own, each by itself or all in one map", () => {
  const x5c = [authority.certificate.replaceAll(/-----[A-Z ]+-----|\n/g, "")];
  const key = { kty: "EC", crv: "P-256", x: "a", y: "b" };
  const listed = { trust_domains: [{ name: "example.org", trust_bundle: file("ca.pem") }] };
  const mapped = {
    trust_bundles: bundleMap([
      { ...key, use: "x509-svid", x5c },
      { ...key, use: "jwt-svid", kid: "1" },
    ]),
  };
  const match_typed_subject_alt_names = [{ san_type: "URI", matcher: { exact: "spiffe://example.org/a" } }];
  for (const config of [listed, mapped, { ...listed, ...mapped }]) {
    const { common } = chainTls({
      tls_certificates: [certificate()],
      validation_context: { ...spiffe(config), match_typed_subject_alt_names },
    });
    const trust = common.validation?.spiffe && spiffeTrust(common.validation.spiffe);
    assert.ok(trust?.ok === true);
    assert.equal(trust.value.authoritiesOf("example.org")[0]?.pem, authority.certificate);
    assert.equal(trust.value.all.length, 1);
  }
});

test("a validator that is none, or that would let in others than it says, is refused by path", () => {
  const of = (config: object, more: object = {}): string =>
    problem({ tls_certificates: [certificate()], validation_context: { ...spiffe(config), ...more } });
  const at = `${VALIDATION}.custom_validator_config.typed_config`;
  const domain = (name: string, trust_bundle: object | undefined = file("ca.pem")): object => ({ name, trust_bundle });
  assert.equal(of({}), `${at}.trust_domains: is empty, so nobody could be let in`);
  assert.match(
    of({ trust_domains: [domain("Example.org")] }),
    /trust_domains\[0\]: has a trust domain with other characters/,
  );
  assert.match(of({ trust_domains: [domain("spiffe://a")] }), /trust_domains\[0\]: has a trust domain with other/);
  assert.match(of({ trust_domains: [domain("a"), domain("a")] }), /trust_domains\[1\]\.name: "a" stands here twice/);
  assert.match(of({ trust_domains: [{ name: "a" }] }), /trust_domains\[0\]\.trust_bundle: must be set/);
  assert.match(of({ trust_domains: [domain("a", file("cert.key"))] }), /trust_domains\[0\]: has no certificate/);
  assert.equal(of({ trust_bundles: { inline_string: "{" } }), `${at}.trust_bundles: is no JSON`);
  assert.match(of({ trust_bundles: { inline_string: "{}" } }), /trust_bundles: has no object "trust_domains"/);
  assert.match(of({ trust_bundles: bundleMap([{ kty: "EC", use: "x509-svid", x5c: ["!"] }]) }), /keys\[0\]\.x5c\[0\]/);
  const trust_domains = [domain("a")];
  const match_typed_subject_alt_names = [{ san_type: "DNS", matcher: { exact: "a" } }];
  assert.match(of({ trust_domains }, { match_typed_subject_alt_names }), /has no san_type URI/);
  const other = "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer";
  assert.match(of({ "@type": other }), /typed_config: found envoy.*RawBuffer, allowed is envoy.*SPIFFE/);
});

const ads = { ads: {}, resource_api_version: "V3" };
const sds = (name: string): object => ({ name, sds_config: ads });

/** What the TLS of that listener's chain became. */
function chainTls(common: object, context: object = {}) {
  const [chain] = accept(listenerType, listener(common, context)).filterChains;
  assert.ok(chain?.tls);
  return chain.tls;
}

test("certificates and those who are trusted may come by SDS, in each of Envoy's shapes", () => {
  const tls_certificate_sds_secret_configs = [sds("cert"), sds("other")];
  const { common } = chainTls({ tls_certificate_sds_secret_configs, validation_context_sds_secret_config: sds("ca") });
  assert.deepEqual(common.certificateSecrets, [
    { from: "sds", name: "cert" },
    { from: "sds", name: "other" },
  ]);
  assert.deepEqual(common.validationSecret, { from: "sds", name: "ca" });
  assert.equal(common.validation, undefined);

  // The names in the default, those who attest them in the secret: what Istio sends.
  const names = { match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: "spiffe://a" } }] };
  const combined_validation_context = {
    default_validation_context: names,
    validation_context_sds_secret_config: sds("ca"),
  };
  const both = chainTls({ tls_certificate_sds_secret_configs: [sds("cert")], combined_validation_context }).common;
  assert.deepEqual(both.validationSecret, { from: "sds", name: "ca" });
  assert.equal(both.validation?.sanMatchers.length, 1);

  const upstream = accept(clusterType, cluster({ common_tls_context: { combined_validation_context } })).tls?.common;
  assert.deepEqual(upstream?.validationSecret, { from: "sds", name: "ca" });
  const loose = cluster({ auto_sni_san_validation: true, common_tls_context: { combined_validation_context } });
  assert.equal(accept(clusterType, loose).tls?.autoSniSanValidation, true); // looked at when the secret has come
});

test("an empty validation context is reported, and an empty default is not: its secret says who is believed", () => {
  const tls_certificates = [certificate()];
  const validation = reportsOf(listenerType, listener({ tls_certificates, validation_context: {} }));
  assert.deepEqual(validation, [VALIDATION]);
  const combined_validation_context = {
    default_validation_context: {},
    validation_context_sds_secret_config: sds("ca"),
  };
  assert.deepEqual(reportsOf(listenerType, listener({ tls_certificates, combined_validation_context })), []);
});

test("secrets are named where they are wrong: beside certificates, twice on a client, by no name", () => {
  assert.equal(
    problem({ tls_certificates: [certificate()], tls_certificate_sds_secret_configs: [sds("a")] }),
    `${PATH}.common_tls_context.tls_certificate_sds_secret_configs: found beside tls_certificates, of which only one is allowed`,
  );
  const two = { common_tls_context: { tls_certificate_sds_secret_configs: [sds("a"), sds("b")] } };
  assert.match(errorsOf(clusterType, cluster(two)).join(), /sds_secret_configs: found more than 1/);
  assert.match(problem({ tls_certificate_sds_secret_configs: [{ sds_config: ads }] }), /\[0\]\.name: /);
  const combined_validation_context = { default_validation_context: { trusted_ca: file("ca.pem") } };
  assert.match(
    problem({ tls_certificates: [certificate()], combined_validation_context }),
    /combined_validation_context\.validation_context_sds_secret_config: /,
  );
});

test("a secret without a source is one of the bootstrap's, of the right kind", () => {
  const secrets: Readonly<Record<string, SecretConfig>> = {
    ca: { type: "generic", name: "ca", secret: undefined },
    keys: { type: "ticket-keys", name: "keys", keys: [] },
  };
  const known = makeListenerType({
    httpFilters: "unchecked",
    data: { ...reader, staticSecret: (name) => secrets[name] },
  });
  const of = (common: object, context: object = {}): string =>
    errorsOf(known, listener({ tls_certificates: [certificate()], ...common }, context)).join();
  assert.equal(
    of({ validation_context_sds_secret_config: { name: "none" } }),
    `${PATH}.common_tls_context.validation_context_sds_secret_config.name: there is no secret "none" in static_resources.secrets, and sds_config is not set`,
  );
  assert.match(
    of({ validation_context_sds_secret_config: { name: "ca" } }),
    /the secret "ca" holds generic_secret, needed is validation_context/,
  );
  const context = { session_ticket_keys_sds_secret_config: { name: "keys" } };
  const read = accept(known, listener({ tls_certificates: [certificate()] }, context));
  assert.deepEqual(read.filterChains[0]?.tls?.ticketKeys, { from: "static", name: "keys" });
});

test("keys of session tickets have 80 bytes, as in Envoy; only the first is used", () => {
  const key = { inline_bytes: Buffer.alloc(80, 1).toString("base64") };
  const context = { session_ticket_keys: { keys: [key, key] } };
  const { ticketKeys } = chainTls({ tls_certificates: [certificate()] }, context);
  assert.equal((ticketKeys as readonly unknown[]).length, 2);
  const reports = reportsOf(listenerType, listener({ tls_certificates: [certificate()] }, context));
  assert.ok(reports.includes(`${PATH}.session_ticket_keys.keys`));
  assert.equal(
    problem({ tls_certificates: [certificate()] }, { session_ticket_keys: { keys: [{ inline_string: "short" }] } }),
    `${PATH}.session_ticket_keys.keys[0]: has 5 bytes, allowed are 80`,
  );
});

test("who believes anybody is told", () => {
  assert.deepEqual(reportsOf(clusterType, cluster({ sni: "a.example" })), [
    "transport_socket.typed_config.common_tls_context",
  ]);
  const required = { require_client_certificate: true };
  assert.deepEqual(reportsOf(listenerType, listener({ tls_certificates: [certificate()] }, required)), [
    `${PATH}.require_client_certificate`,
  ]);
  const trusting = { common_tls_context: { validation_context: { trusted_ca: file("ca.pem") } } };
  assert.deepEqual(reportsOf(clusterType, cluster({ ...trusting, auto_sni_san_validation: true })), []);
  assert.match(
    errorsOf(clusterType, cluster({ auto_sni_san_validation: true })).join(),
    /auto_sni_san_validation: needs a trusted_ca/,
  );
});

test("a chain that asks for what the client's TLS says gets the inspector, and who reads is told", () => {
  const common = { tls_certificates: [certificate()] };
  const asking = listener(common, {}, { filter_chain_match: { server_names: ["A.Example", "*.B.example"] } });
  const { filterChains, listenerFilters } = accept(listenerType, asking);
  assert.deepEqual(filterChains[0]?.match?.serverNames, ["a.example", "*.b.example"]);
  assert.deepEqual(
    listenerFilters.map(({ type }) => type),
    ["tls-inspector"],
  );
  assert.deepEqual(reportsOf(listenerType, asking), ["listener_filters"]);
  const plain = listener(common, {}, { filter_chain_match: { transport_protocol: "raw_buffer" } });
  assert.deepEqual(accept(listenerType, plain).listenerFilters, []);
});

test("files of another machine are left alone", () => {
  const elsewhere = makeListenerType({ httpFilters: "unchecked" });
  const { filterChains } = accept(
    elsewhere,
    listener({ tls_certificates: [certificate({ private_key: file("/none") })] }),
  );
  assert.deepEqual(filterChains[0]?.tls?.common.certificates[0]?.privateKey, {
    source: "filename",
    name: "/none",
    content: undefined,
  });
});

test("what Istio, Kuma, Consul and Envoy Gateway send is read: from streams of their own, combined, inline, from files", () => {
  const grpc = (cluster_name: string): object => ({
    api_config_source: {
      api_type: "GRPC",
      set_node_on_first_message_only: true,
      transport_api_version: "V3",
      grpc_services: [{ envoy_grpc: { cluster_name } }],
    },
    initial_fetch_timeout: "0s",
    resource_api_version: "V3",
  });
  const istio = chainTls(
    {
      alpn_protocols: ["istio", "h2"],
      tls_params: { tls_minimum_protocol_version: "TLSv1_2" },
      tls_certificate_sds_secret_configs: [{ name: "default", sds_config: grpc("sds-grpc") }],
      combined_validation_context: {
        default_validation_context: { match_subject_alt_names: [{ prefix: "spiffe://cluster.local/" }] },
        validation_context_sds_secret_config: { name: "ROOTCA", sds_config: grpc("sds-grpc") },
      },
    },
    { require_client_certificate: true },
  );
  assert.equal(istio.common.validationSecret?.source?.initialFetchTimeoutMs, 0);
  assert.equal(istio.common.validationSecret?.source?.from.type, "api");
  assert.equal(istio.common.validation?.sanMatchers.length, 4); // of any kind

  const kuma = accept(
    clusterType,
    cluster({
      sni: "backend{mesh=default}",
      common_tls_context: {
        alpn_protocols: ["kuma"],
        tls_certificate_sds_secret_configs: [sds("identity_cert:secret:default")],
        combined_validation_context: {
          default_validation_context: {
            match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: "spiffe://default/backend" } }],
          },
          validation_context_sds_secret_config: sds("mesh_ca:secret:default"),
        },
      },
    }),
  );
  assert.deepEqual(kuma.tls?.common.certificateSecrets, [{ from: "sds", name: "identity_cert:secret:default" }]);

  const consul = chainTls(
    {
      tls_params: {},
      tls_certificates: [
        { certificate_chain: { inline_string: leaf.chain }, private_key: { inline_string: leaf.key } },
      ],
      validation_context: {
        trusted_ca: { inline_string: authority.certificate },
        match_typed_subject_alt_names: [
          { san_type: "URI", matcher: { exact: "spiffe://x/ns/default/dc/dc1/svc/web" } },
        ],
      },
    },
    { require_client_certificate: true },
  );
  assert.equal(consul.common.certificates.length, 1);

  const inFile = (path: string): object => ({ path_config_source: { path }, resource_api_version: "V3" });
  const gateway = accept(
    clusterType,
    cluster({
      common_tls_context: {
        tls_params: { tls_maximum_protocol_version: "TLSv1_3" },
        tls_certificate_sds_secret_configs: [
          { name: "xds_certificate", sds_config: inFile("/sds/xds-certificate.json") },
        ],
        validation_context_sds_secret_config: {
          name: "xds_trusted_ca",
          sds_config: inFile("/sds/xds-trusted-ca.json"),
        },
      },
    }),
  );
  assert.deepEqual(gateway.tls?.common.validationSecret?.source?.from, {
    type: "file",
    path: "/sds/xds-trusted-ca.json",
  });
});
