import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@heddle/base";
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from "@heddle/control-plane";
import { quietLog, quietMetrics } from "@heddle/xds/testing";
import { eventually } from "./eventually.ts";
import type { JsonObject } from "./kube/kube-object.ts";
import { KubeApiServer } from "./kube-api-server.ts";
import type { Owner } from "./owner.ts";
import { scratchFolder } from "./sidecar.ts";

/* A control plane that follows the API server of a test, and what its clients see. */

export interface KubeControlPlane {
  readonly controlPlane: ControlPlane;
  /** "10.1.0.1:8080", sorted, of a service's port; undefined: nobody knows such a service. */
  endpoints(cluster: string): Promise<readonly string[] | undefined>;
  /** Resources of a type as a node of that namespace gets them. */
  resources(type: string, names: readonly string[], node?: string): Promise<readonly JsonObject[]>;
  /** Of admin. */
  status(): Promise<KubeStatusPage>;
  /** What clients are to trust. */
  rootPem(): Promise<string>;
}

/** Of /status, what is read here. */
export interface KubeStatusPage {
  readonly ready: boolean;
  readonly diagnostics: readonly { readonly text: string }[];
  readonly computed: Readonly<Record<string, number>>;
  readonly kubernetes: { readonly isLeader: boolean };
}

/** @param more over what makes it follow that server. */
export async function startKubeControlPlane(
  server: KubeApiServer,
  owner: Owner,
  more: Partial<ControlPlaneOptions> = {},
): Promise<KubeControlPlane> {
  const file = join(scratchFolder(owner), "kubeconfig");
  writeFileSync(file, server.kubeconfig());
  const anyPort = { host: "127.0.0.1", port: 0 };
  const controlPlane = await startControlPlane({
    folders: [],
    kubernetes: { kubeconfig: { file, context: undefined }, namespaces: undefined, environment: {} },
    xdsAddress: anyPort,
    xdsRestAddress: anyPort,
    adminAddress: anyPort,
    identifier: "test",
    clock: systemClock,
    log: quietLog,
    metrics: quietMetrics,
    collectMetrics: () => [],
    ...more,
  });
  owner.after(() => controlPlane.stop());
  const admin = `http://127.0.0.1:${controlPlane.adminAddress.port}`;
  const resources = async (type: string, names: readonly string[], node = "shop/test/1") => {
    const response = await fetch(`http://127.0.0.1:${controlPlane.xdsRestAddress?.port}/v3/discovery:${type}`, {
      method: "POST",
      headers: { "content-type": "application/json", connection: "close" },
      body: JSON.stringify({ node: { id: node }, resource_names: names }),
    });
    if (response.status !== 200) throw new Error(`REST: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { resources?: readonly JsonObject[] }).resources ?? [];
  };
  return {
    controlPlane,
    resources,
    async endpoints(cluster) {
      const [found] = (await resources("endpoints", [cluster])) as readonly LoadAssignment[];
      if (found === undefined) return undefined;
      return (found.endpoints ?? [])
        .flatMap(({ lbEndpoints = [] }) =>
          lbEndpoints.map(({ endpoint: { address } }) => {
            const { address: ip, portValue } = address.socketAddress;
            return `${ip}:${portValue}`;
          }),
        )
        .sort();
    },
    async status() {
      return (await (await fetch(`${admin}/status`, { headers: { connection: "close" } })).json()) as KubeStatusPage;
    },
    async rootPem() {
      return (await fetch(`${admin}/ca/bundle`, { headers: { connection: "close" } })).text();
    },
  };
}

interface LoadAssignment {
  readonly endpoints?: readonly {
    readonly lbEndpoints?: readonly {
      readonly endpoint: { readonly address: { readonly socketAddress: { address: string; portValue: number } } };
    }[];
  }[];
}

/** The kinds that are defined in a cluster with Heddle: Gateway API's and its own. */
export const MESH_DEFINITIONS = [
  ["gateway.networking.k8s.io", "HTTPRoute", "httproutes"],
  ["gateway.networking.k8s.io", "GRPCRoute", "grpcroutes"],
  ["gateway.networking.k8s.io", "TLSRoute", "tlsroutes"],
  ["gateway.networking.k8s.io", "TCPRoute", "tcproutes"],
  ["gateway.networking.k8s.io", "ReferenceGrant", "referencegrants"],
  ["heddle.dev", "Workload", "workloads"],
  ["heddle.dev", "PeerAuthentication", "peerauthentications"],
  ["heddle.dev", "AuthorizationPolicy", "authorizationpolicies"],
  ["heddle.dev", "ExtensionProvider", "extensionproviders"],
  ["heddle.dev", "RequestAuthentication", "requestauthentications"],
] as const;

export function definition([group, kind, plural]: readonly [string, string, string]): JsonObject {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: {
      name: `${plural}.${group}`,
      // An API server wants to be told who lets others define kinds of Kubernetes' own groups.
      ...(group.endsWith(".k8s.io") && { annotations: { "api-approved.kubernetes.io": "unapproved, a test" } }),
    },
    spec: {
      group,
      scope: "Namespaced",
      names: { plural, kind },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
        },
      ],
    },
  };
}

export function kubeService(name: string, more: JsonObject = {}): JsonObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "shop" },
    spec: { selector: { app: name }, ports: [{ name: "http", port: 80, targetPort: 8080 }], ...more },
  };
}

export function kubeSlice(service: string, addresses: readonly string[], pods: readonly string[] = []): JsonObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: `${service}-a`, namespace: "shop", labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: addresses.map((address, index) => {
      const name = pods[index];
      return {
        addresses: [address],
        conditions: { ready: true, serving: true, terminating: false },
        ...(name !== undefined && { targetRef: { kind: "Pod", namespace: "shop", name } }),
      };
    }),
  };
}

/** The cluster of the shop's Service. */
export const ORDERS = "outbound/80/orders.shop";
export const GATEWAY_API = "gateway.networking.k8s.io/v1";

/** A cluster with a shop in it. */
export async function startShop(
  owner: Owner,
  definitions: readonly (readonly [string, string, string])[] = MESH_DEFINITIONS,
) {
  const server = await KubeApiServer.start(owner);
  for (const name of ["heddle-system", "shop"])
    await server.create({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  for (const one of definitions) await server.create(definition(one));
  await server.create(kubeService("orders"));
  await server.create(kubeSlice("orders", ["10.1.0.1", "10.1.0.2"]));
  return server;
}

/** An authority whose root ends with the test. */
export const CLUSTER_CA: NonNullable<ControlPlaneOptions["ca"]> = {
  trustDomain: "cluster.local",
  tlsAddress: { host: "127.0.0.1", port: 0 },
  tlsNames: [],
  svidTtlMs: 3_600_000,
  renewalGraceMs: 0,
  passphraseFile: undefined,
  files: undefined,
  joinTokensFile: undefined,
  tokenReview: undefined,
  tokenAudience: "heddle",
  bundleEndpoint: undefined,
  federated: [],
};

export function untilEndpoints(plane: KubeControlPlane, endpoints: readonly string[]): Promise<void> {
  return eventually(`the endpoints are ${endpoints.join(", ")}`, async () => {
    const found = (await plane.status()).ready ? await plane.endpoints(ORDERS) : undefined;
    return found?.join() === endpoints.join();
  });
}

export function kubeRoute(name: string, parent: string, backend: string) {
  return {
    apiVersion: GATEWAY_API,
    kind: "HTTPRoute",
    metadata: { name, namespace: "shop" },
    spec: {
      parentRefs: [{ group: "", kind: "Service", name: parent, port: 80 }],
      rules: [{ backendRefs: [{ name: backend, port: 80 }] }],
    },
  };
}

export function peerPolicy(mode: string) {
  return {
    apiVersion: "heddle.dev/v1",
    kind: "PeerAuthentication",
    metadata: { name: "all", namespace: "shop" },
    spec: { mtls: { mode } },
  };
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly observedGeneration: number;
}

function shown(conditions: readonly Condition[] = []): readonly string[] {
  return conditions.map(
    ({ type, status, reason, observedGeneration }) => `${type}=${status} ${reason} ${observedGeneration}`,
  );
}

/** Of a route: "Accepted=True Accepted 1". */
export function conditionsOf(server: KubeApiServer, name: string): readonly string[] {
  const status = server.get(GATEWAY_API, "HTTPRoute", "shop", name)?.["status"] as
    | { parents?: readonly { controllerName: string; conditions: readonly Condition[] }[] }
    | undefined;
  return shown(status?.parents?.find(({ controllerName }) => controllerName === "heddle.dev/controller")?.conditions);
}

/** The same of a PeerAuthentication. */
export function ownConditions(server: KubeApiServer, name: string): readonly string[] {
  const found = server.get("heddle.dev/v1", "PeerAuthentication", "shop", name);
  return shown((found?.["status"] as { conditions?: readonly Condition[] } | undefined)?.conditions);
}
