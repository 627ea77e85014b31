import type { JsonObject } from "@heddle/base";
import type { InstallSettings } from "./install-settings.ts";

/** Where what serves a node lives: Pod Security of the mesh's own namespace would not let it in. */
const NAMESPACE = "kube-system";
export const CNI_NAME = "heddle-cni";
const RBAC = "rbac.authorization.k8s.io";

/**
 * The CNI plugin, put on every node and kept there by `heddle cni install`. The one thing of ours that is root on a node: it writes the
 * two folders of CNI and enters the network namespaces of injected pods whose rules are missing, and has the capabilities for that.
 */
export function cniObjects({ injection, cniBinDir, cniConfDir }: InstallSettings): readonly JsonObject[] {
  const labels = {
    "app.kubernetes.io/part-of": "heddle",
    "app.kubernetes.io/managed-by": "heddle",
    "app.kubernetes.io/name": CNI_NAME,
  };
  const selector = { "app.kubernetes.io/name": CNI_NAME };
  const { image, imagePullPolicy, namespace } = injection;
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: CNI_NAME, namespace: NAMESPACE, labels } },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRole",
      metadata: { name: CNI_NAME, labels },
      rules: [{ apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] }],
    },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: CNI_NAME, labels },
      roleRef: { apiGroup: RBAC, kind: "ClusterRole", name: CNI_NAME },
      subjects: [{ kind: "ServiceAccount", name: CNI_NAME, namespace: NAMESPACE }],
    },
    {
      apiVersion: "apps/v1",
      kind: "DaemonSet",
      metadata: { name: CNI_NAME, namespace: NAMESPACE, labels },
      spec: {
        selector: { matchLabels: selector },
        updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } },
        template: {
          metadata: { labels: { ...labels, "heddle.dev/inject": "false" } },
          spec: {
            serviceAccountName: CNI_NAME,
            priorityClassName: "system-node-critical",
            nodeSelector: { "kubernetes.io/os": "linux" },
            tolerations: [{ operator: "Exists" }],
            hostNetwork: true,
            // A pod's network namespace is found by its processes.
            hostPID: true,
            terminationGracePeriodSeconds: 10,
            containers: [
              {
                name: "install",
                image,
                ...(imagePullPolicy !== undefined && { imagePullPolicy }),
                args: [
                  "cni",
                  "install",
                  "--copy-program",
                  "--host-bin-dir",
                  cniBinDir,
                  "--host-conf-dir",
                  cniConfDir,
                  ...["kube-system", namespace].flatMap((name) => ["--exclude-namespace", name]),
                ],
                env: [
                  { name: "NODE_NAME", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } },
                  // iptables-legacy makes a file for its lock, and /run is not to be written to.
                  { name: "XTABLES_LOCKFILE", value: "/tmp/xtables.lock" },
                ],
                resources: { requests: { cpu: "20m", memory: "96Mi" }, limits: { memory: "256Mi" } },
                securityContext: {
                  runAsUser: 0,
                  runAsGroup: 0,
                  runAsNonRoot: false,
                  readOnlyRootFilesystem: true,
                  allowPrivilegeEscalation: false,
                  privileged: false,
                  seccompProfile: { type: "RuntimeDefault" },
                  // SYS_ADMIN and SYS_PTRACE: to enter a pod's namespace.
                  capabilities: { add: ["NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE"], drop: ["ALL"] },
                },
                volumeMounts: [
                  { name: "cni-bin", mountPath: "/host/opt/cni/bin" },
                  { name: "cni-conf", mountPath: "/host/etc/cni/net.d" },
                  { name: "tmp", mountPath: "/tmp" },
                ],
              },
            ],
            volumes: [
              { name: "cni-bin", hostPath: { path: cniBinDir, type: "DirectoryOrCreate" } },
              { name: "cni-conf", hostPath: { path: cniConfDir, type: "DirectoryOrCreate" } },
              { name: "tmp", emptyDir: { sizeLimit: "16Mi" } },
            ],
          },
        },
      },
    },
  ];
}
