import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { ControlPlaneProcess } from "./control-plane-process.ts";
import { eventually } from "./eventually.ts";
import { type KubeObject, member } from "./kube/kube-object.ts";
import { type KubeEndpoint, kubePath, kubePut, kubeRequest } from "./kube/kube-requests.ts";
import { definition, MESH_DEFINITIONS } from "./kube-mesh.ts";
import { type MeshWorkload, startMeshWorkload } from "./mesh-workload.ts";
import type { Owner } from "./owner.ts";
import { type SidecarProcess, scratchFolder, startSidecar } from "./sidecar.ts";

const NAMES = ["web", "orders"] as const;

/** What web's application gets of orders. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface KubeClusterOptions {
  /** The file by which the control plane finds the API server, and who it is there. */
  readonly kubeconfig: string;
  readonly flags?: readonly string[];
  /** Whether the kinds and the namespace are there already, as after `heddle install`. */
  readonly isInstalled?: boolean;
  /** Where the workloads are, which alone is followed then. Left out: in `default`, and all are. */
  readonly namespace?: string;
  /** Where the control plane's own things are; is there. Left out: in `heddle-system`. */
  readonly systemNamespace?: string;
}

/**
 * Whole programs in a cluster: our control plane, which follows an API server, and two sidecars with an application each that join it by
 * their service accounts' tokens. `web` calls `orders`. Nothing but the API server tells anybody anything.
 */
export class KubeCluster {
  readonly server: KubeEndpoint;
  readonly controlPlane: ControlPlaneProcess;
  readonly namespace: string;
  readonly #owner: Owner;
  readonly #folder: string;
  readonly #workloads = new Map<string, MeshWorkload>();

  private constructor(server: KubeEndpoint, owner: Owner, options: KubeClusterOptions) {
    const { kubeconfig, flags = [], namespace, systemNamespace } = options;
    this.server = server;
    this.namespace = namespace ?? "default";
    this.#owner = owner;
    this.#folder = scratchFolder(owner);
    const file = this.#file("kubeconfig", kubeconfig);
    const identity = ["--trust-domain", "cluster.local", "--svid-ttl", "1h", "--store", join(this.#folder, "store")];
    const places = [
      ...(namespace === undefined ? [] : ["--kubernetes-namespace", namespace]),
      ...(systemNamespace === undefined ? [] : ["--system-namespace", systemNamespace]),
    ];
    this.controlPlane = new ControlPlaneProcess(owner, ["--kubeconfig", file, ...places, ...identity, ...flags]);
  }

  static async start(server: KubeEndpoint, owner: Owner, options: KubeClusterOptions): Promise<KubeCluster> {
    if (options.isInstalled !== true) await prepareCluster(server, options.systemNamespace);
    const cluster = new KubeCluster(server, owner, options);
    for (const name of NAMES) {
      const workload = await startMeshWorkload(name, owner);
      cluster.#workloads.set(name, workload);
      const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } };
      const objects = parseAllDocuments(workload.yaml).map((document) => withTarget(document.toJS() as KubeObject));
      for (const object of [account, ...objects]) await kubePut(server, cluster.placed(object));
    }
    await cluster.controlPlane.start();
    const bundle = cluster.#file("root.pem", await cluster.rootPem());

    await Promise.all(NAMES.map((name) => cluster.#startSidecar(name, bundle)));
    return cluster;
  }

  /** The object in the cluster's namespace. */
  placed(object: KubeObject): KubeObject {
    return { ...object, metadata: { ...object.metadata, namespace: this.namespace } };
  }

  /** As web's application does it, by its sidecar. */
  call(path = "/"): Promise<Answer> {
    return ask(this.workload("web").outboundPort, path);
  }

  /** From nowhere, in plaintext. */
  callPlaintext(): Promise<Answer> {
    return ask(this.workload("orders").port, "/");
  }

  workload(name: string): MeshWorkload {
    return this.#workloads.get(name)!;
  }

  /** Of the namespace's ConfigMap, once it is there. */
  async rootPem(namespace = this.namespace): Promise<string> {
    let pem: unknown;
    await eventually(
      "the mesh's roots are in the namespace",
      async () => {
        const map = await kubeRequest(this.server, "GET", `/api/v1/namespaces/${namespace}/configmaps/heddle-ca-root`);
        pem = member(map.body, "data", "root.pem");
        return typeof pem === "string";
      },
      60_000,
    );
    return pem as string;
  }

  /** "Accepted=True", of an object with conditions of its own. */
  async conditions(object: KubeObject): Promise<readonly string[]> {
    const { body } = await kubeRequest(this.server, "GET", kubePath(object));
    const conditions = (member(body, "status", "conditions") ?? []) as readonly { type: string; status: string }[];
    return conditions.map(({ type, status }) => `${type}=${status}`);
  }

  async #startSidecar(name: string, bundle: string): Promise<SidecarProcess> {
    const token = this.#file(`${name}.token`, await accountToken(this.server, this.namespace, name, ["heddle"]));
    const flags = [
      "--control-plane",
      `127.0.0.1:${this.controlPlane.tlsPort}`,
      "--node-id",
      `${this.namespace}/${name}/1`,
    ];
    flags.push("--ca-bundle", bundle, "--service-account-token", token);
    return startSidecar(undefined, this.#owner, { flags });
  }

  #file(name: string, text: string): string {
    const file = join(this.#folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  }
}

/** A token of a service account, as a kubelet asks for it; without audiences it speaks to the API server itself. */
export async function accountToken(
  server: KubeEndpoint,
  namespace: string,
  name: string,
  audiences: readonly string[] = [],
): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const spec = { audiences, expirationSeconds: 3600 };
  const { status, body } = await kubeRequest(server, "POST", path, {
    body: { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec },
  });
  if (status !== 201) throw new Error(`no token for ${name}: ${status} ${JSON.stringify(body)}`);
  return member(body, "status", "token") as string;
}

/** A Service says where its port goes by name: an API server fills in the same number where it says nothing. */
function withTarget(object: KubeObject): KubeObject {
  if (object.kind !== "Service") return object;
  return {
    ...object,
    spec: { ...(object["spec"] as object), ports: [{ name: "http", port: 80, targetPort: "http" }] },
  };
}

/** The kinds and the namespace that `heddle install` brings. */
async function prepareCluster(server: KubeEndpoint, namespace: string | undefined): Promise<void> {
  if (namespace === undefined)
    await kubePut(server, { apiVersion: "v1", kind: "Namespace", metadata: { name: "heddle-system" } });
  // Kinds of others may be there, with more than this says of them.
  for (const one of MESH_DEFINITIONS)
    if (one[0] === "heddle.dev" || !(await isServed(server, one))) await kubePut(server, definition(one) as KubeObject);
  await untilServed(server);
}

/** An API server takes a moment from a definition to its kind. */
export async function untilServed(server: KubeEndpoint): Promise<void> {
  for (const one of MESH_DEFINITIONS) await eventually(`${one[2]} are served`, () => isServed(server, one));
}

async function isServed(server: KubeEndpoint, [group, , plural]: readonly [string, string, string]): Promise<boolean> {
  return (await kubeRequest(server, "GET", `/apis/${group}/v1/${plural}`)).status === 200;
}

/** Calls orders; 0 where there is no answer. */
function ask(port: number, path: string): Promise<Answer> {
  return new Promise((resolve) => {
    const sent = request({ host: "127.0.0.1", port, path, headers: { host: "orders" }, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", ({ message }) => resolve({ status: 0, body: message }));
    });
    sent.on("error", ({ message }) => resolve({ status: 0, body: message }));
    sent.end();
  });
}
