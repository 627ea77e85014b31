import type { Clock } from "@heddle/base";
import type { UnknownDestinations } from "@heddle/mesh";
import type { Log, MetricScope, SeriesValue } from "@heddle/telemetry";
import type { AdminAddress } from "@heddle/telemetry/admin";
import { makeResourceTypes } from "@heddle/xds";
import {
  ClientStatusServer,
  LoadReportServer,
  type NodeClaim,
  ReportServer,
  RestDiscovery,
  XdsServer,
} from "@heddle/xds/server";
import { NodeStatuses } from "./admin/node-statuses.ts";
import { adminPages } from "./admin/pages.ts";
import { serveAdmin } from "./admin/serve-admin.ts";
import { statusRights } from "./admin/status-rights.ts";
import { type ApiOptions, ResourceApi } from "./api/open-api.ts";
import type { CaOptions } from "./ca/ca-options.ts";
import type { CertificateAuthority } from "./ca/certificate-authority.ts";
import type { Kubernetes } from "./kubernetes/kubernetes.ts";
import { CONTROL_PLANE_SERVICE, type KubernetesOptions } from "./kubernetes/kubernetes-options.ts";
import type { HostPort } from "./serve/address.ts";
import { MessageBudget, NODES_BUDGET } from "./serve/message-budget.ts";
import { serveRest } from "./serve/serve-rest.ts";
import { type GrpcServices, type ServedXds, serveXds } from "./serve/serve-xds.ts";
import { ownerlessSecrets } from "./snapshot/ownerless-secrets.ts";
import { Snapshots } from "./snapshot/snapshots.ts";
import { DiagnosticLog } from "./source/diagnostic-log.ts";
import { FileSource } from "./source/files.ts";
import { IssuerDirectory } from "./source/issuer-directory.ts";
import { judgeChange } from "./source/judge-change.ts";
import { parseResource } from "./source/parse-resource.ts";
import { Sources } from "./source/sources.ts";
import { StoredSource } from "./source/stored.ts";
import type { Store } from "./store/store.ts";
import { splitStore } from "./store/store-part.ts";
import type { JudgeObject } from "./webhook/review-configuration.ts";
import type { Webhooks } from "./webhook/start-webhooks.ts";
import type { WebhookFlags } from "./webhook-flags.ts";
import type { XdsLimits } from "./xds-limit-flags.ts";

export interface ControlPlaneOptions<Admin extends AdminAddress = HostPort> {
  /** Folders of configuration files. */
  readonly folders: readonly string[];
  /** What people put there is served too. Started; whoever opened it closes it after the control plane has stopped. */
  readonly store?: Store;
  /** How they put it there. Left out, or without a store: they cannot. */
  readonly api?: ApiOptions;
  /** Left out: there is no certificate authority, and nothing is served over TLS. */
  readonly ca?: CaOptions | undefined;
  /** Kubernetes' admission webhooks, by a certificate of the authority. Left out: there are none. */
  readonly webhooks?: WebhookFlags;
  /** A cluster whose objects are served too. Left out: there is none. */
  readonly kubernetes?: KubernetesOptions | undefined;
  /** What captured workloads do with what the mesh does not know. Left out: it goes where it was meant to go. */
  readonly unknownDestinations?: UnknownDestinations;
  /** Of xDS clients. Left out: the defaults. */
  readonly xdsLimits?: XdsLimits;
  /** Clients are asked to report load by endpoint as well. Left out: by locality alone. */
  readonly loadByEndpoint?: boolean;
  readonly xdsAddress: HostPort;
  /** Left out: nobody is served over REST. */
  readonly xdsRestAddress?: HostPort | undefined;
  /** A Unix socket is for our own user alone. */
  readonly adminAddress: Admin;
  /** Which replica this is; clients are told. */
  readonly identifier: string;
  /** What this machine is called: a name in the control plane's own certificate. Left out: it has none. */
  readonly hostName?: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  /** What has been counted so far, for the admin. */
  readonly collectMetrics: () => readonly SeriesValue[];
}

/** A control plane that is running. */
export interface ControlPlane<Admin extends AdminAddress = HostPort> {
  readonly xdsAddress: HostPort;
  readonly xdsRestAddress: HostPort | undefined;
  /** Undefined: there is no certificate authority. */
  readonly xdsTlsAddress: HostPort | undefined;
  readonly adminAddress: Admin;
  /** Of the resource API's REST face; undefined where there is none. */
  readonly apiAddress: HostPort | undefined;
  /** Undefined: no admission webhooks are served. */
  readonly webhookAddress: HostPort | undefined;
  stop(): Promise<void>;
}

/** Joins the control plane: source > mesh > snapshot > serve. Rejects, with nothing left behind, if it cannot start so. */
export async function startControlPlane<Admin extends AdminAddress = HostPort>(
  options: ControlPlaneOptions<Admin>,
): Promise<ControlPlane<Admin>> {
  const { folders, xdsAddress, xdsRestAddress, adminAddress, identifier, clock, log, metrics, collectMetrics } =
    options;

  // What the authority keeps is none of the resource API's.
  const parts = options.store && splitStore(options.store, CA_PREFIX);
  const store = parts?.rest;
  const files = folders.map((folder) => new FileSource({ folder, clock, parse: parseResource }));
  const stored = store && new StoredSource(store);
  const kubernetes = options.kubernetes && (await openKubernetes(options.kubernetes, options));
  const issuers = new IssuerDirectory({ clock, log });
  const all = [...files, ...(stored ? [stored] : []), ...(kubernetes ? [kubernetes.source] : [])];
  const sources = new Sources(all, issuers);
  // What raw resources ask of filters is for the proxies to judge, which may not be ours.
  const types = makeResourceTypes({ httpFilters: "unchecked" });
  const trust = options.ca && { trustDomain: options.ca.trustDomain, aliases: options.ca.trustDomainAliases ?? [] };
  const snapshots = new Snapshots(types, trust, options.unknownDestinations);
  const secretsNeedIdentity = trust !== undefined;
  const { xdsLimits, loadByEndpoint = false } = options;
  const limits = xdsLimits?.server ?? {};
  const xds = new XdsServer({ source: snapshots, log, metrics, clock, identifier, limits, secretsNeedIdentity });
  const denialOf = (node: NodeClaim): string | undefined => snapshots.denialOf(node);
  const reports = new ReportServer({ clock, log, denialOf });
  const loads = new LoadReportServer({ clock, log, denialOf, byEndpoint: loadByEndpoint });
  const nodes = new NodeStatuses(xds, reports, snapshots);

  /** Of what has been opened so far; run last first. */
  const ends: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    ends.push(async () => {
      await parts?.part.close();
      await parts?.rest.close();
    });
    ends.push(async () => kubernetes?.close());
    const ca = await openCa(options, parts?.part, kubernetes);
    ends.push(async () => ca?.close());
    const api =
      store && stored && options.api
        ? await ResourceApi.open(options.api, { store, stored, sources, types, ca: ca?.administration, clock, log })
        : undefined;
    ends.push(async () => api?.close());
    const isOpen = trust === undefined && options.api?.tokensFile === undefined;
    const rights = statusRights({ isOpen, tokenHolderOf: (authorization) => api?.tokenHolderOf(authorization) });
    const statuses = new ClientStatusServer(() => xds.clients(), rights);
    const services = [xds, reports, loads, statuses, ...(api === undefined ? [] : [api.grpc])];
    const budget = new MessageBudget(xdsLimits?.budget ?? NODES_BUDGET);
    const plain = [...services, ...(ca === undefined ? [] : [ca.grpc(false)])];
    const served = await serveXds(plain, xdsAddress, { budget, limits: xdsLimits, clock, log, metrics });
    ends.push(() => served.close());
    const secure = ca && (await serveSecurely(ca, services, budget, options));
    ends.push(async () => secure?.close());
    const rest =
      xdsRestAddress === undefined
        ? undefined
        : await serveRest(new RestDiscovery({ source: snapshots, log, metrics, identifier }), xdsRestAddress);
    ends.push(async () => rest?.close());
    const pages = adminPages({
      identifier,
      sources,
      snapshots,
      nodes,
      loads,
      stored: api,
      kubernetes,
      ca,
      collectMetrics,
    });
    const admin = await serveAdmin(pages, adminAddress, log);
    ends.push(() => admin.close());

    const diagnosticLog = new DiagnosticLog(log, clock, () => {
      const ownerless =
        trust === undefined ? [] : ownerlessSecrets(sources.world?.rawResources ?? [], types.secret.typeUrl);
      return [...sources.diagnostics, ...ownerless];
    });
    ends.push(async () => diagnosticLog.close());
    ends.push(() => sources.close());
    kubernetes?.startWriters(ca === undefined ? {} : { rootPem: () => ca.bundleText("pem") });
    const unwatchRoots = ca?.authority.bundles.watch(() => kubernetes?.rootsChanged());
    ends.push(async () => unwatchRoots?.());
    const webhooks = ca && (await serveWebhooks(ca, kubernetes, sources, options));
    ends.push(async () => webhooks?.close());
    sources.start(() => {
      if (sources.world !== undefined) snapshots.publish(sources.world);
      diagnosticLog.changed();
      if (sources.world !== undefined) kubernetes?.show(sources.world);
    });
    return {
      xdsAddress: served.address,
      xdsRestAddress: rest?.address,
      xdsTlsAddress: secure?.address,
      adminAddress: admin.address,
      apiAddress: api?.address,
      webhookAddress: webhooks?.address,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Whatever its admin is. */
type Shared = Omit<ControlPlaneOptions, "adminAddress">;

/** Of the authority's keys in the store: no key of a resource begins so (resource-key.ts). */
const CA_PREFIX = "@ca/";

/** Loaded where there is a cluster. */
async function openKubernetes(options: KubernetesOptions, { identifier, clock, log }: Shared) {
  const { Kubernetes } = await import("./kubernetes/kubernetes.ts");
  return Kubernetes.open(options, { identifier, clock, log });
}

/** Loaded where there is one: nobody else needs its cryptography. */
async function openCa(
  options: Shared,
  store: Store | undefined,
  kubernetes: Kubernetes | undefined,
): Promise<CertificateAuthority | undefined> {
  const { hostName = "", clock, log, metrics } = options;
  const ca = options.ca && (kubernetes === undefined ? options.ca : withServiceNames(options.ca, kubernetes));
  if (ca === undefined) return undefined;
  const { CertificateAuthority } = await import("./ca/certificate-authority.ts");
  return CertificateAuthority.open(ca, { store, hostName, clock, log, metrics, kubernetes: kubernetes?.api });
}

/** By what names pods call us. */
function withServiceNames(ca: CaOptions, { namespace }: Kubernetes): CaOptions {
  const service = `${CONTROL_PLANE_SERVICE}.${namespace}`;
  return { ...ca, tlsNames: [...ca.tlsNames, service, `${service}.svc`, `${service}.svc.cluster.local`] };
}

async function serveSecurely(
  ca: CertificateAuthority,
  services: readonly GrpcServices[],
  budget: MessageBudget,
  { ca: caOptions, xdsLimits: limits, clock, log, metrics }: Shared,
): Promise<ServedXds | undefined> {
  if (caOptions === undefined) return undefined;
  const { serveTls } = await import("./serve/serve-tls.ts");
  return serveTls({
    services: [...services, ca.grpc(true)],
    address: caOptions.tlsAddress,
    identity: ca.ownSvid.current,
    trustDomain: ca.authority.trustDomain,
    bundles: ca.authority.bundles,
    renewalGraceMs: caOptions.renewalGraceMs,
    clock,
    log,
    metrics,
    budget,
    limits,
  });
}

/** Loaded where they are served: nobody else needs to know how pods are injected. */
async function serveWebhooks(
  ca: CertificateAuthority,
  kubernetes: Kubernetes | undefined,
  sources: Sources,
  { webhooks, identifier, clock, log, metrics }: Shared,
): Promise<Webhooks | undefined> {
  if (webhooks === undefined) return undefined;
  const [{ startOwnWebhooks }, { openWebhookCluster }] = await Promise.all([
    import("./webhook/start-own-webhooks.ts"),
    import("./kubernetes/open-webhook-cluster.ts"),
  ]);
  const { api, namespace } = kubernetes ?? {};
  const openCluster =
    api === undefined || namespace === undefined
      ? undefined
      : (revision: string) => openWebhookCluster({ api, namespace, revision, identifier, clock, log });
  const judgeObject = kubernetes && judgeObjectsOf(kubernetes, sources);
  return startOwnWebhooks({ ...webhooks, authority: ca.authority, openCluster, judgeObject, clock, log, metrics });
}

/** What nobody here reads has nothing beside it. */
function judgeObjectsOf({ source }: Kubernetes, sources: Sources): JudgeObject {
  return (namespace, place, objects) =>
    source.follows(namespace) ? judgeChange(sources, place, objects) : { errors: [], warnings: [] };
}
