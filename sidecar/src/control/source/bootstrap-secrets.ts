import {
  type ClusterConfig,
  type FileOrigin,
  type SecretConfig,
  type SecretLookup,
  type SecretReference,
  secretKey,
  secretsOf,
} from "@heddle/traffic";
import type { ResourceType } from "@heddle/xds";
import { OWN_SECRETS, type OwnIdentity } from "../identity/own-identity.ts";
import { readResourceFile } from "./resource-file.ts";

/**
 * The secrets with which control planes are dialled: those of the bootstrap, and those that lie in files of this machine
 * (`path_config_source`, as gateways' bootstraps have it), which are read anew for each connection, and this sidecar's own. What
 * a control plane would have to bring is none: it cannot be asked before it is dialled.
 */
export function bootstrapSecrets(
  { secrets, clusters }: { readonly secrets: readonly SecretConfig[]; readonly clusters: readonly ClusterConfig[] },
  type: ResourceType<SecretConfig>,
  identity?: OwnIdentity,
): SecretLookup {
  const fixed = new Map(secrets.map((secret) => [secretKey({ from: "static", name: secret.name }), secret]));
  const inFiles = new Map(
    clusters.flatMap(({ tls }) => (tls === undefined ? [] : secretsOf(tls))).flatMap((reference) => fileOf(reference)),
  );
  return (key) => {
    const file = inFiles.get(key);
    if (file === undefined) return own(key, identity) ?? fixed.get(key);
    const read = readResourceFile(file.path, type);
    if (!read.ok) throw new Error(`${file.path}: ${read.error.join("; ")}`);
    return read.value.resources.get(file.name)?.config as SecretConfig | undefined; // its type has decoded it
  };
}

function own(key: string, identity: OwnIdentity | undefined): SecretConfig | undefined {
  const known = OWN_SECRETS.find(({ name }) => secretKey({ from: "static", name }) === key);
  return known === undefined ? undefined : identity?.secret(known.name);
}

function fileOf(reference: SecretReference): [string, { readonly name: string; readonly path: FileOrigin["path"] }][] {
  const from = reference.source?.from;
  return from?.type === "file" ? [[secretKey(reference), { name: reference.name, path: from.path }]] : [];
}
