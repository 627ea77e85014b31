import type { Kind } from "./kinds.ts";
import {
  isObject,
  type Json,
  type JsonObject,
  type KubeObject,
  member,
  objectsOf,
  stringsOf,
  text,
} from "./kube-object.ts";
import type { ObjectStore } from "./object-store.ts";
import { invalid } from "./status-error.ts";
import { shaped } from "./structural-schema.ts";

/**
 * What the API server fills in that a mesh may look at: addresses of Services, protocols and target ports, phases, labels of
 * namespaces, data of Secrets. Much less than Kubernetes does. Of custom objects what their schema says, and 422 where they are not as it says.
 */
export function withDefaults(kind: Kind, object: KubeObject, store: ObjectStore): KubeObject {
  if (kind.schema !== undefined) {
    const { object: shapedObject, causes } = shaped(object, kind.schema);
    if (causes.length > 0) throw invalid(kind.kind, kind.group, object.metadata.name, causes);
    return shapedObject as KubeObject;
  }
  const fill = FILLS[`${kind.group}/${kind.kind}`];
  return fill === undefined ? object : fill(object, store);
}

const FILLS: Readonly<Record<string, (object: KubeObject, store: ObjectStore) => KubeObject>> = {
  "/Namespace": (object) => ({
    ...object,
    metadata: {
      ...object.metadata,
      labels: { ...object.metadata.labels, "kubernetes.io/metadata.name": object.metadata.name },
    },
    spec: { finalizers: ["kubernetes"], ...record(object["spec"]) },
    status: { phase: "Active", ...record(object["status"]) },
  }),
  "/Service": serviceDefaults,
  "/Secret": ({ stringData, ...object }) => ({
    ...(object as KubeObject),
    type: object["type"] ?? "Opaque",
    ...(isObject(stringData) ? { data: { ...record(object["data"]), ...encoded(stringData) } } : {}),
  }),
  "/Pod": (object) => ({
    ...object,
    spec: podSpecDefaults(record(object["spec"])),
    status: { phase: "Pending", qosClass: "BestEffort", ...record(object["status"]) },
  }),
  "apps/Deployment": (object) => ({
    ...object,
    spec: { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600, ...templateDefaults(object) },
  }),
  "apps/StatefulSet": (object) => ({ ...object, spec: { replicas: 1, ...templateDefaults(object) } }),
  "apps/ReplicaSet": (object) => ({ ...object, spec: { replicas: 1, ...templateDefaults(object) } }),
  "apps/DaemonSet": (object) => ({ ...object, spec: templateDefaults(object) }),
  "discovery.k8s.io/EndpointSlice": (object) => ({
    ...object,
    ports: objectsOf(object["ports"]).map((port) => ({ name: "", protocol: "TCP", ...port })),
  }),
  "admissionregistration.k8s.io/MutatingWebhookConfiguration": (object) =>
    webhookDefaults(object, { reinvocationPolicy: "Never" }),
  "admissionregistration.k8s.io/ValidatingWebhookConfiguration": (object) => webhookDefaults(object, {}),
  "apiextensions.k8s.io/CustomResourceDefinition": (object) => {
    const names = record(member(object["spec"], "names"));
    const kind = text(names["kind"]);
    const condition = (type: string, reason: string): JsonObject => ({
      type,
      status: "True",
      reason,
      message: "",
      lastTransitionTime: object.metadata.creationTimestamp ?? null,
    });
    const accepted = { singular: kind.toLowerCase(), listKind: `${kind}List`, ...names };
    const stored = objectsOf(member(object["spec"], "versions")).filter(({ storage }) => storage === true);
    return {
      ...object,
      spec: { conversion: { strategy: "None" }, ...record(object["spec"]), names: accepted },
      status: {
        conditions: [condition("NamesAccepted", "NoConflicts"), condition("Established", "InitialNamesAccepted")],
        acceptedNames: accepted,
        storedVersions: stored.map(({ name }) => name ?? null),
      },
    };
  },
};

/** An address is given once: a write that leaves it out keeps it, and none changes it. */
function serviceDefaults(object: KubeObject, store: ObjectStore): KubeObject {
  const { name, namespace } = object.metadata;
  const spec = record(object["spec"]);
  const type = text(spec["type"] ?? "ClusterIP");
  const ports = objectsOf(spec["ports"]).map((port) => ({ protocol: "TCP", targetPort: port["port"], ...port }));
  const filled = { type, sessionAffinity: "None", ...spec, ...(ports.length > 0 ? { ports } : {}) };
  const status = { loadBalancer: {}, ...record(object["status"]) };
  if (type === "ExternalName") return { ...object, spec: filled, status };
  const before = text(member(store.get("/services", namespace, name)?.["spec"], "clusterIP"));
  const wanted = text(spec["clusterIP"] ?? "");
  if (before !== "" && wanted !== "" && wanted !== before)
    throw invalid("Service", "", name, [
      { field: "spec.clusterIPs[0]", message: `Invalid value: "${wanted}": may not change once set` },
    ]);
  const clusterIP = wanted || before || clusterAddress(object, store);
  const clusterIPs = stringsOf(spec["clusterIPs"]);
  return {
    ...object,
    spec: {
      internalTrafficPolicy: "Cluster",
      ipFamilies: [clusterIP.includes(":") ? "IPv6" : "IPv4"],
      ipFamilyPolicy: clusterIPs.length > 1 ? "RequireDualStack" : "SingleStack",
      ...filled,
      clusterIP,
      clusterIPs: clusterIPs.length > 0 ? clusterIPs : [clusterIP],
    },
    status,
  };
}

/** One of 10.96.0.0/16 that no other Service has. Throws 422 where all are taken. */
function clusterAddress(object: KubeObject, store: ObjectStore): string {
  const taken = new Set(store.list("/services").flatMap(({ spec }) => stringsOf(member(spec, "clusterIPs"))));
  for (let n = 10; n < 65_000; n++) {
    const address = `10.96.${n >> 8}.${n & 255}`;
    if (!taken.has(address)) return address;
  }
  throw invalid("Service", "", object.metadata.name, [{ field: "spec.clusterIPs", message: "the range is full" }]);
}

function podSpecDefaults(spec: JsonObject): JsonObject {
  const container = (one: JsonObject): JsonObject => ({
    imagePullPolicy: "IfNotPresent",
    resources: {},
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    ...one,
    ...(one["ports"] === undefined
      ? {}
      : { ports: objectsOf(one["ports"]).map((port) => ({ protocol: "TCP", ...port })) }),
  });
  return {
    restartPolicy: "Always",
    dnsPolicy: "ClusterFirst",
    serviceAccountName: "default",
    schedulerName: "default-scheduler",
    terminationGracePeriodSeconds: 30,
    securityContext: {},
    ...spec,
    containers: objectsOf(spec["containers"]).map(container),
    ...(spec["initContainers"] === undefined
      ? {}
      : { initContainers: objectsOf(spec["initContainers"]).map(container) }),
  };
}

/** The spec with a template whose pods have their defaults, except the service account, which only a pod is given. */
function templateDefaults(object: KubeObject): JsonObject {
  const spec = record(object["spec"]);
  const template = record(spec["template"]);
  const { serviceAccountName: _, ...pod } = podSpecDefaults(record(template["spec"]));
  return {
    ...spec,
    template: { ...template, spec: { ...pod, ...record(template["spec"]), containers: pod["containers"] } },
  };
}

function webhookDefaults(object: KubeObject, more: JsonObject): KubeObject {
  const webhooks = objectsOf(object["webhooks"]).map((webhook) => ({
    failurePolicy: "Fail",
    matchPolicy: "Equivalent",
    namespaceSelector: {},
    objectSelector: {},
    timeoutSeconds: 10,
    ...more,
    ...webhook,
    rules: objectsOf(webhook["rules"]).map((rule) => ({ scope: "*", ...rule })),
  }));
  return { ...object, webhooks };
}

function encoded(stringData: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(stringData).map(([name, value]) => [name, Buffer.from(text(value)).toString("base64")]),
  );
}

function record(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {};
}
