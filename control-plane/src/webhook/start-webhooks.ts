import { type Clock, Live } from "@heddle/base";
import type { InjectionSettings } from "@heddle/inject";
import type { Log, MetricScope } from "@heddle/telemetry";
import type { HostPort } from "../serve/address.ts";
import { CaBundles, type WebhookConfigurations } from "./ca-bundles.ts";
import { followFile } from "./followed-file.ts";
import type { NamespaceLabels } from "./namespace-labels.ts";
import { podInjection } from "./pod-injection.ts";
import type { JudgeObject } from "./review-configuration.ts";
import { readAuthorities, type ServingCertificate } from "./serving-certificate.ts";
import { WebhookServer } from "./webhook-server.ts";

/** What a cluster tells the webhooks, and takes from them. */
export interface WebhookCluster {
  readonly namespaces: NamespaceLabels;
  /** Undefined: nobody here may write them. */
  readonly configurations: WebhookConfigurations | undefined;
  readonly isLeader: Live<boolean>;
  /** What is not there yet; undefined: nothing. */
  readonly notReady: () => string | undefined;
}

/** One that ends with those who opened it. */
export interface ClosableCluster extends WebhookCluster {
  close(): Promise<void>;
}

export interface WebhooksOptions {
  readonly address: HostPort;
  /** How pods are injected; whose `revision` and `namespace` are this one's. */
  readonly settings: Live<InjectionSettings>;
  readonly certificate: ServingCertificate;
  /** PEM: API servers that may ask. Undefined: whoever reaches the port. */
  readonly clientCaFile: string | undefined;
  readonly clientNames: readonly string[];
  /** Undefined: the selectors of the webhook configurations decide alone, and their `caBundle` is somebody else's. */
  readonly cluster: WebhookCluster | undefined;
  /** By whoever knows all that the mesh is configured by. Left out: configuration is judged object by object. */
  readonly judgeObject?: JudgeObject | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: MetricScope;
}

/** Webhooks that are served. */
export interface Webhooks {
  readonly address: HostPort;
  /** From now on API servers go to another replica. */
  drain(): void;
  close(): Promise<void>;
}

/** Serves the admission webhooks. Rejects with a `StartError`, with nothing left behind but what it was given. */
export async function startWebhooks(options: WebhooksOptions): Promise<Webhooks> {
  const { settings, certificate, clientCaFile, clientNames, cluster, judgeObject, clock, metrics } = options;
  const log = options.log.with({ part: "webhook" });
  const { revision, namespace } = settings.current;
  const clientCa =
    clientCaFile === undefined
      ? undefined
      : followFile(clientCaFile, "webhook client authority", readAuthorities, clock, log);
  const server = new WebhookServer({
    identity: certificate.identity,
    clientCa: clientCa?.current ?? new Live<string | undefined>(undefined),
    clientNames,
    pods: {
      injection: podInjection(settings),
      namespaces: cluster?.namespaces,
      revision,
      systemNamespace: namespace,
    },
    judgeObject,
    notReady: () => cluster?.notReady(),
    clock,
    log,
    metrics,
  });
  let address: HostPort;
  try {
    address = await server.listen(options.address, "--webhook-address");
  } catch (error) {
    clientCa?.close();
    await server.close();
    throw error;
  }
  const bundles =
    cluster?.configurations === undefined
      ? undefined
      : new CaBundles({
          configurations: cluster.configurations,
          roots: certificate.roots,
          revision,
          isLeader: cluster.isLeader,
          clock,
          log,
          metrics,
        });
  return {
    address,
    drain: () => server.drain(),
    close: async () => {
      clientCa?.close();
      await bundles?.close();
      await server.close();
    },
  };
}
