import type { Clock } from "@heddle/base";
import {
  formatPrometheus,
  type Log,
  type MetricScope,
  PROMETHEUS_CONTENT_TYPE,
  type SeriesValue,
} from "@heddle/telemetry";
import type { AdminPage } from "@heddle/telemetry/admin";
import { serveAdmin } from "./admin/serve-admin.ts";
import type { CertificateFlags, InjectorFlags } from "./injector-flags.ts";
import type { ClusterAccess } from "./kubernetes/cluster-access.ts";
import type { HostPort } from "./serve/address.ts";
import { openSettings } from "./webhook/open-settings.ts";
import { certificateOfFiles, type ServingCertificate } from "./webhook/serving-certificate.ts";
import { type ClosableCluster, startWebhooks } from "./webhook/start-webhooks.ts";

export interface InjectorOptions extends Pick<InjectorFlags, "webhooks" | "certificate" | "adminAddress"> {
  /** Undefined: without Kubernetes; the selectors of the webhook configurations decide which namespaces. */
  readonly kubernetes: { readonly access: ClusterAccess; readonly namespace: string } | undefined;
  /** Which replica this is. */
  readonly identifier: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
  readonly collectMetrics: () => readonly SeriesValue[];
}

/** An injector that is running. */
export interface Injector {
  readonly webhookAddress: HostPort;
  readonly adminAddress: HostPort;
  /** From now on API servers go to another replica. */
  drain(): void;
  stop(): Promise<void>;
}

/** Joins the injector: certificate, settings, webhooks. Rejects with a `StartError`, with nothing left behind. */
export async function startInjector(options: InjectorOptions): Promise<Injector> {
  const { webhooks, adminAddress, kubernetes, identifier, clock, log, metrics, collectMetrics } = options;
  /** Of what has been opened so far; run last first. */
  const ends: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const settings = openSettings(webhooks.settingsFile, {}, webhooks.revision, clock, log);
    ends.push(() => settings.close());
    const certificate = await openCertificate(options.certificate, options);
    ends.push(() => certificate.close());
    const { revision } = settings.current.current;
    const cluster = kubernetes && (await openCluster(kubernetes, revision, identifier, options));
    ends.push(async () => cluster?.close());
    const served = await startWebhooks({
      ...webhooks,
      settings: settings.current,
      certificate,
      cluster,
      clock,
      log,
      metrics,
    });
    ends.push(() => served.close());
    const admin = await serveAdmin([metricsPage(collectMetrics)], adminAddress, log);
    ends.push(() => admin.close());
    return { webhookAddress: served.address, adminAddress: admin.address, drain: () => served.drain(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Loaded where there is one. */
async function openCluster(
  { access, namespace }: NonNullable<InjectorOptions["kubernetes"]>,
  revision: string,
  identifier: string,
  { clock, log }: InjectorOptions,
): Promise<ClosableCluster> {
  const [{ KubeClient }, { openWebhookCluster }] = await Promise.all([
    import("./kubernetes/kube-client.ts"),
    import("./kubernetes/open-webhook-cluster.ts"),
  ]);
  const client = new KubeClient(access, clock, "heddle-injector");
  const cluster = openWebhookCluster({ api: client, namespace, revision, identifier, clock, log });
  return {
    ...cluster,
    close: async () => {
      await cluster.close();
      await client.close();
    },
  };
}

async function openCertificate(
  flags: CertificateFlags,
  { clock, log, metrics }: InjectorOptions,
): Promise<ServingCertificate> {
  if (flags.type === "files") return certificateOfFiles(flags, flags.caFile, { clock, log, metrics });
  const { controlPlane, caFile, tokenFile } = flags;
  const [{ IssuedCertificate }, { askAuthority }] = await Promise.all([
    import("./webhook/issued-certificate.ts"),
    import("./webhook/ask-authority.ts"),
  ]);
  const issued = new IssuedCertificate({ controlPlane, caFile, tokenFile, ask: askAuthority, clock, log });
  await issued.start();
  return issued;
}

function metricsPage(collectMetrics: () => readonly SeriesValue[]): AdminPage {
  return {
    path: "/metrics",
    method: "GET",
    help: "counters, gauges and histograms, as Prometheus reads them",
    answer: () => ({ contentType: PROMETHEUS_CONTENT_TYPE, body: formatPrometheus([...collectMetrics()]) }),
  };
}
