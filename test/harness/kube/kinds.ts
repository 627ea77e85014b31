import { type JsonObject, type KubeObject, member, objectsOf, stringsOf, text } from "./kube-object.ts";

/** One kind of object in one version of its group, and how it is served. */
export interface Kind {
  /** "" for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** "services", as in the path. */
  readonly plural: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly namespaced: boolean;
  /** Has the subresource `status`, which alone changes the member `status`. */
  readonly hasStatus: boolean;
  /** Made by a CustomResourceDefinition: no strategic merge patch, and an update has to name its resourceVersion. */
  readonly custom: boolean;
  /** The only verbs; left out: all. A review is only created, and never kept. */
  readonly verbs?: readonly string[];
  /** OpenAPI v3 of a custom kind. */
  readonly schema?: JsonObject;
  /** Columns of a custom kind besides Name and Age. */
  readonly columns?: readonly JsonObject[];
}

const BUILT_IN = `
v1 Namespace namespaces cluster status ns
v1 Node nodes cluster status no
v1 PersistentVolume persistentvolumes cluster status pv
v1 Pod pods namespaced status po
v1 Service services namespaced status svc
v1 Endpoints endpoints namespaced - ep
v1 ConfigMap configmaps namespaced - cm
v1 Secret secrets namespaced - -
v1 ServiceAccount serviceaccounts namespaced - sa
v1 Event events namespaced - ev
v1 PersistentVolumeClaim persistentvolumeclaims namespaced status pvc
v1 LimitRange limitranges namespaced - limits
v1 ResourceQuota resourcequotas namespaced status quota
v1 ReplicationController replicationcontrollers namespaced status rc
discovery.k8s.io/v1 EndpointSlice endpointslices namespaced - -
apps/v1 Deployment deployments namespaced status deploy
apps/v1 ReplicaSet replicasets namespaced status rs
apps/v1 StatefulSet statefulsets namespaced status sts
apps/v1 DaemonSet daemonsets namespaced status ds
batch/v1 Job jobs namespaced status -
batch/v1 CronJob cronjobs namespaced status cj
policy/v1 PodDisruptionBudget poddisruptionbudgets namespaced status pdb
autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers namespaced status hpa
networking.k8s.io/v1 NetworkPolicy networkpolicies namespaced - netpol
networking.k8s.io/v1 Ingress ingresses namespaced status ing
networking.k8s.io/v1 IngressClass ingressclasses cluster - -
coordination.k8s.io/v1 Lease leases namespaced - -
scheduling.k8s.io/v1 PriorityClass priorityclasses cluster - pc
storage.k8s.io/v1 StorageClass storageclasses cluster - sc
rbac.authorization.k8s.io/v1 Role roles namespaced - -
rbac.authorization.k8s.io/v1 RoleBinding rolebindings namespaced - -
rbac.authorization.k8s.io/v1 ClusterRole clusterroles cluster - -
rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings cluster - -
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration mutatingwebhookconfigurations cluster - -
admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration validatingwebhookconfigurations cluster - -
apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions cluster status crd
certificates.k8s.io/v1 CertificateSigningRequest certificatesigningrequests cluster status csr
authentication.k8s.io/v1 TokenReview tokenreviews cluster review -
authentication.k8s.io/v1 SelfSubjectReview selfsubjectreviews cluster review -
authorization.k8s.io/v1 SubjectAccessReview subjectaccessreviews cluster review -
authorization.k8s.io/v1 SelfSubjectAccessReview selfsubjectaccessreviews cluster review -
authorization.k8s.io/v1 SelfSubjectRulesReview selfsubjectrulesreviews cluster review -
`;

/** The kinds that a server has: those of Kubernetes that a mesh meets, and those that definitions add. */
export class Kinds {
  readonly #byPath = new Map<string, Kind>();

  constructor() {
    for (const line of BUILT_IN.trim().split("\n")) this.#add(builtIn(line));
  }

  all(): readonly Kind[] {
    return [...this.#byPath.values()];
  }

  /** By where it stands in a path. */
  find(group: string, version: string, plural: string): Kind | undefined {
    return this.#byPath.get(`${group}/${version}/${plural}`);
  }

  /** By what an object says of itself. */
  of(apiVersion: string, kind: string): Kind | undefined {
    const { group, version } = groupVersion(apiVersion);
    return this.all().find((one) => one.group === group && one.version === version && one.kind === kind);
  }

  /** Of any version, by its plural and group, as rules of RBAC and of webhooks name it. */
  resource(group: string, plural: string): Kind | undefined {
    return this.all().find((one) => one.group === group && one.plural === plural);
  }

  /** Serves what a CustomResourceDefinition defines, in place of what one of that name defined before. */
  define(definition: KubeObject): void {
    this.undefine(definition);
    const spec = definition["spec"];
    const names = member(spec, "names");
    for (const version of objectsOf(member(spec, "versions"))) {
      if (version["served"] !== true) continue;
      const schema = member(version, "schema", "openAPIV3Schema");
      this.#add({
        group: text(member(spec, "group")),
        version: text(version["name"]),
        kind: text(member(names, "kind")),
        plural: text(member(names, "plural")),
        singular: text(member(names, "singular") ?? text(member(names, "kind")).toLowerCase()),
        shortNames: stringsOf(member(names, "shortNames")),
        namespaced: member(spec, "scope") === "Namespaced",
        hasStatus: member(version, "subresources", "status") !== undefined,
        custom: true,
        ...(schema === undefined ? {} : { schema: schema as JsonObject }),
        columns: objectsOf(version["additionalPrinterColumns"]),
      });
    }
  }

  undefine(definition: KubeObject): void {
    const group = member(definition["spec"], "group");
    const plural = member(definition["spec"], "names", "plural");
    for (const [key, kind] of this.#byPath)
      if (kind.custom && kind.group === group && kind.plural === plural) this.#byPath.delete(key);
  }

  #add(kind: Kind): void {
    this.#byPath.set(`${kind.group}/${kind.version}/${kind.plural}`, kind);
  }
}

export function groupVersion(apiVersion: string): { readonly group: string; readonly version: string } {
  const slash = apiVersion.indexOf("/");
  return slash < 0
    ? { group: "", version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

export function apiVersionOf({ group, version }: Pick<Kind, "group" | "version">): string {
  return group === "" ? version : `${group}/${version}`;
}

/** Whatever its version: objects are kept once, and served in each version as they are. */
export function resourceKey({ group, plural }: Pick<Kind, "group" | "plural">): string {
  return `${group}/${plural}`;
}

function builtIn(line: string): Kind {
  const [apiVersion = "", kind = "", plural = "", scope, status, short] = line.split(" ");
  return {
    ...groupVersion(apiVersion),
    kind,
    plural,
    singular: kind.toLowerCase(),
    shortNames: short === "-" || short === undefined ? [] : [short],
    namespaced: scope === "namespaced",
    hasStatus: status === "status",
    custom: false,
    ...(status === "review" ? { verbs: ["create"] } : {}),
  };
}
