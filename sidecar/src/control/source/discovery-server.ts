import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { err, ok, type Result } from "@heddle/base";
import { clientCredentials } from "@heddle/net";
import {
  type Address,
  type ClusterConfig,
  clientTlsSettings,
  type DataConfig,
  type DiscoveryServer,
  type SecretLookup,
  type SecretReference,
  secretsOf,
  type UpstreamTlsConfig,
  withSecrets,
} from "@heddle/traffic";
import { type RestEndpoint, type XdsDial, xdsDial } from "@heddle/xds/client";
import { grpcTargets } from "../grpc-target.ts";
import { OWN_SECRETS, type OwnIdentity } from "../identity/own-identity.ts";
import { tlsNameOf } from "../identity/tls-name.ts";

/** Where control planes are found. */
export interface ServerDirectory {
  /** Of the bootstrap. */
  readonly clusters: readonly ClusterConfig[];
  /** Of the bootstrap. */
  readonly secrets: SecretLookup;
  readonly wallNow: () => number;
  /** Left out: this sidecar has none. */
  readonly identity?: OwnIdentity | undefined;
}

/**
 * How a control plane is dialled: what the bootstrap names, or the endpoints of the static cluster that it names, in their order,
 * with the cluster's TLS. gRPC resolves names anew for each attempt, and certificates that lie in files are read anew; the
 * traffic workers know nothing of it.
 */
export function dialOf(server: DiscoveryServer, directory: ServerDirectory): Result<XdsDial, string> {
  const { target, authority, metadata, ssl, byIdentity } = server;
  const common = { ...(authority !== undefined && { authority }), ...(metadata !== undefined && { metadata }) };
  if (target.type === "address") {
    if (byIdentity === true) {
      const { identity } = directory;
      if (identity === undefined) return err("it is to be shown an identity, and there is none");
      const security = (): ChannelCredentials => identity.security();
      return ok(xdsDial(target.address, { ...common, security, serverName: tlsNameOf(target.address) }));
    }
    if (ssl === undefined) return ok(xdsDial(target.address, common));
    const bytes = lastGood(() => sslBytes(ssl));
    return tested(
      () => credentials.createSsl(...bytes()),
      (security) => xdsDial(target.address, { ...common, security }),
    );
  }
  const cluster = clusterOf(target.name, directory);
  if (!cluster.ok) return cluster;
  const { addresses, tls, what } = cluster.value;
  const targets = grpcTargets(what, addresses);
  if (!targets.ok) return targets;
  if (tls === undefined) return ok(xdsDial(targets.value, common));
  const options = lastGood(() => tlsOptions(tls, directory));
  return tested(
    () => {
      const { secureContext, ...verify } = options();
      return credentials.createFromSecureContext(secureContext, verify);
    },
    (security) => xdsDial(targets.value, { ...common, security, ...(tls.sni !== "" && { serverName: tls.sni }) }),
  );
}

/** The endpoints of a static cluster that is polled. */
export function restEndpointsOf(name: string, directory: ServerDirectory): Result<readonly RestEndpoint[], string> {
  const cluster = clusterOf(name, directory);
  if (!cluster.ok) return cluster;
  const { addresses, tls, what } = cluster.value;
  if (addresses.length === 0) return err(`${what} has no endpoints`);
  const plain = addresses.map((address): RestEndpoint => {
    return address.type === "pipe"
      ? { address: { socketPath: address.path } }
      : { address: { host: address.address, port: address.port } };
  });
  if (tls === undefined) return ok(plain);
  const servername = tls.sni === "" ? {} : { servername: tls.sni };
  return tested(
    lastGood((): ConnectionOptions => ({ ...tlsOptions(tls, directory), ...servername })),
    (options) => plain.map((endpoint) => ({ ...endpoint, tls: options })),
  );
}

interface StaticCluster {
  readonly addresses: readonly Address[];
  readonly tls: UpstreamTlsConfig | undefined;
  /** For errors. */
  readonly what: string;
}

function clusterOf(name: string, { clusters }: ServerDirectory): Result<StaticCluster, string> {
  const what = `the xDS cluster "${name}"`;
  const cluster = clusters.find((one) => one.name === name);
  if (cluster === undefined) return err(`${what} is not among the static clusters`);
  if (cluster.discovery.type === "EDS")
    return err(`${what} is of type EDS; whom to ask for its endpoints, nobody knows`);
  if (cluster.discovery.type === "ORIGINAL_DST")
    return err(`${what} is of type ORIGINAL_DST; no client says where it is`);
  // Nothing that protects a connection is left out in silence.
  if (cluster.transportSocketMatches !== undefined)
    return err(`${what} has transport_socket_matches, which do not work here`);
  if (cluster.proxyProtocol !== undefined) return err(`${what} begins with PROXY protocol, which does not work here`);
  if (cluster.upstreamBindConfig !== undefined)
    return err(`${what} has upstream_bind_config, which does not work here`);
  const addresses = cluster.discovery.loadAssignment.localities
    .toSorted((a, b) => a.priority - b.priority)
    .flatMap(({ endpoints }) => endpoints.map(({ address }) => address));
  return ok({ addresses, tls: cluster.tls, what });
}

/** Made once to see whether it works, and again for each connection. What is still to come may come until then. */
function tested<Made, Use>(make: () => Made, use: (make: () => Made) => Use): Result<Use, string> {
  try {
    make();
  } catch (error) {
    if (error instanceof IdentityToCome) return ok(use(make));
    return err(`its TLS cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
  return ok(use(make));
}

/**
 * As it was made last where it cannot be made now: a key and its certificate are replaced one after the other, and between the two
 * they do not fit. Throws as long as it has never been made.
 */
function lastGood<Made>(make: () => Made): () => Made {
  let good: { readonly made: Made } | undefined;
  return () => {
    try {
      good = { made: make() };
    } catch (error) {
      if (good === undefined) throw error;
    }
    return good.made;
  };
}

/** Nobody has told this sidecar who it is so far. */
class IdentityToCome extends Error {
  constructor() {
    super("there is no certificate to show yet");
  }
}

function tlsOptions(config: UpstreamTlsConfig, { secrets, wallNow, identity }: ServerDirectory) {
  const complete = withSecrets(config, secrets);
  if (complete === undefined) {
    const isOwn = ({ from, name }: SecretReference): boolean =>
      from === "static" && OWN_SECRETS.some((own) => own.name === name);
    if (identity !== undefined && secretsOf(config).some(isOwn)) throw new IdentityToCome();
    throw new Error("its secrets are none of the bootstrap's");
  }
  const { common } = complete;
  const { validation } = common;
  const fresh: UpstreamTlsConfig = {
    ...complete,
    common: {
      ...common,
      certificates: common.certificates.map((certificate) => ({
        ...certificate,
        certificateChain: readAgain(certificate.certificateChain),
        privateKey: readAgain(certificate.privateKey),
        password: certificate.password && readAgain(certificate.password),
      })),
      validation: validation && {
        ...validation,
        trustedCa: validation.trustedCa && readAgain(validation.trustedCa),
        crl: validation.crl && readAgain(validation.crl),
        ...(validation.spiffe && {
          spiffe: {
            trustDomains: validation.spiffe.trustDomains.map(({ name, bundle }) => ({
              name,
              bundle: readAgain(bundle),
            })),
            ...(validation.spiffe.bundleMap && { bundleMap: readAgain(validation.spiffe.bundleMap) }),
          },
        }),
      },
    },
  };
  return clientCredentials(clientTlsSettings(fresh), wallNow);
}

/** `google_grpc`: gRPC checks the name of the target. */
function sslBytes({ rootCerts, privateKey, certChain }: NonNullable<DiscoveryServer["ssl"]>): SslBytes {
  const bytes = (data: DataConfig | undefined): Buffer | null => {
    const content = data && readAgain(data).content;
    return content === undefined ? null : Buffer.from(content, "latin1");
  };
  const all: SslBytes = [bytes(rootCerts), bytes(privateKey), bytes(certChain)];
  credentials.createSsl(...all); // whether they fit
  return all;
}

type SslBytes = readonly [root: Buffer | null, key: Buffer | null, certificate: Buffer | null];

/** As the file is now; as it was where it cannot be read and has been before. */
function readAgain(data: DataConfig): DataConfig {
  if (data.source !== "filename") return data;
  try {
    return { ...data, content: readFileSync(data.name, "latin1") };
  } catch (error) {
    if (data.content !== undefined) return data;
    throw error;
  }
}
