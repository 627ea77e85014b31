import type { JsonObject } from "./kube-object.ts";
import type { KubeEndpoint } from "./kube-requests.ts";

/** A file by which clients find a server, of one user with these credentials. YAML, since it is JSON. */
export function kubeconfigText(
  { url, ca }: KubeEndpoint,
  user: string,
  credentials: JsonObject,
  namespace = "default",
): string {
  const cluster = { server: url, "certificate-authority-data": Buffer.from(ca).toString("base64") };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster }],
    users: [{ name: user, user: credentials }],
    contexts: [{ name: "test", context: { cluster: "test", user, namespace } }],
    "current-context": "test",
  });
}

export function adminKubeconfig(endpoint: KubeEndpoint, namespace?: string): string {
  return kubeconfigText(endpoint, "admin", adminCredentials(endpoint), namespace);
}

function adminCredentials({ adminToken, adminCertificate }: KubeEndpoint): JsonObject {
  const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
  return {
    ...(adminToken !== undefined && { token: adminToken }),
    ...(adminCertificate !== undefined && {
      "client-certificate-data": base64(adminCertificate.certificate),
      "client-key-data": base64(adminCertificate.key),
    }),
  };
}
