import type { JsonObject } from "./kube-object.ts";
import type { KubeEndpoint } from "./kube-requests.ts";

/** A file by which clients find a server, of one user with these credentials. YAML, since it is JSON. */
export function kubeconfigText({ url, ca }: KubeEndpoint, user: string, credentials: JsonObject): string {
  const cluster = { server: url, "certificate-authority-data": Buffer.from(ca).toString("base64") };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "test", cluster }],
    users: [{ name: user, user: credentials }],
    contexts: [{ name: "test", context: { cluster: "test", user } }],
    "current-context": "test",
  });
}

export function adminKubeconfig(endpoint: KubeEndpoint): string {
  return kubeconfigText(endpoint, "admin", { token: endpoint.adminToken });
}
