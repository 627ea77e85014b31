import type { Json, JsonObject } from "@heddle/base";
import { PROXY_UID } from "@heddle/capture";
import { APP_PROBES_VARIABLE, type AppProbes, unexpanded } from "./app-probes.ts";
import {
  CA_ROOT_CONFIG_MAP,
  CAPTURE_CONTAINER,
  INJECTED_CONTAINER,
  SIDECAR_PORTS,
  TOKEN_AUDIENCE,
  VALIDATION_CONTAINER,
} from "./names.ts";
import type { PodSettings } from "./pod-annotations.ts";

const CA_DIR = "/var/run/heddle/ca";
const TOKEN_DIR = "/var/run/heddle/token";
const IDENTITY_DIR = "/var/run/heddle/identity";
/** The least that the API server grants is 600; the kubelet renews at 80 %. */
const TOKEN_SECONDS = 3600;

/** The sidecar, without what makes it a native one or a plain one. */
export function sidecarContainer(settings: PodSettings, workload: string, probes: AppProbes): JsonObject {
  const env: Json[] = [
    fieldEnv("POD_NAME", "metadata.name"),
    fieldEnv("POD_NAMESPACE", "metadata.namespace"),
    fieldEnv("POD_UID", "metadata.uid"),
    fieldEnv("POD_IPS", "status.podIPs"),
    fieldEnv("NODE_NAME", "spec.nodeName"),
    fieldEnv("SERVICE_ACCOUNT", "spec.serviceAccountName"),
    { name: "HEDDLE_WORKLOAD", value: workload },
    { name: "HEDDLE_CAPTURE", value: settings.capture },
    { name: "HEDDLE_TRUST_DOMAIN", value: settings.trustDomain },
  ];
  if (Object.keys(probes).length > 0)
    env.push({ name: APP_PROBES_VARIABLE, value: unexpanded(JSON.stringify(probes)) });
  return {
    name: INJECTED_CONTAINER,
    image: settings.image,
    ...(settings.imagePullPolicy !== undefined && { imagePullPolicy: settings.imagePullPolicy }),
    args: [
      "sidecar",
      "--node-id",
      "$(POD_NAMESPACE)/$(HEDDLE_WORKLOAD)/$(POD_NAME)",
      "--control-plane",
      settings.controlPlane,
      "--ca-bundle",
      `${CA_DIR}/root.pem`,
      "--service-account-token",
      `${TOKEN_DIR}/token`,
      "--identity-dir",
      IDENTITY_DIR,
      "--health-address",
      `[::]:${SIDECAR_PORTS.health}`,
      "--metrics-address",
      `[::]:${SIDECAR_PORTS.metrics}`,
      "--concurrency",
      String(settings.concurrency),
      "--log-level",
      settings.logLevel,
      "--drain-time-s",
      String(settings.drainSeconds),
    ],
    env,
    ports: [
      { name: "heddle-metrics", containerPort: SIDECAR_PORTS.metrics, protocol: "TCP" },
      { name: "heddle-health", containerPort: SIDECAR_PORTS.health, protocol: "TCP" },
    ],
    // Ten minutes: whatever the control plane goes through, restarting its sidecars would not help it.
    startupProbe: healthProbe("ready", { periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 600 }),
    readinessProbe: healthProbe("ready", { periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 3 }),
    livenessProbe: healthProbe("live", { periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 }),
    resources: resources(settings),
    securityContext: { ...CONFINED, ...(settings.capture === "tproxy" ? TRANSPARENT_USER : PLAIN_USER) },
    volumeMounts: [
      { name: "heddle-ca", mountPath: CA_DIR, readOnly: true },
      { name: "heddle-token", mountPath: TOKEN_DIR, readOnly: true },
      { name: "heddle-identity", mountPath: IDENTITY_DIR },
    ],
  };
}

/** Starts before the application's containers, ends behind them, and does not keep a job from ending (Kubernetes 1.29 on). */
export function asNativeSidecar(sidecar: JsonObject): JsonObject {
  const { name, image, ...rest } = sidecar as JsonObject & { name: string; image: string };
  return { name, image, restartPolicy: "Always", ...rest };
}

/** Beside the application's containers, for clusters without native sidecars: hooks hold the order that the kubelet does not. */
export function asPlainContainer(sidecar: JsonObject, settings: PodSettings): JsonObject {
  const { startupProbe: _, ...rest } = sidecar;
  const lifecycle = {
    // The kubelet starts the next container when this has ended.
    ...(settings.holdApplication && { postStart: { exec: { command: ["heddle", "wait", "--ready"] } } }),
    // All containers are told to end at once: the sidecar goes on until the application has nothing under way.
    preStop: { exec: { command: ["heddle", "wait", "--idle"] } },
  };
  return { ...rest, lifecycle };
}

/** Sets the rules of capture in the pod's network namespace, and ends. But for TPROXY the one container with a capability. */
export function captureContainer(settings: PodSettings, args: readonly string[]): JsonObject {
  return {
    name: CAPTURE_CONTAINER,
    image: settings.image,
    ...(settings.imagePullPolicy !== undefined && { imagePullPolicy: settings.imagePullPolicy }),
    args: [...args],
    // iptables-legacy makes a file for its lock, in /run; what a read-only root file system leaves to write to is this.
    env: [{ name: "XTABLES_LOCKFILE", value: "/dev/shm/xtables.lock" }],
    resources: resources(settings),
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      ...CONFINED,
      runAsNonRoot: false,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
    },
  };
}

/**
 * Ends when the pod's traffic is captured, and fails where it is not: a pod that started while the CNI plugin was not in the chain has no rules,
 * and neither its application nor the application's init containers may run so.
 * @param asProxy what the sidecar sends is what is captured; else what anybody else does.
 */
export function validationContainer(settings: PodSettings, args: readonly string[], asProxy: boolean): JsonObject {
  return {
    name: VALIDATION_CONTAINER,
    image: settings.image,
    ...(settings.imagePullPolicy !== undefined && { imagePullPolicy: settings.imagePullPolicy }),
    args: [...args],
    resources: resources(settings),
    securityContext: { ...CONFINED, ...(asProxy ? PLAIN_USER : NOBODY) },
  };
}

/** What the sidecar needs of the node, by name: nothing of it does the application see. */
export function sidecarVolumes(): readonly JsonObject[] {
  return [
    { name: "heddle-ca", configMap: { name: CA_ROOT_CONFIG_MAP } },
    {
      name: "heddle-token",
      projected: {
        sources: [
          { serviceAccountToken: { path: "token", audience: TOKEN_AUDIENCE, expirationSeconds: TOKEN_SECONDS } },
        ],
      },
    },
    // The key never touches a disk.
    { name: "heddle-identity", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } },
  ];
}

/** Of both containers; under it the pod passes the `restricted` Pod Security Standard, but for the capture container and TPROXY. */
const CONFINED = {
  readOnlyRootFilesystem: true,
  allowPrivilegeEscalation: false,
  privileged: false,
  seccompProfile: { type: "RuntimeDefault" },
} as const;

const PLAIN_USER = {
  runAsUser: PROXY_UID,
  runAsGroup: PROXY_UID,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
} as const;

/** Anybody but the sidecar. */
const NOBODY = { ...PLAIN_USER, runAsUser: 65_534, runAsGroup: 65_534 } as const;

/**
 * IP_TRANSPARENT and SO_MARK need NET_ADMIN, and a user other than 0 gets none: Kubernetes has no ambient capabilities. By its
 * group the rules know what it sends.
 */
const TRANSPARENT_USER = {
  runAsUser: 0,
  runAsGroup: PROXY_UID,
  runAsNonRoot: false,
  capabilities: { add: ["NET_ADMIN"], drop: ["ALL"] },
} as const;

function fieldEnv(name: string, fieldPath: string): JsonObject {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

function healthProbe(what: string, times: JsonObject): JsonObject {
  return { httpGet: { path: `/healthz/${what}`, port: SIDECAR_PORTS.health }, ...times };
}

function resources({ cpuRequest, memoryRequest, cpuLimit, memoryLimit }: PodSettings): JsonObject {
  const limits = { ...(cpuLimit !== "" && { cpu: cpuLimit }), ...(memoryLimit !== "" && { memory: memoryLimit }) };
  return {
    requests: { cpu: cpuRequest, memory: memoryRequest },
    ...(Object.keys(limits).length > 0 && { limits }),
  };
}
