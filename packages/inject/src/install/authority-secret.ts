import type { JsonObject } from "@heddle/base";
import type { InstallSettings } from "./install-settings.ts";

/** PEM of the authority that signs workloads' certificates. */
export interface AuthorityPems {
  /** What signs, behind it what leads to a root, and the root. */
  readonly certificates: string;
  readonly privateKey: string;
}

/**
 * The Secret that every replica signs with. Deleting the mesh's namespace alone takes it away: no list of what is to be deleted has it, since
 * without it no sidecar believes the next control plane.
 */
export function authoritySecret(
  { injection, caSecret }: InstallSettings,
  { certificates, privateKey }: AuthorityPems,
): JsonObject {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: caSecret,
      namespace: injection.namespace,
      labels: { "app.kubernetes.io/part-of": "heddle", "app.kubernetes.io/managed-by": "heddle" },
    },
    type: "kubernetes.io/tls",
    data: { "tls.crt": base64(certificates), "tls.key": base64(privateKey) },
  };
}
