import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { TestAuthority } from "@heddle/net/testing";
import { type ResolveService, WebhookAdmission } from "./kube/admission.ts";
import { Authentication, type KubeUser } from "./kube/authentication.ts";
import { allowingRules, type RuleUse } from "./kube/authorization.ts";
import { Faults } from "./kube/faults.ts";
import { type Asked, KubeHandler } from "./kube/handler.ts";
import { Kinds, resourceKey } from "./kube/kinds.ts";
import { isSame, type JsonObject, type KubeObject, member, objectsOf, stringsOf } from "./kube/kube-object.ts";
import { kubeconfigText } from "./kube/kubeconfig.ts";
import { Lists } from "./kube/lists.ts";
import { ObjectStore } from "./kube/object-store.ts";
import { Resources, type WriteOptions } from "./kube/resources.ts";
import { StatusError } from "./kube/status-error.ts";
import type { Owner } from "./owner.ts";

export type { KubeObject } from "./kube/kube-object.ts";

export interface KubeApiServerOptions {
  /** Whether only what Role and ClusterRole objects allow is allowed; by default everybody who is known may do all. */
  readonly rbac?: boolean;
  /** How often a watch tells how far it is. */
  readonly bookmarkMs?: number;
  /** Where a Service of webhooks listens; by default the first ready endpoint of its EndpointSlices. */
  readonly resolveService?: ResolveService;
}

/**
 * An API server of Kubernetes in the process of the test: the protocol is real (HTTPS, lists in chunks, watches, conflicts, patches, webhooks),
 * the cluster behind it is not. docs/kubernetes-testing.md says what it cannot show.
 */
export class KubeApiServer {
  readonly authority = new TestAuthority("Kubernetes");
  /** PEM: who has signed its certificate. */
  readonly ca = this.authority.certificate;
  /** A bearer token of an administrator. */
  readonly adminToken = "administrator";
  readonly faults = new Faults();
  /** Every request, oldest first. */
  readonly requests: Asked[] = [];
  readonly store = new ObjectStore();
  readonly #kinds = new Kinds();
  readonly #authentication: Authentication;
  readonly #webhooks: WebhookAdmission;
  readonly #resources: Resources;
  readonly #handler: KubeHandler;
  readonly #lists: Lists;
  readonly #credentials: { readonly key: string; readonly cert: string };
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  private constructor(options: KubeApiServerOptions) {
    this.#authentication = new Authentication(
      (plural, namespace, name, uid) => this.store.get(`/${plural}`, namespace, name)?.metadata.uid === uid,
    );
    this.#webhooks = new WebhookAdmission(
      this.store,
      options.resolveService ?? ((namespace, name, port) => this.#endpointOf(namespace, name, port)),
    );
    this.#resources = new Resources(this.store, this.#kinds, this.#webhooks.admit);
    this.#lists = new Lists(this.store);
    this.#handler = new KubeHandler({
      store: this.store,
      kinds: this.#kinds,
      resources: this.#resources,
      lists: this.#lists,
      authentication: this.#authentication,
      faults: this.faults,
      rulesFor: (access) =>
        options.rbac === true
          ? allowingRules(this.store, access)
          : access.user.name === "system:anonymous" && access.path === undefined
            ? []
            : [{ role: "everything", rule: 0 }],
      onAsked: (asked) => void this.requests.push(asked),
      bookmarkMs: options.bookmarkMs ?? 60_000,
      url: () => this.url,
    });
    this.addToken(this.adminToken, { name: "admin", groups: ["system:masters"] });
    const { chain, key } = this.authority.issue({
      commonName: "kube-apiserver",
      dns: ["localhost", "kubernetes.default.svc"],
      ips: ["127.0.0.1"],
      usage: "server",
    });
    this.#credentials = { key, cert: chain };
  }

  /** Listens on a port of its own, with the namespaces that each cluster has. */
  static async start(owner: Owner, options: KubeApiServerOptions = {}): Promise<KubeApiServer> {
    const server = new KubeApiServer(options);
    owner.after(() => server.close());
    for (const name of ["default", "kube-system", "kube-public", "kube-node-lease"])
      await server.create({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
    await server.listen();
    return server;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  /** The calls of webhooks, oldest first. */
  get webhookCalls(): WebhookAdmission["calls"] {
    return this.#webhooks.calls;
  }

  /** Serves, on the port that it had before. */
  async listen(): Promise<void> {
    const server = createServer(
      {
        ...this.#credentials,
        ca: this.authority.certificate,
        requestCert: true,
        rejectUnauthorized: false,
        keepAliveTimeout: 90_000,
      },
      (request: IncomingMessage, response: ServerResponse) => void this.#handler.handle(request, response),
    );
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.#server = server.listen(this.#port, "127.0.0.1");
    await once(server, "listening");
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Goes away, with all connections; `listen` brings it back with all that it knew. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, "close");
    server.close();
    this.#handler.closeWatches();
    this.closeConnections();
    await closed;
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.listen();
  }

  async close(): Promise<void> {
    this.faults.end();
    await this.stop();
  }

  /** Ends every connection; the server goes on. */
  closeConnections(): void {
    // Also those in the middle of their handshake, of which the HTTP server does not know yet.
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Watches that are open get no event any more, and stay open. */
  hangWatches(): void {
    this.#handler.hangWatches();
  }

  /** Forgets the history: who watches from an older version, or lists on from a token, is answered with 410. */
  compact(): void {
    this.store.compact();
    this.#lists.expireTokens();
  }

  /** Tells all watches that want to know how far they are. */
  bookmark(): void {
    this.#handler.bookmark();
  }

  /** A file of `kubectl` for a user with a client certificate; `groups` as in its O. */
  kubeconfig(user = "admin", groups = ["system:masters"]): string {
    const { chain, key } = this.authority.issue({
      commonName: user,
      ...(groups[0] === undefined ? {} : { organization: groups[0] }),
      usage: "client",
    });
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    return kubeconfigText(this, user, { "client-certificate-data": base64(chain), "client-key-data": base64(key) });
  }

  /** The same with a bearer token. */
  kubeconfigOfToken(token: string): string {
    return kubeconfigText(this, "token", { token });
  }

  /** A bearer token of that user. */
  addToken(token: string, user: KubeUser): void {
    this.#authentication.addToken(token, user);
  }

  /** A token of a service account, as a kubelet would put it into a pod; without audiences it speaks to this server. */
  accountToken(
    namespace: string,
    account: string,
    {
      audiences = [],
      expirationSeconds = 3600,
      pod,
    }: { readonly audiences?: readonly string[]; readonly expirationSeconds?: number; readonly pod?: string } = {},
  ): string {
    const uidOf = (resource: string, name: string): string => {
      const uid = this.store.get(resource, namespace, name)?.metadata.uid;
      if (uid === undefined) throw new Error(`there is no ${namespace}/${name} of ${resource}`);
      return uid;
    };
    const accountUid = uidOf("/serviceaccounts", account);
    const bound = pod === undefined ? {} : { pod: { name: pod, uid: uidOf("/pods", pod) } };
    return this.#authentication.issue({ namespace, account, accountUid, audiences, expirationSeconds, ...bound });
  }

  /** As an administrator: what a cluster's own controllers, kubelets and people do. */
  async create(object: JsonObject): Promise<KubeObject> {
    return this.put(object);
  }

  /** Makes it, or puts it in the place of what is there: status and all. */
  async put(object: JsonObject): Promise<KubeObject> {
    const wanted = object as KubeObject;
    const kind = this.#kinds.of(wanted.apiVersion, wanted.kind);
    if (kind === undefined) throw new Error(`${wanted.apiVersion} ${wanted.kind} is not registered`);
    const { name } = wanted.metadata;
    const namespace = kind.namespaced ? (wanted.metadata.namespace ?? "default") : undefined;
    const place = { kind, namespace, name, subresource: "" };
    const { resourceVersion: _, ...metadata } = wanted.metadata;
    let result: KubeObject;
    if (this.store.get(resourceKey(kind), namespace, name) === undefined)
      result = await this.#resources.create(kind, namespace, { ...wanted, metadata }, ADMINISTRATOR);
    else
      result = await this.#resources.change(
        place,
        (current) => ({ ...wanted, metadata: { ...metadata, resourceVersion: current.metadata.resourceVersion! } }),
        ADMINISTRATOR,
      );
    const { status } = wanted;
    if (!kind.hasStatus || status === undefined || isSame(status, result["status"])) return result;
    return this.#resources.change(
      { ...place, name: result.metadata.name, subresource: "status" },
      (current) => ({ ...current, status }),
      ADMINISTRATOR,
    );
  }

  get(apiVersion: string, kind: string, namespace: string | undefined, name: string): KubeObject | undefined {
    const found = this.#kinds.of(apiVersion, kind);
    return found === undefined ? undefined : this.store.get(resourceKey(found), namespace, name);
  }

  list(apiVersion: string, kind: string, namespace?: string): readonly KubeObject[] {
    const found = this.#kinds.of(apiVersion, kind);
    return found === undefined ? [] : this.store.list(resourceKey(found), namespace);
  }

  /** At once, whatever its grace. */
  async delete(apiVersion: string, kind: string, namespace: string | undefined, name: string): Promise<void> {
    const found = this.#kinds.of(apiVersion, kind);
    if (found === undefined) throw new StatusError(404, "NotFound", `${apiVersion} ${kind} is not registered`);
    await this.#resources.delete(
      { kind: found, namespace, name, subresource: "" },
      { gracePeriodSeconds: 0 },
      ADMINISTRATOR,
    );
  }

  /** What rules allowed of what was asked, by who asked: to see which are of use. */
  usedRules(user: string): readonly RuleUse[] {
    return this.requests.filter((asked) => asked.user === user).flatMap(({ allowedBy }) => allowedBy);
  }

  #endpointOf(namespace: string, name: string, port: number): ReturnType<ResolveService> {
    const ports = objectsOf(member(this.store.get("/services", namespace, name)?.["spec"], "ports"));
    const portName = ports.find((one) => one["port"] === port)?.["name"] ?? "";
    for (const slice of this.store.list("discovery.k8s.io/endpointslices", namespace)) {
      if (slice.metadata.labels?.["kubernetes.io/service-name"] !== name) continue;
      const target = objectsOf(slice["ports"]).find((one) => (one["name"] ?? "") === portName);
      const address = objectsOf(slice["endpoints"]).find((one) => member(one, "conditions", "ready") !== false);
      const host = stringsOf(address?.["addresses"])[0];
      if (target !== undefined && host !== undefined)
        return { host, port: Number(target["port"]), serverName: "", path: "", caBundle: "" };
    }
    return undefined;
  }
}

const ADMINISTRATOR: WriteOptions = {
  user: { name: "admin", groups: ["system:masters"] },
  dryRun: false,
  fieldManager: "test",
  warn: () => {},
};
