import type { Clock, Inspectable, Json, Live } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import { KubernetesSource } from "../source/kubernetes.ts";
import type { World } from "../source/merge.ts";
import { statusFor } from "./conditions.ts";
import { inClusterAccess } from "./in-cluster.ts";
import { type KubeApi, KubeClient } from "./kube-client.ts";
import { kubeconfigAccess } from "./kubeconfig.ts";
import { type KubernetesOptions, SYSTEM_NAMESPACE } from "./kubernetes-options.ts";
import { LeaseElection } from "./lease-election.ts";
import { RootConfigMaps } from "./root-config-maps.ts";
import { type StatusChange, StatusWriter } from "./status-writer.ts";
import { objectPath } from "./watched-kinds.ts";

export interface KubernetesSubjects {
  /** Which replica this is. */
  readonly identifier: string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface WriterSubjects {
  /** The roots of the mesh's authority, PEM; undefined: there are none (yet). Left out: there is no authority. */
  readonly rootPem?: () => string | undefined;
}

const LEASE = "heddle-control-plane";

/**
 * A cluster, joined: what is read of it (every replica), and what is written to it (the leader alone): status of routes and
 * policies, the mesh's roots in every namespace.
 */
export class Kubernetes implements Inspectable {
  readonly name = "kubernetes";
  readonly api: KubeApi;
  readonly source: KubernetesSource;
  /** Our own, within the cluster. */
  readonly namespace: string;
  readonly #client: KubeClient;
  readonly #options: KubernetesOptions;
  readonly #subjects: KubernetesSubjects;
  #world: World | undefined;
  #writers: Writers | undefined;

  private constructor(client: KubeClient, source: KubernetesSource, namespace: string, more: Parts) {
    this.api = client;
    this.#client = client;
    this.source = source;
    this.namespace = namespace;
    this.#options = more.options;
    this.#subjects = more.subjects;
  }

  /** Rejects with a `StartError` where nobody says how to get to the cluster; one that is away is no reason. */
  static async open(options: KubernetesOptions, subjects: KubernetesSubjects): Promise<Kubernetes> {
    const { clock } = subjects;
    const { kubeconfig, environment, namespaces, systemNamespace } = options;
    const access =
      kubeconfig === undefined
        ? await inClusterAccess({ environment, clock })
        : await kubeconfigAccess({ ...kubeconfig, clock });
    const client = new KubeClient(access, clock);
    const source = new KubernetesSource({ api: client, server: access.server, clock, namespaces });
    const log = subjects.log.with({ part: "kubernetes" });
    const namespace = kubeconfig === undefined ? access.namespace : (systemNamespace ?? SYSTEM_NAMESPACE);
    return new Kubernetes(client, source, namespace, { options, subjects: { ...subjects, log } });
  }

  /** Whether this replica writes; undefined before `startWriters`. */
  get isLeader(): Live<boolean> | undefined {
    return this.#writers?.election.isLeader;
  }

  startWriters({ rootPem }: WriterSubjects): void {
    const { api, namespace } = this;
    const { clock, log, identifier } = this.#subjects;
    // Pods are named once; two processes that say they are the same replica must not both write.
    const identity = `${identifier}_${crypto.randomUUID()}`;
    const election = new LeaseElection({ api, clock, log, namespace, name: LEASE, identity });
    const status = new StatusWriter({ api, clock, log, plan: () => this.#statusPlan() });
    const roots = rootPem && new RootConfigMaps({ api, clock, log, namespaces: this.#options.namespaces, rootPem });
    election.isLeader.watch((isLeader) => {
      if (isLeader) {
        status.start();
        roots?.start();
      } else {
        void status.stop();
        void roots?.stop();
      }
    });
    this.#writers = { election, status, roots };
    election.start();
  }

  /** A world has been published: what objects are told may be something else. */
  show(world: World): void {
    this.#world = world;
    this.#writers?.status.look();
  }

  /** The mesh's roots may be others. */
  rootsChanged(): void {
    this.#writers?.roots?.look();
  }

  inspect(): Json {
    return { server: this.source.name.replace("kubernetes ", ""), isLeader: this.isLeader?.current ?? false };
  }

  /** The source is closed by whoever runs the sources. */
  async close(): Promise<void> {
    const { election, status, roots } = this.#writers ?? {};
    await Promise.all([status?.stop(), roots?.stop()]);
    await election?.close();
    await this.#client.close();
  }

  *#statusPlan(): Generator<StatusChange> {
    if (this.#world === undefined) return;
    const { mesh } = this.#world;
    const nowText = new Date(this.#subjects.clock.wallNow()).toISOString().replace(/\.\d+Z$/, "Z");
    for (const [kind, read] of this.source.withStatus()) {
      const status = statusFor(read, mesh, nowText);
      if (status === undefined || read.status === undefined) continue;
      yield { path: objectPath(kind, read.key, "/status"), resourceVersion: read.status.resourceVersion, status };
    }
  }
}

interface Parts {
  readonly options: KubernetesOptions;
  readonly subjects: KubernetesSubjects;
}

interface Writers {
  readonly election: LeaseElection;
  readonly status: StatusWriter;
  readonly roots: RootConfigMaps | undefined;
}
