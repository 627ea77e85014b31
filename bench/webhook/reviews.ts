/** A review to be sent again and again. */
export interface BenchReview {
  readonly what: string;
  readonly path: string;
  readonly body: string;
}

/** As an API server asks: pods as Deployments make them, small, usual and large, and a route. */
export function reviews(): readonly BenchReview[] {
  const group = "gateway.networking.k8s.io";
  return [
    { what: "pod of 1 container", path: "/inject?timeout=10s", body: podReview(1, 2) },
    { what: "pod of 3 containers", path: "/inject?timeout=10s", body: podReview(3, 20) },
    { what: "pod of 12 containers", path: "/inject?timeout=10s", body: podReview(12, 60) },
    {
      what: "route of 16 rules",
      path: "/validate?timeout=5s",
      body: reviewOf(group, "HTTPRoute", "httproutes", {
        apiVersion: `${group}/v1`,
        kind: "HTTPRoute",
        metadata: { name: "web", namespace: "shop" },
        spec: { parentRefs: [{ group: "", kind: "Service", name: "web", port: 80 }], rules: list(16, rule) },
      }),
    },
  ];
}

function podReview(containers: number, variables: number): string {
  return reviewOf("", "Pod", "pods", {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      generateName: "web-5d9c7b6f4-",
      labels: { app: "web", "app.kubernetes.io/name": "web", "pod-template-hash": "5d9c7b6f4" },
      annotations: { "prometheus.io/scrape": "true", "checksum/config": "9".repeat(64) },
      ownerReferences: [
        { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-5d9c7b6f4", uid: "u", controller: true },
      ],
      managedFields: list(2, () => ({
        manager: "kube-controller-manager",
        operation: "Update",
        fieldsV1: managed(containers),
      })),
    },
    spec: {
      containers: list(containers, (index) => container(index, variables)),
      volumes: list(containers, (index) => ({ name: `config-${index}`, configMap: { name: `config-${index}` } })),
      serviceAccountName: "web",
      tolerations: list(2, (index) => ({
        key: `node.kubernetes.io/t${index}`,
        operator: "Exists",
        tolerationSeconds: 300,
      })),
    },
  });
}

function container(index: number, variables: number): object {
  const probe = {
    httpGet: { path: "/healthz", port: 8080 + index, scheme: "HTTP" },
    timeoutSeconds: 1,
    periodSeconds: 10,
  };
  return {
    name: `app-${index}`,
    image: `registry.example/team/app-${index}@sha256:${"a".repeat(64)}`,
    ports: [{ name: `http-${index}`, containerPort: 8080 + index, protocol: "TCP" }],
    env: list(variables, (at) => ({ name: `VARIABLE_${at}`, value: `some value of ${at} that is not very long` })),
    resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { memory: "256Mi" } },
    readinessProbe: probe,
    livenessProbe: probe,
    volumeMounts: [{ name: `config-${index}`, mountPath: "/etc/app", readOnly: true }],
    securityContext: { runAsNonRoot: true, allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
  };
}

function managed(containers: number): object {
  const fields = list(
    containers,
    (index) => [`k:{"name":"app-${index}"}`, { ".": {}, "f:env": {}, "f:image": {} }] as const,
  );
  return { "f:metadata": { "f:labels": { "f:app": {} } }, "f:spec": { "f:containers": Object.fromEntries(fields) } };
}

function rule(index: number): object {
  return {
    matches: [
      { path: { type: "PathPrefix", value: `/api/${index}` }, headers: [{ name: "x-version", value: `v${index}` }] },
    ],
    backendRefs: [
      { name: "web", port: 80, weight: 90 },
      { name: "web-canary", port: 80, weight: 10 },
    ],
  };
}

function reviewOf(group: string, kind: string, resource: string, object: object): string {
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
      kind: { group, version: "v1", kind },
      resource: { group, version: "v1", resource },
      namespace: "shop",
      operation: "CREATE",
      userInfo: { username: "system:serviceaccount:kube-system:replicaset-controller" },
      object,
      oldObject: null,
      dryRun: false,
    },
  });
}

function list<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
