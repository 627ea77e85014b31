import type { Json, JsonObject } from "@heddle/base";
import { DEFAULT_REVISION } from "../should-inject.ts";
import { DEFAULT_WEBHOOK_SETTINGS, webhookConfigurations } from "../webhook-configurations.ts";
import { clusterRules, ownRules } from "./access-rules.ts";
import { cniObjects } from "./cni-objects.ts";
import { CONTROL_PLANE_ACCOUNT, controlPlaneName } from "./control-plane-names.ts";
import { customResourceDefinitions } from "./custom-resources.ts";
import type { InstallSettings } from "./install-settings.ts";
import { namesToDelete } from "./names-to-delete.ts";
import { tagObjects } from "./tag-objects.ts";

const RBAC = "rbac.authorization.k8s.io";
/** Of the control plane: what design and docs call its ports. */
const PORTS = { xds: 15_012, webhooks: 15_017 } as const;
const UID = 1337;
const CA_DIR = "/var/run/heddle/ca";
const SETTINGS_DIR = "/etc/heddle";

/**
 * Everything that a cluster needs to be a mesh, in the order in which it is to be made: the namespace, the kinds, who may do what, the
 * control plane, and last the webhooks that ask it.
 */
export function installObjects(settings: InstallSettings): readonly JsonObject[] {
  const { namespace, revision } = settings.injection;
  const name = controlPlaneName(revision);
  const webhooks = webhookConfigurations({ ...DEFAULT_WEBHOOK_SETTINGS, revision, namespace, service: name });
  const webhookNames = webhooks.map((one) => (one["metadata"] as JsonObject)["name"] as string);
  return [
    {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: {
        name: namespace,
        labels: {
          ...PART_OF,
          "heddle.dev/inject": "disabled",
          // Nothing of ours here needs more.
          "pod-security.kubernetes.io/enforce": "restricted",
        },
        // The Secret of the authority is in it, which is not the chart's to take away.
        annotations: { "helm.sh/resource-policy": "keep" },
      },
    },
    ...customResourceDefinitions(),
    { apiVersion: "v1", kind: "ServiceAccount", metadata: metadata(settings, CONTROL_PLANE_ACCOUNT, true) },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRole",
      metadata: metadata(settings, name),
      rules: clusterRules(webhookNames),
    },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRoleBinding",
      metadata: metadata(settings, name),
      roleRef: { apiGroup: RBAC, kind: "ClusterRole", name },
      subjects: [{ kind: "ServiceAccount", name: CONTROL_PLANE_ACCOUNT, namespace }],
    },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "Role",
      metadata: metadata(settings, name, true),
      rules: ownRules(revision),
    },
    {
      apiVersion: `${RBAC}/v1`,
      kind: "RoleBinding",
      metadata: metadata(settings, name, true),
      roleRef: { apiGroup: RBAC, kind: "Role", name },
      subjects: [{ kind: "ServiceAccount", name: CONTROL_PLANE_ACCOUNT, namespace }],
    },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: metadata(settings, injectionName(revision), true),
      data: { "injection.json": injectionText(settings) },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: metadata(settings, name, true),
      spec: {
        selector: selectorOf(revision),
        ports: [
          { name: "grpc-xds", port: PORTS.xds, targetPort: PORTS.xds, protocol: "TCP" },
          { name: "https-webhooks", port: 443, targetPort: PORTS.webhooks, protocol: "TCP" },
        ],
      },
    },
    {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: metadata(settings, name, true),
      // One replica alone would keep its node from ever being drained.
      spec: {
        ...(settings.replicas > 1 ? { minAvailable: 1 } : { maxUnavailable: 1 }),
        selector: { matchLabels: selectorOf(revision) },
      },
    },
    deployment(settings, name),
    ...(settings.injection.cni ? cniObjects(settings) : []),
    ...webhooks,
    ...settings.tags.flatMap((tag) => tagObjects({ tag, revision, namespace })),
  ];
}

/**
 * What takes an installation away again, in the reverse of its order, whether it all is there or not; the namespace and the kinds, and so
 * everything of them, only if asked for.
 */
export function uninstallObjects(settings: InstallSettings, everything: boolean): readonly JsonObject[] {
  const keep = new Set<Json | undefined>(everything ? [] : ["Namespace", "CustomResourceDefinition"]);
  const isDefault = settings.injection.revision === DEFAULT_REVISION;
  // Revisions share an account, and the plugin of the nodes: it may be there.
  if (!everything && !isDefault) keep.add("ServiceAccount");
  const injection = { ...settings.injection, cni: isDefault || everything };
  return namesToDelete(installObjects({ ...settings, injection }).filter(({ kind }) => !keep.has(kind)));
}

const PART_OF = { "app.kubernetes.io/part-of": "heddle", "app.kubernetes.io/managed-by": "heddle" };

function metadata({ injection }: InstallSettings, name: string, namespaced = false): JsonObject {
  return {
    name,
    ...(namespaced && { namespace: injection.namespace }),
    labels: { ...PART_OF, "app.kubernetes.io/name": "heddle-control-plane" },
  };
}

function injectionName(revision: string): string {
  return revision === DEFAULT_REVISION ? "heddle-injection" : `heddle-injection-${revision}`;
}

function selectorOf(revision: string): Readonly<Record<string, string>> {
  return { "app.kubernetes.io/name": "heddle-control-plane", "heddle.dev/rev": revision };
}

/** What injection needs to know; undefined is no JSON. */
function injectionText({ injection }: InstallSettings): string {
  return JSON.stringify(injection);
}

function deployment(settings: InstallSettings, name: string): JsonObject {
  const { injection, replicas } = settings;
  const { revision } = injection;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: metadata(settings, name, true),
    spec: {
      replicas,
      selector: { matchLabels: selectorOf(revision) },
      // A new one serves before an old one ends.
      strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      template: {
        metadata: { labels: { ...PART_OF, ...selectorOf(revision), "heddle.dev/inject": "false" } },
        spec: {
          serviceAccountName: CONTROL_PLANE_ACCOUNT,
          nodeSelector: { "kubernetes.io/os": "linux" },
          terminationGracePeriodSeconds: 30,
          securityContext: {
            runAsNonRoot: true,
            runAsUser: UID,
            runAsGroup: UID,
            fsGroup: UID,
            seccompProfile: { type: "RuntimeDefault" },
          },
          affinity: {
            podAntiAffinity: {
              preferredDuringSchedulingIgnoredDuringExecution: [
                {
                  weight: 100,
                  podAffinityTerm: {
                    topologyKey: "kubernetes.io/hostname",
                    labelSelector: { matchLabels: selectorOf(revision) },
                  },
                },
              ],
            },
          },
          containers: [controlPlaneContainer(settings, name)],
          volumes: [
            { name: "ca", secret: { secretName: settings.caSecret, defaultMode: 0o440 } },
            { name: "injection", configMap: { name: injectionName(revision) } },
            { name: "tmp", emptyDir: { sizeLimit: "16Mi" } },
          ],
        },
      },
    },
  };
}

function controlPlaneContainer({ injection, store }: InstallSettings, name: string): JsonObject {
  const { namespace, image, imagePullPolicy, trustDomain, revision } = injection;
  return {
    name: "control-plane",
    image,
    ...(imagePullPolicy !== undefined && { imagePullPolicy }),
    args: [
      "control-plane",
      "--kubernetes",
      "--trust-domain",
      trustDomain,
      "--ca-certificate",
      `${CA_DIR}/tls.crt`,
      "--ca-key",
      `${CA_DIR}/tls.key`,
      "--xds-tls-address",
      `[::]:${PORTS.xds}`,
      ...["svc", "svc.cluster.local"].flatMap((domain) => ["--tls-san", `${name}.${namespace}.${domain}`]),
      "--webhook-address",
      `[::]:${PORTS.webhooks}`,
      "--webhook-san",
      `${name}.${namespace}.svc`,
      "--injection-settings",
      `${SETTINGS_DIR}/injection.json`,
      "--revision",
      revision,
      "--identifier",
      "$(POD_NAME)",
      ...(store === undefined ? [] : ["--store", store]),
    ],
    env: [
      { name: "POD_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
      { name: "POD_NAMESPACE", valueFrom: { fieldRef: { fieldPath: "metadata.namespace" } } },
    ],
    ports: [
      { name: "grpc-xds", containerPort: PORTS.xds, protocol: "TCP" },
      { name: "https-webhooks", containerPort: PORTS.webhooks, protocol: "TCP" },
    ],
    // By the webhooks' port: admin is on loopback, since it has no authentication.
    startupProbe: probe("/healthz", { periodSeconds: 2, failureThreshold: 60 }),
    readinessProbe: probe("/readyz", { periodSeconds: 5, failureThreshold: 3 }),
    livenessProbe: probe("/healthz", { periodSeconds: 10, failureThreshold: 6 }),
    resources: { requests: { cpu: "200m", memory: "256Mi" }, limits: { memory: "1Gi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: [
      { name: "ca", mountPath: CA_DIR, readOnly: true },
      { name: "injection", mountPath: SETTINGS_DIR, readOnly: true },
      { name: "tmp", mountPath: "/tmp" },
    ],
  };
}

function probe(path: string, times: JsonObject): JsonObject {
  return { httpGet: { path, port: PORTS.webhooks, scheme: "HTTPS" }, timeoutSeconds: 5, ...times };
}
