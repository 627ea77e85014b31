import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { TestAuthority } from "@heddle/net/testing";
import type { Address, ClusterConfig, DataConfig, DiscoveryServer, UpstreamTlsConfig } from "@heddle/traffic";
import { grpcTargets } from "../grpc-target.ts";
import type { OwnIdentity } from "../identity/own-identity.ts";
import { dialOf, restEndpointsOf } from "./discovery-server.ts";

const XDS: DiscoveryServer = { target: { type: "cluster", name: "xds" } };

test("endpoints become gRPC's names for them, in their order; those of one family are one name", () => {
  const targets = (...addresses: Address[]): unknown => {
    const result = grpcTargets("it", addresses);
    return result.ok ? result.value : result.error;
  };
  assert.deepEqual(targets(ip("10.0.0.1")), ["ipv4:10.0.0.1:18000"]);
  assert.deepEqual(targets(ip("10.0.0.2"), ip("10.0.0.1")), ["ipv4:10.0.0.2:18000,10.0.0.1:18000"]);
  assert.deepEqual(targets(ip("::1"), ip("10.0.0.1")), ["ipv6:[::1]:18000", "ipv4:10.0.0.1:18000"]);
  assert.deepEqual(targets(ip("cp.test"), ip("cp2.test")), ["dns:///cp.test:18000", "dns:///cp2.test:18000"]);
  assert.deepEqual(targets({ type: "pipe", path: "/run/cp.sock", mode: undefined }), ["unix:/run/cp.sock"]);
  assert.equal(targets(), "it has no endpoints");
});

test("a control plane of a static cluster is dialled, one that only a control plane knows is not", () => {
  const eds = { name: "xds", discovery: { type: "EDS", serviceName: "x" } } as ClusterConfig;
  assert.ok(dial(cluster(ip("10.0.0.1"))).ok);
  assert.deepEqual(
    reason(dial(eds)),
    'the xDS cluster "xds" is of type EDS; whom to ask for its endpoints, nobody knows',
  );
  assert.match(reason(dial()), /is not among the static clusters/);
  assert.match(reason(dial(cluster())), /has no endpoints/);
});

test("nothing that protects a connection is left out in silence", () => {
  const withMatches = { ...cluster(ip("10.0.0.1")), transportSocketMatches: [] };
  assert.match(reason(dial(withMatches)), /transport_socket_matches/);
  const proxied = { ...cluster(ip("10.0.0.1")), proxyProtocol: { version: 1, passThroughTlvs: [] } } as ClusterConfig;
  assert.match(reason(dial(proxied)), /PROXY protocol/);
  const tls = (validation: object | undefined, more: object = {}): ClusterConfig => {
    const common = { params: PARAMS, certificates: [], validation, alpnProtocols: [], ...more };
    return { ...cluster(ip("10.0.0.1")), tls: { common, sni: "" } as unknown as UpstreamTlsConfig };
  };
  assert.ok(dial(tls(undefined)).ok);
  const named = {
    ...NO_RULES,
    sanMatchers: [{ type: "DNS", oid: "", matcher: { type: "exact", value: "cp", ignoreCase: false } }],
  };
  assert.match(reason(dial(tls(named))), /names and hashes are checked only beside a trusted_ca/);
  assert.match(
    reason(dial(tls(undefined, { params: { ...PARAMS, cipherSuites: ["NO-SUCH-CIPHER"] } }))),
    /its TLS cannot be used/,
  );
  const secret = { validationSecret: { from: "sds", name: "ca" } };
  assert.match(reason(dial(tls(undefined, secret))), /its secrets are none of the bootstrap's/);
});

test("a control plane that is shown this sidecar's own certificate may be named before there is one", () => {
  const reference = (name: string): object => ({ from: "static", name });
  const common = { params: PARAMS, certificates: [], alpnProtocols: [], validation: undefined };
  const own = { certificateSecrets: [reference("default")], validationSecret: reference("ROOTCA") };
  const tls = { common: { ...common, ...own }, sni: "" } as unknown as UpstreamTlsConfig;
  const clusters = [{ ...cluster(ip("10.0.0.1")), tls }];
  const identity = {
    security: () => {
      throw new Error("there is no certificate to show to the control plane");
    },
  } as unknown as OwnIdentity;
  const directory = { clusters, secrets: () => undefined, wallNow: () => 0 };
  assert.match(reason(dialOf(XDS, directory)), /its secrets are none of the bootstrap's/);
  const dialled = dialOf(XDS, { ...directory, identity });
  assert.ok(dialled.ok);
  assert.throws(() => dialled.value(), /no certificate to show yet/, "and is not dialled without it");

  const ours: DiscoveryServer = { target: { type: "address", address: "127.0.0.1:15012" }, byIdentity: true };
  assert.match(reason(dialOf(ours, directory)), /there is none/, "never in plaintext");
  const secured = dialOf(ours, { ...directory, identity });
  assert.ok(secured.ok);
  assert.throws(() => secured.value(), /no certificate to show/);
});

test("certificates of google_grpc lie in files that have to be there", () => {
  const rootCerts = { source: "filename", name: "/nowhere/ca.pem", content: undefined } as const;
  const server: DiscoveryServer = { target: { type: "address", address: "cp:443" }, ssl: { rootCerts } };
  const directory = { clusters: [], secrets: () => undefined, wallNow: () => 0 };
  assert.match(reason(dialOf(server, directory)), /its TLS cannot be used: ENOENT/);
  assert.ok(dialOf({ ...server, ssl: {} }, directory).ok, "the system's authorities");
});

test("a key and its certificate that are replaced one after the other do not keep a control plane from being dialled", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "discovery-server-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const authority = new TestAuthority();
  const [first, second] = [authority.issue({ commonName: "first" }), authority.issue({ commonName: "second" })];
  const file = (name: string, text: string): DataConfig => {
    writeFileSync(join(folder, name), text);
    return { source: "filename", name: join(folder, name), content: text };
  };
  const certificateChain = file("cert.pem", first.chain);
  const privateKey = file("cert.key", first.key);
  const certificates = [{ certificateChain, privateKey, password: undefined }];
  const common = { params: PARAMS, certificates, validation: undefined, alpnProtocols: [] };
  const tls = { common, sni: "" } as unknown as UpstreamTlsConfig;
  const directory = { clusters: [{ ...cluster(ip("10.0.0.1")), tls }], secrets: () => undefined, wallNow: () => 0 };
  const google = dialOf(
    { target: { type: "address", address: "cp:443" }, ssl: { privateKey, certChain: certificateChain } },
    directory,
  );
  const stream = dialOf(XDS, directory);
  const polled = restEndpointsOf("xds", directory);
  assert.ok(google.ok && stream.ok && polled.ok);
  file("cert.pem", second.chain);
  for (const one of [google, stream]) one.value().close();
  assert.ok(polled.value[0]?.tls?.());
  assert.match(reason(dialOf(XDS, directory)), /its TLS cannot be used/, "there is nothing good to fall back on");
});

test("what is polled has its endpoints, Unix sockets too", () => {
  const all = [cluster({ type: "pipe", path: "/run/cp.sock", mode: undefined }, ip("10.0.0.1"))];
  const found = restEndpointsOf("xds", { clusters: all, secrets: () => undefined, wallNow: () => 0 });
  assert.deepEqual(found, {
    ok: true,
    value: [{ address: { socketPath: "/run/cp.sock" } }, { address: { host: "10.0.0.1", port: 18_000 } }],
  });
});

const PARAMS = {
  minimumVersion: "TLS_AUTO",
  maximumVersion: "TLS_AUTO",
  cipherSuites: [],
  ecdhCurves: [],
  signatureAlgorithms: [],
};
const NO_RULES = {
  sanMatchers: [],
  spkiHashes: [],
  certificateHashes: [],
  systemRoots: false,
  trustChainVerification: "VERIFY_TRUST_CHAIN",
};

function dial(...clusters: ClusterConfig[]) {
  return dialOf(XDS, { clusters, secrets: () => undefined, wallNow: () => 0 });
}

function reason(result: ReturnType<typeof dial>): string {
  return result.ok ? "" : result.error;
}

function ip(address: string): Address {
  return { type: "socket", address, port: 18_000 };
}

function cluster(...addresses: Address[]): ClusterConfig {
  const localities = addresses.map((address, priority) => ({ priority, endpoints: [{ address }] }));
  return { name: "xds", discovery: { type: "STATIC", loadAssignment: { localities } } } as unknown as ClusterConfig;
}
