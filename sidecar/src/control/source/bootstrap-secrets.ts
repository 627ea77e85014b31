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
import { readResourceFile } from "./resource-file.ts";

/**
 * The secrets with which control planes are dialled: those of the bootstrap, and those that lie in files of this machine
 * (`path_config_source`, as gateways' bootstraps have it), which are read anew for each connection. What a control plane
 * would have to bring is none: it cannot be asked before it is dialled.
 */
export function bootstrapSecrets(
  { secrets, clusters }: { readonly secrets: readonly SecretConfig[]; readonly clusters: readonly ClusterConfig[] },
  type: ResourceType<SecretConfig>,
): SecretLookup {
  const fixed = new Map(secrets.map((secret) => [secretKey({ from: "static", name: secret.name }), secret]));
  const inFiles = new Map(
    clusters.flatMap(({ tls }) => (tls === undefined ? [] : secretsOf(tls))).flatMap((reference) => fileOf(reference)),
  );
  return (key) => {
    const file = inFiles.get(key);
    if (file === undefined) return fixed.get(key);
    const read = readResourceFile(file.path, type);
    if (!read.ok) throw new Error(`${file.path}: ${read.error.join("; ")}`);
    return read.value.resources.get(file.name)?.config as SecretConfig | undefined; // its type has decoded it
  };
}

function fileOf(reference: SecretReference): [string, { readonly name: string; readonly path: FileOrigin["path"] }][] {
  const from = reference.source?.from;
  return from?.type === "file" ? [[secretKey(reference), { name: reference.name, path: from.path }]] : [];
}
