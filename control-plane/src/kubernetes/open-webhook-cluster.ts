import type { Clock } from "@heddle/base";
import type { Log } from "@heddle/telemetry";
import type { ClosableCluster } from "../webhook/start-webhooks.ts";
import type { KubeApi } from "./kube-client.ts";
import { KubeWebhookCluster } from "./kube-webhook-cluster.ts";
import { LeaseElection } from "./lease-election.ts";

export interface WebhookClusterOptions {
  readonly api: KubeApi;
  /** Our own, where the Lease is. */
  readonly namespace: string;
  readonly revision: string;
  /** Which replica this is. */
  readonly identifier: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The cluster, followed for the webhooks of a revision. Of all processes that serve these, control planes and injectors, one writes
 * `caBundle`: by a Lease of their own, since another revision's leader does not.
 */
export function openWebhookCluster(options: WebhookClusterOptions): ClosableCluster {
  const { api, namespace, revision, identifier, clock } = options;
  const election = new LeaseElection({
    api,
    clock,
    log: options.log.with({ part: "webhook" }),
    namespace,
    name: `heddle-webhooks-${revision}`,
    // Pods are named once; two processes that say they are the same replica must not both write.
    identity: `${identifier}_${crypto.randomUUID()}`,
  });
  const cluster = new KubeWebhookCluster({ api, clock, revision, isLeader: election.isLeader });
  cluster.start();
  election.start();
  return {
    namespaces: cluster.namespaces,
    configurations: cluster.configurations,
    isLeader: cluster.isLeader,
    notReady: () => cluster.notReady(),
    close: async () => {
      await election.close();
      await cluster.close();
    },
  };
}
